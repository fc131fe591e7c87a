"""Hostile MCP servers, each through a real server: an answer in one shape, the event loop free, the memory bounded."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.bounds import bound
from tests.server.process.watched import Watched, watched
from tests.server.remote_tools.model import model
from tests.server.whole import TERMINAL, Client
from tests.tools.mcp import hostile
from tests.tools.mcp.hostile import PROGRAMS
from tests.tools.mcp.hostile_kinds import KINDS, Kind

pytestmark = [pytest.mark.slow, pytest.mark.alone]

HELD = bound(0.05)  # seconds of CPU time that the event loop may be held
TIMEOUT = 1.0
FAULTLESS = {
    "answers_with_the_id_as_a_text",
    "asks_the_client",
    "a_pattern_that_backtracks",
    "a_schema_with_a_reference",
    "frames_of_a_stream",
    "line_breaks_in_a_schema",
    "nothing_at_all",
    "a_version_of_1_mb",
    "a_session_of_many_characters",
    "a_picture_of_1_5_mb",
    "half_a_picture",
    "a_resource_of_1_5_mb",
}
"""Kinds of which some do no harm that a call could fail of."""


@pytest.fixture(scope="module")
def places() -> Iterator[str]:
    with hostile.running() as url:
        yield url


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    programs = {}
    for name, source in PROGRAMS.items():
        (folder / f"{name}.py").write_text(source)
        programs[name] = {"command": sys.executable, "args": [str(folder / f"{name}.py")]}
    with (
        model() as url,
        watched(
            folder,
            backends={"upstream": {"url": url}},
            store=str(folder / "store.db"),
            url_guard_allow=["127.0.0.0/8"],
            mcp_timeout=TIMEOUT,
            mcp_progress_timeout=2 * TIMEOUT,
            mcp_servers=programs,
            shutdown_grace=1.0,
        ) as running,
    ):
        made(Client(running.url), {"type": "mcp", "server_label": "prints_garbage", "require_approval": "never"}, {})
        running.held()
        yield running


def made(client: Client, tool: dict, mode: dict) -> dict[str, Any]:
    """Make a response; return how it ended: its status, output and error."""
    status, body = client.post("/v1/responses", model="m", input="tick {}", tools=[tool], **mode)
    if mode.get("stream"):
        assert status == 200, body
        assert [event["sequence_number"] for event in body] == list(range(len(body)))
        assert [event["type"] in TERMINAL for event in body].count(True) == 1
        assert body[-1]["type"] in TERMINAL
        return body[-1]["response"]
    if mode.get("background"):
        return client.finished(body["id"])
    if status == 200:
        return body
    assert status == (502 if too_long(body["error"]) else 424), body
    return {"status": "failed", "output": [], "error": body["error"]}


def too_long(error: dict[str, Any]) -> bool:
    """Tell whether it was the model that said too much: it repeats what the tool gave it."""
    return error["code"] == "backend_error" and error["message"].startswith("The backend's answer has more than")


def check(ended: dict[str, Any], *, may_be_good: bool) -> None:
    """A fault of the server is a failed item, or the failure of the response with a reason."""
    calls = [item for item in ended["output"] if item["type"] == "mcp_call"]
    if ended["status"] == "failed" and too_long(ended["error"]):
        assert len(ended["error"]["message"]) < 2000
    elif ended["status"] == "failed":
        assert ended["error"]["code"] == "mcp_server_error", ended["error"]
        assert ended["error"]["message"].startswith("The MCP server '")
        assert len(ended["error"]["message"]) < 2000
    else:
        assert ended["status"] == "completed"
        assert may_be_good or not calls or calls[0]["error"] is not None or calls[0]["output"] != "good", calls
    for call in calls:
        assert (call["output"] is None) != (call["error"] is None)


def all_modes(server: Watched, tool: dict, *, may_be_good: bool) -> None:
    """Make a response in each mode; see that the loop was free, in one of two tries: the interpreter may pause by itself."""
    held = one_try(server, tool, may_be_good=may_be_good)
    if held >= HELD:
        held = one_try(server, tool, may_be_good=may_be_good)
    assert held < HELD, f"the event loop was held for {held * 1000:.0f} ms"
    assert server.memory() < 400_000_000


def one_try(server: Watched, tool: dict, *, may_be_good: bool) -> float:
    """Make a response in each mode; return the longest time that the loop was held, in seconds of CPU."""
    client = Client(server.url)
    begun = time.monotonic()
    check(made(client, tool, {}), may_be_good=may_be_good)
    waits = time.monotonic() - begun > TIMEOUT / 2  # such a server does not use the time: both modes at once
    with ThreadPoolExecutor(2 if waits else 1) as pool:
        for ended in pool.map(lambda mode: made(client, tool, mode), ({"stream": True}, {"background": True})):
            check(ended, may_be_good=may_be_good)
    return server.held()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_hostile_server_does_no_harm(server: Watched, places: str, kind: Kind) -> None:
    tool = {"type": "mcp", "server_label": "x", "server_url": kind.url(places), "require_approval": "never"}
    all_modes(server, tool, may_be_good=kind.name in FAULTLESS or kind.method != "tools/call")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hostile_program_does_no_harm(server: Watched, name: str) -> None:
    tool = {"type": "mcp", "server_label": name, "require_approval": "never"}
    all_modes(server, tool, may_be_good=name in ("prints_garbage", "fills_stderr"))


def test_many_secrets_do_not_hold_the_loop(server: Watched, places: str) -> None:
    headers = {f"x-{n}": f"Bearer aaaaaaaaaa{n}" for n in range(60)}
    for name in ("a_text_of_3_mb", "tools_900_with_schemas"):
        tool = {"type": "mcp", "server_label": "x", "server_url": f"{places}/{name}/mcp", "headers": headers}
        all_modes(server, {**tool, "require_approval": "never"}, may_be_good=True)


@pytest.mark.timeout(120)
def test_many_hostile_servers_at_once_keep_nobody_waiting(server: Watched, places: str) -> None:
    wild = [kind for kind in KINDS if kind.name.endswith(("for_ever", "without_end", "never_answers"))]
    before = server.memory()
    client = Client(server.url)

    def harm(kind: Kind) -> None:
        tool = {"type": "mcp", "server_label": "x", "server_url": kind.url(places), "require_approval": "never"}
        check(made(client, tool, {}), may_be_good=True)

    with ThreadPoolExecutor(16) as pool:
        working = [pool.submit(harm, kind) for kind in wild]
        while not all(one.done() for one in working):
            assert client.get("/health")[0] == 200
            time.sleep(0.05)
        for one in working:
            one.result()
    assert server.memory() < before + 100_000_000


def test_no_program_is_left(server: Watched) -> None:
    time.sleep(3)
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    assert children == []


def test_there_are_many_kinds() -> None:
    assert len(KINDS) >= 30
    assert len({kind.name for kind in KINDS}) == len(KINDS)
