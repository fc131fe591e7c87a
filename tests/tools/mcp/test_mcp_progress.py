"""Progress of MCP calls, programs as servers, and refusals with their reasons."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from antiphon.config import McpServerConfig
from antiphon.net.url_guard import UrlGuard
from antiphon.tools.base import McpTool, ToolServerError
from antiphon.tools.mcp.servers import McpServers
from tests.tools.mcp.hostile_kinds import GOOD, Exchange, until
from tests.tools.mcp.mcp_servers import LOOPBACK, META, Stream, called, connected, progress
from tests.tools.mcp.scripted import scripted

pytestmark = [pytest.mark.slow, pytest.mark.needs("mcp")]


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
    (500, "", b"The disk is full.\n", "HTTP status 500 (Internal Server Error): The disk is full."),
    (400, "", b'{"title":"Bad","detail":"No such tool"}', "HTTP status 400 (Bad Request): No such tool"),
    (500, "", b"key token-of-mine", "HTTP status 500 (Internal Server Error): key <redacted>"),
    (500, "", b"<html>", "HTTP status 500 (Internal Server Error)."),
    (599, "", b"", "HTTP status 599."),
]


@pytest.mark.parametrize(("status", "challenge", "body", "told"), REFUSALS)
async def test_a_refusal_is_told_with_its_reason(status: int, challenge: str, body: bytes, told: str) -> None:
    kind = {b"{": "application/json", b"<": "text/html"}.get(body[:1], "text/plain")

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
