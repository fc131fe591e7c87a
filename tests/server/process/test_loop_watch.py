"""The event loop's delay: measured, and logged with what held it."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from types import FrameType
from typing import Any

import pytest

from antiphon.responses.run import Run
from antiphon.server.api import responses
from antiphon.server.http.messages import Reply, Request
from antiphon.server.process import loop_watch
from antiphon.server.process.loop_watch import BEAT, LoopWatch, blame
from antiphon.server.ws import lane
from antiphon.telemetry.prometheus import render
from tests.acceptance.command import serving as command
from tests.bounds import bound
from tests.server.serving import wait_until
from tests.server.whole import Client, golden_upstream, turn, whole_server
from tests.telemetry.test_metrics import scrape

pytestmark = pytest.mark.slow

HOLD = 0.25

log = logging.getLogger("antiphon.server.process.loop_watch")


def hold(seconds: float = HOLD) -> None:
    """Do what a callback must not."""
    time.sleep(seconds)


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "antiphon.server.process.loop_watch"]


def of_requests(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return warnings that name a request: a busy machine holds the loop, too."""
    return [record for record in warnings(caplog) if "request_id" in vars(record)]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each request for a prompt hold the loop, somewhere below its handler."""
    create = responses.Responses.create

    async def holding(self: responses.Responses, request: Request) -> Reply | None:
        hold()
        return await create(self, request)

    monkeypatch.setattr(responses.Responses, "create", holding)
    put = lane.Lane.put
    monkeypatch.setattr(lane.Lane, "put", lambda self, body, generate: (hold(), put(self, body, generate)))


@pytest.mark.usefixtures("held")
def test_a_request_that_holds_the_loop_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with whole_server(api_keys=["k"], metrics="open") as client:
        client.headers = {"authorization": "Bearer k", "x-request-id": "mine-7"}
        client.create(model="scripted", input="the prompt's own words")
        wait_until(lambda: bool(of_requests(caplog)))
        seen = scrape(client)
    (record,) = of_requests(caplog)
    fields = vars(record)
    assert (fields["request_id"], fields["method"], fields["path"]) == ("mine-7", "POST", "/v1/responses")
    assert fields["owner"]
    assert 200 <= int(re.findall(r"blocked for (\d+) ms", record.getMessage())[0]) <= bound(2000)
    assert HOLD - BEAT - 0.01 <= seen["antiphon_event_loop_delay_max_seconds"] < bound(2)
    inside = seen['antiphon_event_loop_delay_seconds_bucket{le="0.1"}']
    assert seen["antiphon_event_loop_delay_seconds_count"] - inside >= 1
    assert "own words" not in str(fields)


@pytest.mark.usefixtures("held")
def test_a_message_of_a_websocket_that_holds_the_loop_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with whole_server(api_keys=["k"], metrics="open") as client:
        client.headers = {"authorization": "Bearer k", "x-request-id": "mine-8"}
        with client.websocket() as connection:
            turn(connection, model="scripted", input="hi")
        wait_until(lambda: bool(of_requests(caplog)))
    fields = vars(of_requests(caplog)[0])
    assert (fields["request_id"], fields["method"], fields["path"]) == ("mine-8", "GET", "/v1/responses")
    assert fields["owner"]


async def test_a_callback_of_nobody_is_named_by_its_function(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch()
    watch.start()
    await asyncio.sleep(0.1)
    hold()
    await asyncio.sleep(0.1)
    watch.close()
    (record,) = warnings(caplog)
    assert "request_id" not in vars(record)
    assert vars(record)["function"].endswith(":hold")


async def test_a_delay_that_lasts_is_told_of_while_it_lasts(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_watch, "STUCK", 0.1)
    watch = LoopWatch()
    watch.start()
    await asyncio.sleep(0.1)
    hold(0.4)
    during = [record.getMessage() for record in warnings(caplog)]
    await asyncio.sleep(0.1)
    watch.close()
    assert len(during) == 1 and during[0].endswith("still blocked")
    assert len(warnings(caplog)) == 2


def test_a_thread_that_keeps_the_lock_is_named() -> None:
    """Where the loop's own stack shows nothing that runs, the one other thread of ours is to blame."""
    loop, other = _stack("antiphon.server.process.run", "run"), _stack("antiphon.core.request.decoding", "decode")
    assert loop_watch._blame_of({1: loop, 2: other}, 1) == {
        "function": "antiphon.core.request.decoding:decode",
        "held_in": "thread",
    }
    log.warning("held", extra=loop_watch._blame_of({1: loop, 2: other}, 1))  # none of the names is a record's own
    busy = _stack("antiphon.core.text.sse", "feed")
    assert loop_watch._blame_of({1: busy, 2: other}, 1) == {"function": "antiphon.core.text.sse:feed"}
    assert loop_watch._blame_of({1: loop}, 1) == {"function": "antiphon.server.process.run:run"}


def _stack(module: str, function: str) -> FrameType:
    """Return a frame of a function that has this name, in a file of the package's."""
    source = f"def {function}():\n    return sys._getframe()\nframe = {function}()"
    names: dict[str, Any] = {"__name__": module, "sys": sys}
    exec(compile(source, f"{loop_watch._PACKAGE}/made.py", "exec"), names)
    return names["frame"]


async def test_a_quiet_loop_is_not_late(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch()
    watch.start()
    await asyncio.sleep(0.3)
    watch.close()
    watch.close()
    page = render(watch.samples()).decode()
    assert float(re.findall(r"_count (\S+)", page)[0]) >= 5
    assert not [record for record in warnings(caplog) if "function" not in vars(record)]


def test_a_path_with_line_breaks_stays_one_line() -> None:
    from antiphon.telemetry.log import TextFormatter
    from antiphon.telemetry.request_record import Record

    record = Record("GET", b"/a\r\nb", "id")
    found = blame(_inside(record))
    warning = {"levelno": logging.WARNING, "levelname": "WARNING"}
    line = logging.makeLogRecord(
        {"name": "antiphon.server.process.loop_watch", "msg": "held", **warning, **found, "owner": "a\nb"}
    )
    assert "\n" not in TextFormatter().format(line)


def test_an_object_that_is_just_being_made_does_no_harm() -> None:
    made = object.__new__(Run)
    found = blame(_frame_with("antiphon.responses.run", made))
    assert found == {"function": "antiphon.responses.run:f"}


def _frame_with(module: str, value: object) -> FrameType:
    names: dict[str, Any] = {"__name__": module, "sys": sys, "value": value}
    source = "def f(it):\n    return sys._getframe()\nframe = f(value)"
    exec(compile(source, f"{loop_watch._PACKAGE}/made.py", "exec"), names)
    return names["frame"]


def _inside(record: object) -> object:
    return sys._getframe()


def test_every_worker_tells_of_its_own_loop(tmp_path) -> None:
    with golden_upstream() as upstream, command(tmp_path, "--workers", "2", "--backend", upstream) as served:
        client = Client(served.url)
        name = "antiphon_event_loop_delay_max_seconds{"
        wait_until(lambda: sum(series.startswith(name) for series in scrape(client)) == 2)
