"""`/metrics`: what is counted, who may read it, and one page for all processes of a server."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from antiphon.config import ModelConfig
from antiphon.errors import ConfigError
from antiphon.telemetry import process_metrics
from antiphon.telemetry.peers import Peers
from antiphon.telemetry.prometheus import OTHER, Bounded, Histogram, Samples, merge, render
from tests.acceptance.command import serving
from tests.server.whole import Client, golden_upstream, turn, whole_server

Series = Mapping[str, float]


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with golden_upstream() as url:
        yield url


def scrape(client: Client) -> Series:
    """Read the page as Prometheus would: every line is a comment or a series with a number."""
    request = urllib.request.Request(f"{client.url}/metrics", headers=client.headers)
    with urllib.request.urlopen(request) as reply:
        assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return parse(reply.read())


def parse(page: bytes) -> Series:
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for line in page.decode().splitlines():
        if comment := re.fullmatch(r"# (HELP|TYPE) (\w+) (.+)", line):
            if comment[1] == "TYPE":
                assert comment[2] not in kinds, "a family stands in one piece"
                kinds[comment[2]] = comment[3]
            continue
        series = re.fullmatch(r'((\w+)(\{(\w+="(?:[^"\\]|\\.)*",?)*\})?) (\S+)', line)
        assert series is not None, line
        family = series[2] if series[2] in kinds else re.sub(r"_(bucket|sum|count)$", "", series[2])
        assert family in kinds, line
        assert series[1] not in found
        found[series[1]] = float(series[5])
    return found


def test_a_response_is_counted(upstream: str) -> None:
    with whole_server(upstream) as client:
        client.create(model="text", input="hi")
        client.stream(model="text", input="hi")
        seen = scrape(client)
    assert seen['antiphon_requests_total{method="POST",route="/responses",status="200",model="text"}'] == 2
    assert seen['antiphon_responses_total{model="text",status="completed"}'] == 2
    tokens = [seen[f'antiphon_tokens_total{{model="text",kind="{kind}"}}'] for kind in ("input", "output", "cached")]
    assert tokens == [22, 10, 8]
    assert seen['antiphon_time_to_first_token_seconds_count{model="text"}'] == 2
    assert seen['antiphon_time_per_output_token_seconds_count{model="text"}'] == 1, "only a stream has a pace"
    assert seen['antiphon_response_duration_seconds_bucket{model="text",le="+Inf"}'] == 2
    assert seen['antiphon_store_duration_seconds_count{operation="put"}'] == 2
    assert seen['antiphon_backend_up{backend="upstream"}'] == 1
    assert seen['antiphon_backend_calls_total{backend="upstream"}'] == 2
    assert seen["process_resident_memory_bytes"] > 1e6


def test_what_is_refused_or_not_there_makes_no_labels_of_its_own(upstream: str) -> None:
    with whole_server(upstream) as client:
        client.post("/v1/responses", model="nobody-knows-this", input="hi")
        client.get("/v1/nowhere")
        client.get("/v1/elsewhere")
        client.get("/v1/responses/resp_1")
        client.get("/v1/responses/resp_2")
        seen = scrape(client)
    assert seen['antiphon_requests_total{method="POST",route="/responses",status="400",model=""}'] == 1
    assert seen['antiphon_requests_total{method="GET",route="other",status="404",model=""}'] == 2
    assert seen['antiphon_requests_total{method="GET",route="/responses/{id}",status="404",model=""}'] == 2
    assert not [series for series in seen if "nobody-knows-this" in series]


def test_a_chat_completion_is_counted_with_its_model(upstream: str) -> None:
    with whole_server(upstream) as client:
        body = b'{"model":"text","messages":[]}'
        with urllib.request.urlopen(f"{client.url}/v1/chat/completions", data=body) as reply:
            assert reply.read().endswith(b"[DONE]\n\n")
        seen = scrape(client)
    assert seen['antiphon_requests_total{method="POST",route="/chat/completions",status="200",model="text"}'] == 1


def test_websocket_connections_and_their_responses(upstream: str) -> None:
    with whole_server(upstream) as client:
        with client.websocket() as connection:
            turn(connection, model="text", input="hi")
            during = scrape(client)
        assert during["antiphon_websocket_connections"] == 1
        assert during['antiphon_responses_total{model="text",status="completed"}'] == 1


def test_a_backend_that_fails_is_seen_to_fail() -> None:
    with whole_server("http://127.0.0.1:9/v1", models={"m": ModelConfig()}, retries=0) as client:
        assert client.post("/v1/responses", model="m", input="hi")[0] == 503
        seen = scrape(client)
    assert seen['antiphon_backend_up{backend="upstream"}'] == 0
    assert seen['antiphon_backend_failures_total{backend="upstream"}'] == 1
    assert seen['antiphon_responses_total{model="m",status="refused"}'] == 1


def test_the_page_needs_a_key_where_there_are_keys(upstream: str) -> None:
    with whole_server(upstream, api_keys=["secret"]) as client:
        assert client.get("/metrics")[0] == 401
    with whole_server(upstream, api_keys=["secret"], metrics="open") as client:
        assert client.get("/metrics")[0] == 200
    with whole_server(upstream, metrics="off") as client:
        assert client.get("/metrics")[0] == 404


# The format


def test_buckets_add_up() -> None:
    family = Histogram("x_seconds", "X.", (0.1, 1.0), ("a",))
    for amount in (0.05, 0.1, 0.5, 7.0):
        family.observe(("v",), amount)
    assert render([family]).decode().splitlines()[2:] == [
        'x_seconds_bucket{a="v",le="0.1"} 2',
        'x_seconds_bucket{a="v",le="1"} 3',
        'x_seconds_bucket{a="v",le="+Inf"} 4',
        'x_seconds_sum{a="v"} 7.65',
        'x_seconds_count{a="v"} 4',
    ]


def test_labels_are_escaped() -> None:
    page = render([Samples("x_total", "X.", ("a",), {('q"\\\n',): 1})])
    assert page.splitlines()[-1] == b'x_total{a="q\\"\\\\\\n"} 1'


def test_a_label_has_so_many_values_and_no_more() -> None:
    bounded = Bounded(2)
    assert [bounded(value) for value in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


def test_pages_of_several_processes_become_one() -> None:
    pages = [render([Samples(name, "H.", (), {(): 1}) for name in ("a", "b")], f'worker="{n}"') for n in (0, 1)]
    merged = merge(pages)
    assert list(parse(merged)) == ['a{worker="0"}', 'a{worker="1"}', 'b{worker="0"}', 'b{worker="1"}']


# Several processes


async def test_processes_find_each_other_and_take_the_place_of_who_left(tmp_path: Path) -> None:
    folder = tmp_path / "peers"
    first, second = (Peers(2, lambda place: b"I am %d" % place, folder) for _ in range(2))
    await first.start()
    assert await first.ask() == []
    await second.start()
    assert (first.number, second.number) == (0, 1)
    assert (await first.ask(), await second.ask()) == ([b"I am 1"], [b"I am 0"])
    with pytest.raises(ConfigError):
        await Peers(2, lambda place: b"", folder).start()
    await first.close()
    third = Peers(2, lambda place: b"I am new", folder)
    await third.start()
    assert (third.number, await second.ask()) == (0, [b"I am new"])
    await second.close()
    await third.close()
    assert not folder.exists()


async def test_questions_are_answered_by_those_who_know(tmp_path: Path) -> None:
    folder = tmp_path / "peers"
    first, second, third = (Peers(3, lambda place: b"page", folder) for _ in range(3))
    for one in (first, second, third):
        await one.start()

    async def knows(question: bytes) -> bytes:
        return b"yes: " + question if question == b"resp_1" else b""

    second.asked = knows
    assert await first.ask(b"resp_1") == [b"yes: resp_1"] and await first.ask(b"resp_2") == []
    assert await first.ask(b"x" * 10_000) == [], "a question is one short line"
    assert await first.ask() == [b"page", b"page"]
    for one in (first, second, third):
        await one.close()


async def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "peers"
    folder.mkdir(mode=0o755)
    with pytest.raises(ConfigError):
        await Peers(2, lambda place: b"", folder).start()


async def test_who_does_not_answer_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.telemetry.peers.SECONDS", 0.05)
    folder = tmp_path / "peers"
    peers = Peers(2, lambda place: b"x", folder)
    await peers.start()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(folder / "1.sock"))
        deaf.listen()
        assert await peers.ask() == []
    await peers.close()


@pytest.mark.slow
def test_one_page_tells_of_all_workers(upstream: str, tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", "--backend", upstream, "--store", str(tmp_path / "a.db")) as command:
        client = Client(command.url)
        for _ in range(8):
            client.create(model="text", input="hi", store=False)
        seen = scrape(client)
        while (
            sum(series.startswith("process_start_time_seconds{") for series in seen) < 2
        ):  # the second one still starts
            time.sleep(0.05)
            seen = scrape(client)
        assert command.stop() == 0
    made = [seen.get(f'antiphon_responses_total{{model="text",status="completed",worker="{n}"}}', 0) for n in (0, 1)]
    assert sum(made) == 8
    assert len([series for series in seen if series.startswith("process_start_time_seconds{")]) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells of open files")
def test_open_files_are_counted_without_a_look_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> float:
        page = render(list(process_metrics.samples(0.0)))
        return float(re.findall(rb"^process_open_fds (\d+)", page, re.MULTILINE)[0])

    counted, stat, before = os.listdir, os.stat, told()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(40)]
    try:
        if os.stat("/proc/self/fd").st_size:  # since Linux 6.2
            monkeypatch.setattr(os, "listdir", None)
            assert told() == before + 40
            monkeypatch.setattr(os, "listdir", counted)
        older = os.stat_result([0] * 10)
        monkeypatch.setattr(os, "stat", lambda path, **how: older if str(path).endswith("fd") else stat(path, **how))
        assert told() == before + 40
    finally:
        monkeypatch.undo()
        for number in opened:
            os.close(number)
