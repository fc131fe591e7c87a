"""The access log: a line for each request, with what is known of it and nothing that is secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from antiphon.config import ModelConfig
from antiphon.telemetry.log import JsonFormatter, TextFormatter
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
