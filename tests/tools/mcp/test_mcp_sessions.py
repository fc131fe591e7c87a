"""Sessions of MCP servers that are lost and begun anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.tools.base import ToolServerError
from tests.tools.mcp.hostile_kinds import Exchange
from tests.tools.mcp.mcp_servers import called, connected, failed
from tests.tools.mcp.scripted import scripted

pytestmark = [pytest.mark.slow, pytest.mark.needs("mcp")]


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
