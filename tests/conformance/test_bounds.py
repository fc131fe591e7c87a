"""The server under test may be hostile: size, time and terminal are bounded, and the key is shown nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from antiphon.conformance.base import CheckOutcome, Mark, ServerUnderTest
from antiphon.conformance.readable import readable
from antiphon.conformance.report import details, line
from antiphon.conformance.suite import choose_models, outcome, outcomes
from antiphon.conformance.table import checks_of
from antiphon.conformance.wire import MOST_BYTES, Wire
from antiphon.errors import APIError, ConfigError
from tests.server.whole import upstream

KEY = "sk-a-key-that-is-shown-nowhere"


def hostile(answer: Callable[[Any], None]) -> type[BaseHTTPRequestHandler]:
    """Return a server that answers everything in one way."""

    class Hostile(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            with contextlib.suppress(ConnectionError):
                answer(self)
            self.close_connection = True

        def do_POST(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

    return Hostile


def _head(server: Any, kind: str = "application/json", status: int = 200, **headers: str) -> None:
    server.send_response(status)
    for name, value in {"content-type": kind, "connection": "close", **headers}.items():
        server.send_header(name, value)
    server.end_headers()


def _silent(server: Any) -> None:
    threading.Event().wait(5)


def _dripping(server: Any) -> None:
    _head(server)
    for _ in range(100):
        server.wfile.write(b" ")
        server.wfile.flush()
        threading.Event().wait(0.05)


def _endless(server: Any) -> None:
    _head(server)
    for _ in range(2 * MOST_BYTES // 65536):
        server.wfile.write(b"x" * 65536)


def _endless_stream(server: Any) -> None:
    _head(server, "text/event-stream")
    for _ in range(2 * MOST_BYTES // 65536):
        server.wfile.write(b'data: {"type": "x"}\n\n' * 3000)


def _one_event(server: Any) -> None:
    _head(server, "text/event-stream")
    for _ in range(64):
        server.wfile.write(b"data: " + b"x" * 65536)


def _deep(server: Any) -> None:
    _head(server)
    server.wfile.write(b"[" * 1_000_000)


def _numbers(server: Any) -> None:
    _head(server)
    server.wfile.write(b'{"created_at": ' + b"9" * 100_000 + b"}")


def _odd(server: Any) -> None:
    _head(server)
    server.wfile.write(b'{"id": {}, "object": [], "output": [null, 1, [], {"type": []}], "error": 5, "data": {"a": 1}}')


def _no_http(server: Any) -> None:
    server.wfile.write(b"\x00\xff\r\n\r\n")


def _redirect(server: Any) -> None:
    _head(server, status=302, location="http://127.0.0.1:9/v1/models")


SERVERS = [_silent, _dripping, _endless, _endless_stream, _one_event, _deep, _numbers, _odd, _no_http, _redirect]
TRIED = [("responses", "text"), ("streaming", "text"), ("websocket", "text"), ("files", "life"), ("messages", "stream")]


def run(url: str, wanted: list[tuple[str, str]], timeout: float = 1.0, seconds: float = 60.0) -> list[CheckOutcome]:
    async def made() -> list[CheckOutcome]:
        wire = Wire(ServerUnderTest(url=url, key=KEY, model="m", timeout=timeout))
        checks = [check for check in checks_of() if (check.area, check.name) in wanted]
        try:
            return [one async for one in outcomes(wire, checks, seconds)]
        finally:
            await wire.close()

    return asyncio.run(made())


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
def test_a_hostile_server_is_never_right_and_holds_nobody_up(server: Callable[[Any], None]) -> None:
    with upstream(hostile(server)) as url:
        found = run(url, TRIED)
    assert len(found) == len(TRIED)
    assert {one.mark for one in found} <= {Mark.NO, Mark.NOT_OFFERED}
    assert all(one.reasons and all(len(reason) < 500 for reason in one.reasons) for one in found)
    assert all(len(shown.answer) < 2000 for one in found for shown in one.exchanges)


def test_what_a_server_says_moves_no_cursor_and_turns_no_text() -> None:
    said = "\x1b[2J\x1b]0;title\x07 \u202eabc\u2028 \x9b31m \r\n ok"
    shown = readable(said, 100)
    assert shown.isprintable()
    assert shown.endswith("ok")


def test_no_redirect_carries_the_key_to_another_server() -> None:
    seen: list[str] = []

    def other(server: Any) -> None:
        seen.append(server.path)
        _head(server)

    with upstream(hostile(other)) as elsewhere:

        def redirect(server: Any) -> None:
            _head(server, status=307, location=elsewhere.replace("http", "ws") + "/responses")

        with upstream(hostile(redirect)) as url:
            run(url, TRIED)
    assert not seen


def test_a_key_that_comes_back_is_not_shown() -> None:
    def echo(server: Any) -> None:
        _head(server, status=400)
        server.wfile.write(
            json.dumps({"error": {"message": f"bad key {server.headers['authorization']}", "type": "x"}}).encode()
        )

    with upstream(hostile(echo)) as url:
        found = run(url, [("responses", "text"), ("errors", "wrong type"), ("streaming", "text")])
    said = json.dumps([[one.reasons, [shown.answer for shown in one.exchanges]] for one in found])
    assert "bad key" in said
    assert KEY not in said


def test_checks_for_which_no_time_is_left_are_not_tried() -> None:
    with upstream(hostile(_odd)) as url:
        found = run(url, TRIED, seconds=0.0)
    assert {one.mark for one in found} == {Mark.NOT_TRIED}


def test_a_check_ends_although_each_answer_comes_in_time() -> None:
    def slow(server: Any) -> None:
        threading.Event().wait(0.2)
        _head(server)
        server.wfile.write(b'{"id": "conv_1", "object": "conversation", "created_at": 1, "metadata": {"topic": "one"}}')

    check = next(check for check in checks_of() if (check.area, check.name) == ("conversations", "life"))

    async def made(url: str) -> CheckOutcome:
        wire = Wire(ServerUnderTest(url=url, model="m", timeout=5.0))
        try:
            return await outcome(wire, check, 0.3)
        finally:
            await wire.close()

    with upstream(hostile(slow)) as url:
        found = asyncio.run(made(url))
    assert found.mark is Mark.NO
    assert "it took more than" in found.reasons[0]


@pytest.mark.parametrize(
    ("server", "error", "words"),
    [
        (_no_http, APIError, "127.0.0.1"),
        (_odd, ConfigError, "lists no model"),
        (_redirect, ConfigError, "lists no model"),
    ],
)
def test_a_server_that_lists_no_model_is_told(server: Any, error: type[Exception], words: str) -> None:
    async def made(url: str) -> None:
        wire = Wire(ServerUnderTest(url=url, timeout=5.0))
        try:
            await choose_models(wire)
        finally:
            await wire.close()

    with upstream(hostile(server)) as url, pytest.raises(error, match=words):
        asyncio.run(made(url))


def test_a_row_and_its_details_are_lines_of_text() -> None:
    with upstream(hostile(_odd)) as url:
        found = run(url, [("responses", "text")])
    texts = [line(one, lambda _, text: text) for one in found] + list(details(found))
    assert all(text.replace("\n", "").isprintable() for text in texts)
    assert any("request" in text for text in texts)
