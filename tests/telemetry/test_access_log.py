"""The access log: a line for each request, with what is known of it and nothing that is secret."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from antiphon.access.caller import LOCAL_OWNER, Caller
from antiphon.config import ModelConfig
from antiphon.errors import APIError
from antiphon.telemetry.access_log import AccessLog
from antiphon.telemetry.log import BeatHandler, JsonFormatter, LineFormatter, TextFormatter
from antiphon.telemetry.request_record import Record, teller
from antiphon.types.response import Usage
from tests.server.whole import golden_upstream, turn, whole_server

Lines = Callable[[], list[logging.LogRecord]]


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with golden_upstream() as url:
        yield url


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """What was logged so far."""
    caplog.set_level(logging.INFO, "antiphon.telemetry.access_log")
    return lambda: [record for record in caplog.records if record.name == "antiphon.telemetry.access_log"]


def test_a_line_tells_what_came_of_a_request(upstream: str, lines: Lines) -> None:
    with whole_server(upstream) as client:
        client.headers = {"x-request-id": "mine-1"}
        client.stream(model="text", input="the prompt's own words")
    (line,) = lines()
    shown = json.loads(JsonFormatter().format(line))
    assert shown.pop("ms") > 0
    assert shown.pop("time")
    assert shown == {
        "level": "info",
        "logger": "antiphon.telemetry.access_log",
        "message": "POST /v1/responses 200",
        "request_id": "mine-1",
        "client": "127.0.0.1",
        "model": "text",
        "input_tokens": 11,
        "output_tokens": 5,
    }
    text = TextFormatter().format(line)
    assert " info telemetry.access_log: POST /v1/responses 200 ms=" in text
    assert "prompt's own" not in text


def test_a_refusal_has_its_status_and_its_code(upstream: str, lines: Lines) -> None:
    with whole_server(upstream, api_keys=["k"]) as client:
        client.get("/v1/models?key=oops")
        client.get("/v1/no\r\nwhere".replace("\r\n", "%0D%0A"))
    assert [line.getMessage() for line in lines()] == ["GET /v1/models 401", "GET /v1/no%0D%0Awhere 404"]


def test_a_response_that_fails_behind_a_200_says_so(lines: Lines) -> None:
    with whole_server("http://127.0.0.1:9/v1", retries=0, models={"m": ModelConfig()}, head_hold=0.0) as client:
        client.stream(model="m", input="hi")
    (line,) = lines()
    assert json.loads(JsonFormatter().format(line))["error"] == "backend_unavailable"
    assert line.getMessage() == "POST /v1/responses 200"


def test_a_websocket_connection_is_one_line(upstream: str, lines: Lines) -> None:
    with whole_server(upstream) as client, client.websocket() as connection:
        turn(connection, model="text", input="hi")
        turn(connection, model="text", input="hi")
    assert [line.getMessage() for line in lines()] == ["GET /v1/responses 101"]


def test_it_can_be_switched_off(upstream: str, lines: Lines) -> None:
    with whole_server(upstream, access_log=False) as client:
        client.create(model="text", input="hi")
    assert not lines()


LINES = (
    Record("GET", b"/caf\xc3\xa9\r", "req_1", status=404, ended_at=1.5, seconds=0.01234, error="not_found"),
    Record("POST", b"/v1/responses", "req_2", "::1", ended_at=1.25, seconds=2.0, model="m", usage=Usage(3, 4, 7)),
    Record("GET", b"/", "req_3", ended_at=2.0, seconds=0.00004, caller=Caller(owner=LOCAL_OWNER)),
    Record("GET", b"/", "req_4", ended_at=2.0, seconds=1234.5, caller=Caller(owner="o", meter="k"), error="x\ny"),
)


def test_a_record_that_waits_for_its_line_holds_no_response() -> None:
    told: list[Record] = []
    response = SimpleNamespace(model="m", usage=Usage(3, 4, 7))
    run: Any = SimpleNamespace(plan=SimpleNamespace(response=response), error=APIError(502, "x", code="bad_backend"))
    record = Record("POST", b"/v1/responses", "req_1", run=run)
    teller([told.append])(record)
    assert told == [record] and record.run is None
    assert (record.model, record.usage, record.error) == ("m", Usage(3, 4, 7), "bad_backend")


def written(formatter: LineFormatter, *others: logging.Handler) -> str:
    """What stands in the log after LINES, where `others` listen, too."""
    out = io.StringIO()
    handler = BeatHandler(out)
    handler.setFormatter(formatter)
    logger = logging.getLogger("antiphon.telemetry.access_log")
    before, logger.propagate = logger.handlers[:], False
    logger.handlers[:] = [handler, *others]
    try:
        access_log = AccessLog()
        access_log._waiting += LINES
        access_log.flush()
        handler.flush()
    finally:
        logger.handlers[:], logger.propagate = before, True
    return out.getvalue()


@pytest.mark.parametrize("formatter", [TextFormatter(), TextFormatter(color=True), JsonFormatter()])
def test_a_line_reads_the_same_whether_others_listen_or_not(formatter: LineFormatter) -> None:
    listener = logging.handlers.BufferingHandler(10)
    alone, beside = written(formatter), written(formatter, listener)
    assert alone == beside
    assert alone.count("\n") == len(listener.buffer) == len(LINES)


@pytest.mark.parametrize("part", ["handler", "logger"])
def test_a_filter_sees_each_line(part: str) -> None:
    seen: list[str] = []

    def see(record: logging.LogRecord) -> bool:
        seen.append(record.getMessage())
        return True

    logger = logging.getLogger("antiphon.telemetry.access_log")
    if part == "logger":
        logger.addFilter(see)
        try:
            written(JsonFormatter())
        finally:
            logger.removeFilter(see)
    else:
        listener = logging.handlers.BufferingHandler(10)
        listener.addFilter(see)
        written(JsonFormatter(), listener)
    assert seen == ["GET /caf\\xc3\\xa9\r 404", "POST /v1/responses 200", "GET / 200", "GET / 200"]
