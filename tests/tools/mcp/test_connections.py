"""How MCP servers are spoken to: revisions with a handshake and without, sessions, progress, refusals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import queue
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.config import McpServerConfig
from antiphon.net.url_guard import UrlGuard
from antiphon.tools.base import McpTool, ToolServer, ToolServerError
from antiphon.tools.mcp.messages import WITHOUT_HANDSHAKE
from antiphon.tools.mcp.servers import McpServers
from tests.tools.mcp.hostile import GOOD, TICK, Exchange, Json, tools, until
from tests.tools.mcp.scripted import Scripted, scripted

pytestmark = [pytest.mark.slow, pytest.mark.needs("mcp")]

LOOPBACK = UrlGuard(["127.0.0.0/8"])
META = "io.modelcontextprotocol/"
DISCOVERED = {"supportedVersions": [WITHOUT_HANDSHAKE], "capabilities": {"tools": {}}, "resultType": "complete"}
HANDSHAKE = ["initialize", "notifications/initialized"]


def connected(server: Scripted, servers: McpServers | None = None, **fields: Any) -> ToolServer:
    servers = servers or McpServers(LOOPBACK, {}, 20.0)
    return servers.connect(McpTool(server_label="x", server_url=server.url, **fields))


async def called(server: ToolServer, arguments: str = "{}", name: str = "tick") -> str:
    """List the tools and call one; return what it gave."""
    try:
        await server.list()
        return (await server.call(name, arguments)).text
    finally:
        await server.close()


def failed(exchange: Exchange, code: int, message: str, status: int = 200, data: object = None) -> bool:
    error = {"code": code, "message": message, "data": data}
    exchange.send(json.dumps({"jsonrpc": "2.0", "id": exchange.id, "error": error}).encode(), status=status)
    return True


# Revisions


def modern(exchange: Exchange) -> bool:
    """Answer as a server of 2026-07-28 does."""
    headers, meta = exchange.handler.headers, exchange.params.get("_meta", {})
    if headers.get("mcp-protocol-version") != WITHOUT_HANDSHAKE or headers.get("mcp-method") != exchange.method:
        return failed(exchange, -32020, "Header mismatch", 400)
    assert meta[f"{META}protocolVersion"] == WITHOUT_HANDSHAKE
    assert meta[f"{META}clientCapabilities"] == {}
    assert meta[f"{META}clientInfo"]["name"] == "antiphon"
    assert "mcp-session-id" not in headers
    if exchange.method == "server/discover":
        exchange.result(DISCOVERED)
    elif exchange.method == "tools/list":
        exchange.result({**tools(TICK), "resultType": "complete", "ttlMs": 0, "cacheScope": "private"})
    elif exchange.method == "tools/call":
        assert headers["mcp-name"] == "tick"
        exchange.result({**GOOD, "resultType": "complete"})
    else:
        return failed(exchange, -32601, "Method not found", 404)
    return True


def without_discovery(exchange: Exchange) -> bool:
    return failed(exchange, -32601, "no", 404) if exchange.method == "server/discover" else modern(exchange)


def names_its_revisions(exchange: Exchange) -> bool:
    supported = {"supported": [WITHOUT_HANDSHAKE], "requested": ""}
    return failed(exchange, -32022, "no", 400, supported) if exchange.method == "server/discover" else modern(exchange)


def earlier(answer: Callable[[Exchange], object]) -> Callable[[Exchange], bool]:
    """Return a server with a handshake, and what it makes of `server/discover`."""

    def act(exchange: Exchange) -> bool:
        if exchange.method == "server/discover":
            answer(exchange)
            return True
        headers = exchange.handler.headers
        assert headers.get("mcp-protocol-version") == (None if exchange.method == "initialize" else "2025-06-18")
        assert "mcp-method" not in headers
        return False

    return act


@pytest.mark.parametrize(
    ("answer", "methods"),
    [
        (modern, ["server/discover", "tools/list", "tools/call"]),
        (names_its_revisions, ["server/discover", "tools/list", "tools/call"]),
        (without_discovery, ["server/discover", "initialize", "tools/list", "tools/call"]),
        *(
            (earlier(answer), ["server/discover", *HANDSHAKE, "tools/list", "tools/call"])
            for answer in (
                lambda exchange: failed(exchange, -32601, "no such method"),
                lambda exchange: failed(exchange, -32000, "Bad Request: Server not initialized", 400),
                lambda exchange: failed(exchange, -32022, "no", 400, {"supported": ["2025-11-25"]}),
                lambda exchange: exchange.send(b"", status=404),
                lambda exchange: exchange.send(b"<html>", "text/html", 500),
                lambda exchange: exchange.send(b"nonsense"),
                lambda exchange: exchange.result(GOOD),
                lambda exchange: exchange.result({"supportedVersions": ["2099-01-01"]}),
                lambda exchange: exchange.raw(b""),
                lambda exchange: exchange.send(b"", status=403),
            )
        ),
    ],
)
async def test_each_server_is_spoken_to_in_its_revision(answer: Any, methods: list[str]) -> None:
    with scripted(answer) as server:
        assert await called(connected(server)) == "good"
        assert server.methods() == methods


async def test_a_server_that_does_not_answer_the_first_question_gets_a_handshake() -> None:
    def silent(exchange: Exchange) -> bool:
        if exchange.method == "server/discover":
            for _ in until(5.0, 0.05):
                pass
        return exchange.method == "server/discover"

    with scripted(silent) as server:
        assert await called(connected(server, McpServers(LOOPBACK, {}, 4.0))) == "good"
        assert server.methods()[:2] == ["server/discover", "initialize"]


@pytest.mark.parametrize("answer", [modern, earlier(lambda exchange: failed(exchange, -32601, "no"))])
async def test_what_a_server_is_is_remembered_until_it_fails(answer: Any) -> None:
    refuse = False

    def act(exchange: Exchange) -> bool:
        return failed(exchange, 1, "broken", 500) if refuse and exchange.method == "tools/list" else answer(exchange)

    servers = McpServers(LOOPBACK, {}, 20.0)
    with scripted(act) as server:
        for asked in (1, 1):
            await called(connected(server, servers))
            assert server.methods().count("server/discover") == asked
        refuse = True
        with pytest.raises(ToolServerError):
            await called(connected(server, servers))
        refuse = False
        await called(connected(server, servers))
        assert server.methods().count("server/discover") <= 2


async def test_arguments_that_a_tool_wants_as_headers_are_sent_as_such(caplog: pytest.LogCaptureFixture) -> None:
    def wants(*names: str) -> Json:
        return {"type": "object", "properties": {name: {"type": "string", "x-mcp-header": name} for name in names}}

    bad = {**TICK, "name": "bad", "inputSchema": wants("a b")}
    lists = iter([wants("City"), wants("City", "Zone")])
    stale = True

    def act(exchange: Exchange) -> bool:
        nonlocal stale
        if exchange.method == "tools/list":
            exchange.result(tools({**TICK, "inputSchema": next(lists)}, bad))
            return True
        if exchange.method == "tools/call" and stale:
            stale = False
            return failed(exchange, -32020, "Header mismatch", 400)
        return modern(exchange)

    with scripted(act) as server, caplog.at_level(logging.WARNING, "antiphon.tools.mcp"):
        connection = connected(server)
        assert [tool.name for tool in await connection.list()] == ["tick"]
        assert "'bad' left out" in caplog.text
        assert await called_once(connection, '{"City": "Köln", "Zone": "z"}') == "good"
        first, second = (call.headers for call in server.calls())
        assert (first["mcp-param-city"], "mcp-param-zone" in first) == ("=?base64?S8O2bG4=?=", False)
        assert (second["mcp-param-city"], second["mcp-param-zone"]) == ("=?base64?S8O2bG4=?=", "z")


async def called_once(server: ToolServer, arguments: str) -> str:
    try:
        return (await server.call("tick", arguments)).text
    finally:
        await server.close()


CANCELLED = {"a": {"action": "cancel"}}
ELICIT = {"method": "elicitation/create", "params": {"message": "which?"}}


@pytest.mark.parametrize(
    ("result", "again"),
    [
        ({"inputRequests": {"a": ELICIT}, "requestState": " s "}, {"inputResponses": CANCELLED, "requestState": " s "}),
        ({"inputRequests": {"a": ELICIT}}, {"inputResponses": CANCELLED}),
        ({"requestState": "s"}, {"requestState": "s"}),
        ({"inputRequests": {"a": {"method": "sampling/createMessage"}}}, None),
        ({}, None),
    ],
)
async def test_a_question_to_a_person_is_answered_as_one_that_nobody_has_seen(result: Json, again: Json | None) -> None:
    def act(exchange: Exchange) -> bool:
        if exchange.method != "tools/call" or exchange.params.keys() & {"inputResponses", "requestState"}:
            return modern(exchange)
        exchange.result({**result, "resultType": "input_required"})
        return True

    with scripted(act) as server:
        if again is None:
            with pytest.raises(ToolServerError, match="asks for more input"):
                await called(connected(server))
            return
        assert await called(connected(server)) == "good"
        first, second = (call.message for call in server.calls())
        assert {
            key: second["params"].get(key) for key in ("inputResponses", "requestState") if key in second["params"]
        } == again
        assert first["id"] != second["id"]


async def test_a_server_that_asks_for_ever_is_told() -> None:
    def act(exchange: Exchange) -> bool:
        if exchange.method == "tools/call":
            exchange.result({"resultType": "input_required", "requestState": "s"})
        return exchange.method == "tools/call" or modern(exchange)

    with scripted(act) as server:
        with pytest.raises(ToolServerError, match="asks for more input"):
            await called(connected(server))
        assert len(server.calls()) == 4


async def test_a_server_that_wants_one_of_its_own_revisions_is_asked_for_it() -> None:
    def act(exchange: Exchange) -> bool:
        if exchange.method == "initialize" and exchange.params["protocolVersion"] != "2025-03-26":
            return failed(
                exchange, -32602, "Unsupported protocol version", 200, {"supported": ["2025-03-26", "2024-11-05"]}
            )
        return exchange.method == "server/discover" and failed(exchange, -32601, "no")

    with scripted(act) as server:
        assert await called(connected(server)) == "good"
        assert server.methods()[:4] == ["server/discover", "initialize", *HANDSHAKE]


FRAMED = b"event: message\r\ndata: %b\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        lambda exchange: exchange.send(
            exchange.encoded(GOOD).replace(b'"id": ', b'"id": "').replace(b', "result"', b'", "result"')
        ),
        lambda exchange: exchange.send(FRAMED % exchange.encoded(GOOD)),
        lambda exchange: exchange.send(FRAMED % progress(exchange, 1, 1)[21:-2] + FRAMED % exchange.encoded(GOOD)),
        lambda exchange: exchange.send(exchange.encoded(GOOD), "text/plain"),
        lambda exchange: exchange.result({**GOOD, "isError": None, "structuredContent": None, "_meta": None}),
        lambda exchange: exchange.result({"content": None, "structuredContent": "good"}),
        lambda exchange: exchange.result({"content": [{"type": "text", "text": None}, *GOOD["content"]]}),
    ],
)
async def test_answers_of_odd_shapes_are_understood(answer: Any) -> None:
    def act(exchange: Exchange) -> bool:
        if exchange.method == "tools/call":
            answer(exchange)
        return exchange.method == "tools/call"

    with scripted(act) as server:
        assert (await called(connected(server))).strip('"\n') == "good"


# Transports


class Stream:
    """A server of HTTP with SSE: answers come by one stream. `answer` gives the messages for a call."""

    def __init__(self, answer: Callable[[Exchange], Iterator[bytes]], refusal: int = 405) -> None:
        self._answer = answer
        self._refusal = refusal
        self._messages: queue.Queue[bytes] = queue.Queue()

    def __call__(self, exchange: Exchange) -> bool:
        handler: Any = exchange.handler
        if handler.command == "GET":
            exchange.stream(self._pieces())
        elif handler.path != "/posts":
            exchange.send(b"", status=self._refusal)
        else:
            exchange.send(b"", status=202)
            self._tell(exchange)
        return True

    def _pieces(self) -> Iterator[bytes]:
        yield b"event: endpoint\ndata: /posts\n\n"
        for _ in until(10.0):
            with contextlib.suppress(queue.Empty):
                yield self._messages.get(timeout=0.05)

    def _tell(self, exchange: Exchange) -> None:
        results = {"initialize": {"protocolVersion": "2024-11-05", "capabilities": {}}, "tools/list": tools(TICK)}
        if exchange.method in results:
            self._messages.put(exchange.event(exchange.encoded(results[exchange.method])))
        elif exchange.method == "tools/call":
            for piece in self._answer(exchange):
                self._messages.put(piece)


def good(exchange: Exchange) -> Iterator[bytes]:
    yield exchange.event(exchange.encoded(GOOD))


@pytest.mark.parametrize("path", ["/sse", "/events"])
@pytest.mark.parametrize("refusal", [400, 404, 405])
async def test_a_server_of_2024_is_found_wherever_it_is(path: str, refusal: int) -> None:
    with scripted(Stream(good, refusal), path) as server:
        assert await called(connected(server)) == "good"
        assert (server.methods()[0] == "GET") == (path == "/sse")


async def test_a_streamable_server_is_found_at_a_path_of_another_transport() -> None:
    def act(exchange: Exchange) -> bool:
        handler: Any = exchange.handler
        return failed(exchange, -32000, "Method not allowed", 405) if handler.command == "GET" else modern(exchange)

    with scripted(act, "/sse") as server:
        assert await called(connected(server)) == "good"
        assert server.methods()[:2] == ["GET", "server/discover"]


async def test_a_page_that_is_no_server_is_told_by_its_first_answer() -> None:
    def act(exchange: Exchange) -> bool:
        handler: Any = exchange.handler
        exchange.send(b"<html>", "text/html", 404 if handler.command == "POST" else 200)
        return True

    with scripted(act) as server, pytest.raises(ToolServerError, match="HTTP status 404"):
        await called(connected(server))


# Sessions


class Sessions:
    """A server with sessions, which forgets the first ones at the call."""

    def __init__(self, lost: Callable[[Exchange], object], times: int = 1) -> None:
        self.begun = 0
        self.made: list[str] = []
        self._lost = lost
        self._times = times

    def __call__(self, exchange: Exchange) -> bool:
        session = exchange.handler.headers.get("mcp-session-id", "")
        if exchange.method == "initialize":
            self.begun += 1
            result = {"protocolVersion": "2025-06-18", "capabilities": {}}
            exchange.send(exchange.encoded(result), mcp_session_id=f"s{self.begun}")
            return True
        if exchange.method != "tools/call":
            return exchange.method == "server/discover" and failed(exchange, -32601, "no")
        if session and int(session[1:]) <= self._times:
            self._lost(exchange)
            return True
        self.made.append(session)
        return False


LOST = [
    lambda exchange: exchange.send(b"", status=404),
    lambda exchange: exchange.send(b"Not Found", "text/plain", 404),
    lambda exchange: failed(exchange, -32600, "Session not found", 404),
    lambda exchange: failed(exchange, -32001, "Session not found", 404),
    lambda exchange: failed(exchange, -32000, "Bad Request: No valid session ID provided", 400),
]


@pytest.mark.parametrize("lost", LOST)
async def test_a_lost_session_is_begun_anew_and_the_call_repeated(lost: Any) -> None:
    sessions = Sessions(lost)
    with scripted(sessions) as server:
        assert await called(connected(server)) == "good"
        assert (sessions.begun, sessions.made, len(server.calls())) == (2, ["s2"], 2)


@pytest.mark.parametrize("lost", LOST)
async def test_it_is_begun_anew_once(lost: Any) -> None:
    sessions = Sessions(lost, times=9)
    with scripted(sessions) as server:
        with pytest.raises(ToolServerError):
            await called(connected(server))
        assert (sessions.begun, sessions.made) == (2, [])


async def test_calls_side_by_side_that_lose_their_session_are_all_made() -> None:
    sessions = Sessions(LOST[0])
    with scripted(sessions) as server:
        connection = connected(server)
        await connection.list()
        outputs = await asyncio.gather(*(connection.call("tick", "{}") for _ in range(6)))
        await connection.close()
        assert [output.text for output in outputs] == ["good"] * 6
        assert len(sessions.made) == 6


@pytest.mark.parametrize(
    "answer",
    [
        lambda exchange: failed(exchange, -32000, "a bad argument", 400),
        lambda exchange: failed(exchange, 1, "broken", 500),
        lambda exchange: exchange.send(b"", status=502),
        lambda exchange: exchange.raw(b""),
    ],
)
async def test_what_may_have_been_done_is_not_done_again(answer: Any) -> None:
    sessions = Sessions(answer)
    with scripted(sessions) as server:
        with pytest.raises(ToolServerError):
            await called(connected(server))
        assert len(server.calls()) == 1


# Progress


def progress(exchange: Exchange, token: object, n: float) -> bytes:
    return exchange.event({"method": "notifications/progress", "params": {"progressToken": token, "progress": n}})


Token = Callable[[Exchange], object]


def at_work(exchange: Exchange, times: int, pause: float, token: Token) -> Iterator[bytes]:
    """Tell of the progress of a call so many times, then answer it."""
    for n in until(pause=pause):
        yield progress(exchange, token(exchange), n)
        if n == times:
            break
    yield exchange.event(exchange.encoded(GOOD))


def working(times: int, pause: float, token: Token) -> Callable[[Exchange], bool]:
    """Return a server whose call tells of its progress so many times."""

    def act(exchange: Exchange) -> bool:
        if exchange.method == "tools/call":
            exchange.stream(at_work(exchange, times, pause, token))
        return exchange.method == "tools/call"

    return act


def given_token(exchange: Exchange) -> object:
    return exchange.params["_meta"]["progressToken"]


@pytest.mark.parametrize("transport", ["streamable", "sse"])
async def test_a_call_that_makes_progress_is_waited_for(transport: str) -> None:
    work = working(25, 0.2, given_token)
    answer = work if transport == "streamable" else Stream(lambda exchange: at_work(exchange, 25, 0.2, given_token))
    with scripted(answer, "/mcp" if transport == "streamable" else "/sse") as server:
        assert await called(connected(server, McpServers(LOOPBACK, {}, 3.0))) == "good"


async def test_progress_of_something_else_does_not_count() -> None:
    ended = pytest.raises(ToolServerError, match=r"did not answer within 3 seconds\.$")
    with scripted(working(30, 0.2, lambda exchange: "another")) as server, ended:
        await called(connected(server, McpServers(LOOPBACK, {}, 3.0)))


async def test_progress_is_waited_for_within_a_bound() -> None:
    ended = pytest.raises(ToolServerError, match=r"within 5 seconds \(mcp_progress_timeout\)")
    with scripted(working(10_000, 0.1, given_token)) as server, ended:
        await called(connected(server, McpServers(LOOPBACK, {}, 3.0, 5.0)))


async def test_progress_that_stops_is_told() -> None:
    def act(exchange: Exchange) -> bool:
        def pieces() -> Iterator[bytes]:
            yield progress(exchange, given_token(exchange), 1)
            for _ in until(15.0, 0.1):
                yield b": still here\n\n"

        if exchange.method == "tools/call":
            exchange.stream(pieces())
        return exchange.method == "tools/call"

    with (
        scripted(act) as server,
        pytest.raises(ToolServerError, match="within 3 seconds after its last sign of progress"),
    ):
        await called(connected(server, McpServers(LOOPBACK, {}, 3.0)))


PROGRAM = """
import json, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    method = asked["method"]
    if "id" not in asked:
        continue
    answer = {"jsonrpc": "2.0", "id": asked["id"]}
    if method == "tools/call":
        for n in range(30):
            params = {"progressToken": asked["params"]["_meta"]["progressToken"], "progress": n}
            print(json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}), flush=True)
            time.sleep(0.2)
        answer["result"] = {"content": [{"type": "text", "text": VERSION}]}
    elif method == "tools/list":
        answer["result"] = {"tools": [{"name": "tick", "inputSchema": {"type": "object"}}]}
    elif method == "DISCOVER":
        answer["result"] = {"supportedVersions": ["2026-07-28"]}
    elif method == "initialize" and "DISCOVER" == "none":
        answer["result"] = {"protocolVersion": "2025-06-18", "capabilities": {}}
    else:
        answer["error"] = {"code": -32601, "message": "no"}
    print(json.dumps(answer), flush=True)
