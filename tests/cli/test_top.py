"""`antiphon top`: what it reads, and what it shows in a pipe and in a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.cli.monitor.scrape import Scrape, ScrapeInterval
from antiphon.cli.monitor.view import Running, lines
from tests.cli.command import antiphon, environment
from tests.server.whole import Client, golden_upstream, whole_server

pytestmark = pytest.mark.slow

INFINITE = 'x_bucket{le="0.1"} %d\nx_bucket{le="1"} %d\nx_bucket{le="+Inf"} %d\n'


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    with golden_upstream() as url, whole_server(url) as client:
        client.stream(model="text", input="hi")
        yield client


# Reading


def test_labels_are_read_as_they_were_written() -> None:
    scrape = Scrape('# HELP a A.\na{m="q\\"\\\\\\n",k="1"} 2\na{m="x"} 3\nb 1.5e3\n', 0.0)
    assert scrape.sum("a", m='q"\\\n') == 2
    assert (scrape.sum("a"), scrape.sum("b"), scrape.sum("c")) == (5, 1500, 0)
    assert scrape.values("a", "m") == ['q"\\\n', "x"]


def test_rates_are_per_second_and_a_restart_counts_from_zero() -> None:
    window = ScrapeInterval(Scrape("a 10\nb 10\n", 0.0), Scrape("a 30\nb 4\n", 2.0))
    assert (window.rate("a"), window.rate("b")) == (10, 2)


def test_quantiles_are_those_of_the_window() -> None:
    window = ScrapeInterval(Scrape(INFINITE % (100, 100, 100), 0.0), Scrape(INFINITE % (100, 110, 120), 1.0))
    assert window.quantile(0.25, "x") == pytest.approx(0.55)
    assert window.quantile(0.5, "x") == pytest.approx(1.0)
    assert window.quantile(0.95, "x") == 1.0, "beyond the last bound nothing is known"
    assert ScrapeInterval(window.after, window.after).quantile(0.5, "x") is None


def test_a_running_request_is_shown_without_control_characters() -> None:
    shown = lines(
        "http://x/v1",
        ScrapeInterval(Scrape("", 0.0), Scrape("", 1.0)),
        [Running("resp_1", "m\x1b[2J", events=50)],
        color=False,
    )
    assert shown[-1].startswith("resp_1")
    assert "m?[2J" in shown[-1]
    assert "\x1b" not in "".join(shown)


# The command


async def test_once_prints_a_table(server: Client, tmp_path: Path) -> None:
    outcome = await antiphon(tmp_path, "top", "--once", "--interval", "0.1", "--url", server.url)
    assert (outcome.code, outcome.err) == (0, "")
    rows = {line.split()[0]: line.split() for line in outcome.out.splitlines() if line}
    assert rows["antiphon"][2] == f"{server.url}/v1"
    assert rows["text"][1] == "0"
    assert rows["upstream"][1] == "up"
    assert "\x1b" not in outcome.out


async def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    outcome = await antiphon(tmp_path, "top", "--once", "--url", "http://127.0.0.1:9")
    assert outcome.code == 1
    assert outcome.err.startswith("antiphon: error: no server answers at http://127.0.0.1:9/v1")


async def test_a_key_that_may_not_look_is_refused(tmp_path: Path) -> None:
    with whole_server(api_keys=["good-key"]) as client:
        outcome = await antiphon(tmp_path, "top", "--once", "--url", client.url, "--key", "bad-key")
    assert outcome.code == 1
    assert "Incorrect API key" in outcome.err


def test_in_a_terminal_it_is_redrawn_until_ctrl_c_and_leaves_no_trace(server: Client, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "antiphon", "top", "--interval", "0.05", "--url", server.url]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment(tmp_path, TERM="xterm")) as process:
        os.close(theirs)
        seen = _read(ours, until=b"BACKEND", times=3)
        process.send_signal(signal.SIGINT)
        seen += _read(ours)
        assert process.wait(10) == 0
    os.close(ours)
    assert seen.startswith(b"\x1b[?1049h\x1b[?25l")
    assert seen.rstrip().endswith(b"\x1b[?25h\x1b[?1049l")


def _read(fd: int, until: bytes = b"", times: int = 0) -> bytes:
    """Read so often what is wanted, or up to the end."""
    seen = b""
    deadline = time.monotonic() + 20
    while not times or seen.count(until) < times:
        assert time.monotonic() < deadline, seen
        try:
            data = os.read(fd, 65536)
        except OSError:  # how a terminal ends on Linux
            return seen
        if not data:
            return seen
        seen += data
    return seen
