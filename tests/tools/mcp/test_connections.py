"""How MCP servers are spoken to: revisions with a handshake and without, sessions, progress, refusals."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.tools.base import ToolServer, ToolServerError
from antiphon.tools.mcp.messages import WITHOUT_HANDSHAKE
from antiphon.tools.mcp.servers import McpServers
from tests.tools.mcp.hostile_kinds import GOOD, TICK, Exchange, Json, tools, until
from tests.tools.mcp.mcp_servers import LOOPBACK, META, Stream, called, connected, failed, good, progress
from tests.tools.mcp.scripted import scripted

pytestmark = [pytest.mark.slow, pytest.mark.needs("mcp")]
DISCOVERED = {"supportedVersions": [WITHOUT_HANDSHAKE], "capabilities": {"tools": {}}, "resultType": "complete"}
HANDSHAKE = ["initialize", "notifications/initialized"]


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
        assert "'bad' is not offered" in caplog.text
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
