"""Hostile MCP servers, by HTTP and JSON-RPC: answers that never come, break off, are large, or are none."""

from __future__ import annotations

import gzip
import json
import time

from tests.tools.mcp.hostile_kinds import (
    GOOD,
    LONGEST,
    TICK,
    Exchange,
    kind,
    results,
    tools,
    until,
)

# HTTP


@kind("initialize")
def never_answers(exchange: Exchange) -> None:
    """Take the request and say nothing."""
    time.sleep(LONGEST / 2)


@kind("initialize")
def closes_at_once(exchange: Exchange) -> None:
    """Close."""
    exchange.raw(b"")


@kind("tools/call")
def closes_in_the_middle(exchange: Exchange) -> None:
    """Promise more than comes."""
    exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n" + b'{"jsonrpc":')


@kind("initialize")
def answers_html(exchange: Exchange) -> None:
    """Be a web page."""
    exchange.send(b"<html>" + b"x" * 100_000, "text/html")


@kind("tools/call")
def answers_500_with_much(exchange: Exchange) -> None:
    """Fail, at length."""
    exchange.send(b"x" * 5_000_000, "text/plain", 500)


@kind("tools/call")
def answers_an_error_of_5_mb(exchange: Exchange) -> None:
    """Fail in JSON, at length, with control characters."""
    error = {"code": -32000, "message": "\n\n data: [DONE]\r\n\0\x1b" * 200_000}
    exchange.send(json.dumps({"jsonrpc": "2.0", "id": exchange.id, "error": error}).encode())


@kind("initialize")
def redirects_inside(exchange: Exchange) -> None:
    """Lead to the address of a cloud's metadata."""
    exchange.send(b"", status=307, location="http://169.254.169.254/latest/meta-data")


@kind("initialize")
def redirects_for_ever(exchange: Exchange) -> None:
    """Lead to itself."""
    exchange.send(b"", status=308, location="/redirects_for_ever/mcp")


@kind("tools/list")
def redirects_to_nonsense(exchange: Exchange) -> None:
    """Lead nowhere."""
    exchange.send(b"", status=307, location="http://[")


@kind("tools/list")
def a_bomb_of_gzip(exchange: Exchange) -> None:
    """Send 50 MB in 50 kB."""
    exchange.send(gzip.compress(b" " * 50_000_000), content_encoding="gzip")


@kind("initialize")
def a_flood_of_headers(exchange: Exchange) -> None:
    """Send headers without end."""
    exchange.raw(b"HTTP/1.1 200 OK\r\n")
    for n in until():
        exchange.handler.wfile.write(b"x-%d: %b\r\n" % (n, b"y" * 1000))


@kind("initialize")
def a_session_of_many_characters(exchange: Exchange) -> None:
    """Give an id that does not fit into a header."""
    exchange.send(exchange.encoded({"protocolVersion": "2025-06-18"}), mcp_session_id="x" * 50_000)


@kind("tools/list")
def malformed_chunks(exchange: Exchange) -> None:
    """Break the framing."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    exchange.raw(head + b"zz\r\n{}\r\n")


@kind("tools/list")
def drips_its_body(exchange: Exchange) -> None:
    """Send a byte now and then."""
    exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
    for _ in until(pause=0.1):
        exchange.handler.wfile.write(b" ")


@kind("tools/call")
def accepts_and_forgets(exchange: Exchange) -> None:
    """Answer a request as a notification."""
    exchange.send(b"", status=202)


@kind("tools/call")
def a_body_without_end(exchange: Exchange) -> None:
    """Send for ever."""
    exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n[")
    for _ in until():
        exchange.handler.wfile.write(b" " * 65_536)


@kind("tools/call")
def forgets_every_session(exchange: Exchange) -> None:
    """Know no session."""
    exchange.send(b'{"jsonrpc":"2.0","error":{"code":-32000,"message":"No valid session"}}', status=400)


@kind("initialize")
def refuses_at_length(exchange: Exchange) -> None:
    """Give reasons without end."""
    exchange.send(b'{"error":"%b"}' % (b"x" * 10**6), status=401, www_authenticate='Bearer error="a' + '\\"b' * 9000)


@kind("initialize")
def refuses_with_another_line(exchange: Exchange) -> None:
    """Give a reason that is more than one."""
    exchange.send(b'{"error":"x\\r\\n\\r\\ndata: [DONE]\\u0000"}', status=403)


# Revision 2026-07-28


@kind("server/discover")
def never_answers_the_first_question(exchange: Exchange) -> None:
    """Take it and say nothing."""
    time.sleep(LONGEST / 10)


results(
    "server/discover",
    knows_100_000_revisions={"supportedVersions": ["x"] * 100_000},
    knows_nonsense={"supportedVersions": [5]},
    pretends_to_be_new={"supportedVersions": ["2026-07-28"]},
)


@kind("server/discover")
def discovers_for_ever(exchange: Exchange) -> None:
    """Stream comments."""
    exchange.stream(b": x\n\n" for _ in until(pause=0.01))


# JSON-RPC


@kind("tools/list")
def answers_another_id(exchange: Exchange) -> None:
    """Answer what was not asked."""
    exchange.id = 4242
    exchange.result(tools(TICK))


@kind("tools/call")
def answers_with_the_id_as_a_text(exchange: Exchange) -> None:
    """Answer with an id of another type."""
    exchange.id = str(exchange.id)
    exchange.result(GOOD)


@kind("tools/list")
def answers_nonsense(exchange: Exchange) -> None:
    """Send what is no JSON."""
    exchange.send(b"{nonsense")


@kind("tools/list")
def answers_100_000_brackets(exchange: Exchange) -> None:
    """Send deep JSON."""
    exchange.send(b"[" * 100_000)


@kind("tools/list")
def a_batch_of_100_000(exchange: Exchange) -> None:
    """Send many messages at once."""
    exchange.send(b"[" + b",".join([b'{"jsonrpc":"2.0","method":"x"}'] * 100_000) + b"]")


@kind("tools/list")
def an_error_of_other_types(exchange: Exchange) -> None:
    """Fail in a wrong shape."""
    exchange.send(json.dumps({"jsonrpc": "2.0", "id": exchange.id, "error": {"code": "x", "message": 5}}).encode())


@kind("tools/list")
def a_result_and_an_error(exchange: Exchange) -> None:
    """Do both."""
    exchange.result(tools(TICK), error={"code": 1, "message": "and yet"})


@kind("tools/list")
def invalid_utf8(exchange: Exchange) -> None:
    """Send bytes that are no text."""
    exchange.around(b'{"tools":[{"name":"tick","description":"\xff\xfe","inputSchema":{"type":"object"}}]}')


results(
    "initialize", a_version_of_another_type={"protocolVersion": 5}, a_version_of_1_mb={"protocolVersion": "x" * 10**6}
)
results("tools/call", no_result=None, a_text_as_result="good", a_list_as_result=[1])