"""


@pytest.mark.parametrize(("discover", "version"), [("none", "None"), ("server/discover", "2026-07-28")])
async def test_programs_tell_of_their_progress_and_their_revision(tmp_path: Path, discover: str, version: str) -> None:
    told = f'str(asked["params"]["_meta"].get("{META}protocolVersion"))'
    (tmp_path / "server.py").write_text(textwrap.dedent(PROGRAM.replace("DISCOVER", discover).replace("VERSION", told)))
    configured = {"p": McpServerConfig(command=sys.executable, args=[str(tmp_path / "server.py")])}
    server = McpServers(UrlGuard(), configured, 5.0).connect(McpTool(server_label="p"))
    assert await called(server) == version


# Refusals


EXPIRED = 'Bearer error="invalid_token", error_description="The token has expired", resource_metadata="https://a/b"'
SCOPES = 'Bearer error="insufficient_scope", scope="a b"'
REFUSALS = [
    (401, "", b"", "HTTP status 401 (Unauthorized)."),
    (401, EXPIRED, b"", "HTTP status 401 (Unauthorized): invalid_token: The token has expired"),
    (403, SCOPES, b"", "403 (Forbidden): insufficient_scope; scope 'a b' is needed"),
    (401, "Basic realm=x", b"", "HTTP status 401 (Unauthorized)."),
    (401, "", b'{"error":"invalid_token","error_description":"No token"}', "(Unauthorized): invalid_token: No token"),
    (403, "", b'{"message":"not for you"}', "403 (Forbidden): not for you"),
    (401, "", b'{"jsonrpc":"2.0","error":{"code":-32001,"message":"who?"}}', "(Unauthorized): error -32001: who?"),
    (401, 'Bearer error_description="token-of-mine is bad"', b"", "401 (Unauthorized): <redacted> is bad"),
    (429, "", b'{"error":"slow down"}', "HTTP status 429 (Too Many Requests): slow down"),
    (500, "", b"<html>", "HTTP status 500 (Internal Server Error)."),
    (599, "", b"", "HTTP status 599."),
]


@pytest.mark.parametrize(("status", "challenge", "body", "told"), REFUSALS)
async def test_a_refusal_is_told_with_its_reason(status: int, challenge: str, body: bytes, told: str) -> None:
    kind = "application/json" if body.startswith(b"{") else "text/html"

    def refuse(exchange: Exchange) -> bool:
        exchange.send(body, kind, status, **({"www_authenticate": challenge} if challenge else {}))
        return True

    with scripted(refuse) as server:
        with pytest.raises(ToolServerError) as refused:
            await called(connected(server, authorization="token-of-mine"))
        assert told in str(refused.value)
        assert not {"token-of-mine", "https://"} & set(str(refused.value).split())
        if status == 401:
            assert len(server.asked) == 1


@pytest.mark.parametrize("given", [True, False])
async def test_a_request_without_credentials_is_told_so(given: bool) -> None:
    def refuse(exchange: Exchange) -> bool:
        exchange.send(b"", status=401)
        return True

    with scripted(refuse) as server:
        with pytest.raises(ToolServerError) as refused:
            await called(connected(server, **({"authorization": "a"} if given else {})))
        assert ("no 'authorization'" in str(refused.value)) != given
