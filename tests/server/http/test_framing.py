"""Malformed framing, trailers, upgrades that stop half way, clients that close their writing side."""

from __future__ import annotations

import json
import re
import socket
import time

import pytest

from antiphon.config import Config
from antiphon.server.http.framing import origin_form
from tests.server.handlers import Probe, call, make_app
from tests.server.serving import read_all, wait_until

pytestmark = pytest.mark.slow

CHUNKED = b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
UPGRADE = b"connection: upgrade\r\nupgrade: websocket\r\n"
VERSION = b"sec-websocket-version: 13\r\n"
KEY = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def refusal(raw: bytes) -> tuple[int, str]:
    """Return status and code of the one answer, having made sure that it has the one shape."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert raw.count(b"HTTP/1.1 ") == 1 and b"content-type: application/json" in head, raw
    parsed = json.loads(body)
    assert set(parsed) == {"error", "detail"} and parsed["detail"] == parsed["error"]["message"]
    assert parsed["error"]["status"] == int(raw[9:12])
    return int(raw[9:12]), parsed["error"]["code"]


REFUSED = {
    "chunk size": (CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n", 400),
    "negative chunk": (CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n", 400),
    "0x chunk": (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", 400),
    "empty chunk size": (CHUNKED + b"\r\nabc\r\n0\r\n\r\n", 400),
    "overflowing chunk": (CHUNKED + b"f" * 17 + b"\r\nabc", 400),
    "chunk longer than said": (CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n", 400),
    "chunk without its end": (CHUNKED + b"3\r\nabc0\r\n\r\n", 400),
    "bad chunk after a good one": (CHUNKED + b"3\r\nabc\r\nx\r\n", 400),
    "bare line feed in chunks": (CHUNKED + b"3\nabc\n0\n\n", 400),
    "identity": (b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\nabc", 501),
    "xchunked": (b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\nabc", 501),
    "gzip, chunked": (b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked twice": (b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked, gzip": (
        b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        (400, 501),
    ),
    "two codings": (CHUNKED[:-2] + b"transfer-encoding: gzip\r\n\r\n0\r\n\r\n", (400, 501)),
    "coding and length": (CHUNKED[:-2] + b"content-length: 3\r\n\r\n0\r\n\r\n", 400),
    "length and coding": (
        b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "coding in 1.0": (b"POST /echo HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "no host": (b"GET /echo HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /echo HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
    "two hosts in 1.0": (b"GET /echo HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    "a host with a blank": (b"GET /echo HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
    "a host with a path": (b"GET /echo HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
    "a host with a user": (b"GET /echo HTTP/1.1\r\nhost: u@a\r\n\r\n", 400),
    "a host that is not ASCII": (b"GET /echo HTTP/1.1\r\nhost: \xe4\r\n\r\n", 400),
    "0.9": (b"GET /echo\r\n\r\n", 400),
    "0.9 without a blank line": (b"GET /echo\r\n", 400),
    "0.9 by name": (b"GET /echo HTTP/0.9\r\nhost: a\r\n\r\n", 400),
    "2.0": (b"GET /echo HTTP/2.0\r\nhost: a\r\n\r\n", 505),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "1.2": (b"GET /echo HTTP/1.2\r\nhost: a\r\n\r\n", 400),
    "length with a sign": (b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc", 400),
    "negative length": (b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: -3\r\n\r\nabc", 400),
    "hexadecimal length": (b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 0x3\r\n\r\nabc", 400),
    "lengths": (b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 3\r\n\r\nabc", 400),
    "two lengths": (b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc", 400),
    "empty length": (b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\nabc", 400),
    "length of 5,000 digits": (b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: %b\r\n\r\n" % (b"9" * 5000), 400),
    "length of 19 digits": (b"POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 9000000000000000000\r\n\r\n", 413),
    "folded header": (b"GET /echo HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n", 400),
    "blank before the colon": (b"GET /echo HTTP/1.1\r\nhost : a\r\n\r\n", 400),
    "header without a name": (b"GET /echo HTTP/1.1\r\nhost: a\r\n: a\r\n\r\n", 400),
    "NUL in a header": (b"GET /echo HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n", 400),
    "bare line feeds": (b"GET /echo HTTP/1.1\nhost: a\n\n", 400),
    "a target that is no path": (b"GET echo HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    "bytes in the path": (b"GET /\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    "a user in the target": (b"GET http://u@a/v1/nothing HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    "POST with an upgrade": (b"POST /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE + VERSION + KEY + b"\r\n", 405),
    "PUT with an upgrade": (b"PUT /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE + VERSION + KEY + b"\r\n", 405),
    "POST with an upgrade and half a body": (
        b"POST /ws HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n" + UPGRADE + VERSION + KEY + b"\r\nab",
        405,
    ),
    "an upgrade with a body": (
        b"GET /ws HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n" + UPGRADE + VERSION + KEY + b"\r\n",
        400,
    ),
    "an upgrade with chunks": (
        b"GET /ws HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n" + UPGRADE + VERSION + KEY + b"\r\n",
        400,
    ),
    "an upgrade of 1.0": (b"GET /ws HTTP/1.0\r\nhost: a\r\n" + UPGRADE + VERSION + KEY + b"\r\n", 400),
    "an upgrade without a host": (b"GET /ws HTTP/1.1\r\n" + UPGRADE + VERSION + KEY + b"\r\n", 400),
    "an upgrade without a key": (b"GET /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE + VERSION + b"\r\n", 400),
    "an upgrade with two keys": (b"GET /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE + VERSION + KEY * 2 + b"\r\n", 400),
    "an upgrade with a short key": (
        b"GET /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE + VERSION + b"sec-websocket-key: YWJj\r\n\r\n",
        400,
    ),
    "an upgrade with a key of garbage": (
        b"GET /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE + VERSION + b"sec-websocket-key: \xff\xfe\r\n\r\n",
        400,
    ),
    "an upgrade without a version": (b"GET /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE + KEY + b"\r\n", 426),
    "an upgrade of version 8": (
        b"GET /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE + KEY + b"sec-websocket-version: 8\r\n\r\n",
        426,
    ),
    "an upgrade with bad extensions": (
        b"GET /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE + VERSION + KEY + b"sec-websocket-extensions: ;;=\r\n\r\n",
        400,
    ),
    "an upgrade with long extensions": (
        b"GET /ws HTTP/1.1\r\nhost: a\r\n"
        + UPGRADE
        + VERSION
        + KEY
        + b"sec-websocket-extensions: %b\r\n\r\n" % (b"x, " * 9000),
        400,
    ),
    "an upgrade to nowhere": (b"GET /nothing HTTP/1.1\r\nhost: a\r\n" + UPGRADE + VERSION + KEY + b"\r\n", 404),
    "CONNECT": (b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", 405),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("split", [False, True])
def test_malformed_framing_is_refused_at_once(plain, kind, split):
    data, expected = REFUSED[kind]
    began = time.monotonic()
    with plain().connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(0, len(data), 37 if split else len(data)):
            sock.sendall(data[place : place + (37 if split else len(data))])
        status, _ = refusal(read_all(sock))
    assert status in (expected if isinstance(expected, tuple) else (expected,))
    assert time.monotonic() - began < 4  # a client that may still be sending is heard out for two seconds


def test_a_handshake_may_have_a_large_head(plain):
    with plain().connect() as sock:
        fillers = b"".join(b"x-%d: %b\r\n" % (number, b"y" * 200) for number in range(150))
        head = b"GET /ws?%b HTTP/1.1\r\nhost: a\r\n" % (b"q" * 9000) + UPGRADE + VERSION + KEY
        sock.sendall(head + fillers + b"x-long: " + b"z" * 12_000 + b"\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")


def test_what_comes_with_a_handshake_is_not_lost(plain):
    with plain().connect() as sock:
        hello = b"\x81\x85\0\0\0\0hello"
        sock.sendall(b"GET /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE + VERSION + KEY + b"\r\n" + hello)
        received = b""
        while b"local:hello" not in received:
            received += sock.recv(4096)


def test_many_offers_of_another_protocol_in_a_row(plain):
    """Each is read again without the offer: that must neither nest nor copy what follows each time."""
    offer = b"GET /echo HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    began = time.monotonic()
    raw = plain().exchange(offer * 3000 + b"GET /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert raw.count(b"HTTP/1.1 200") == 3001
    assert time.monotonic() - began < 20


# Trailers


@pytest.mark.parametrize("name", [b"authorization: Bearer k", b"x-api-key: k"])
@pytest.mark.parametrize("head", [b"", b"x-api-key: wrong\r\n"])
def test_a_trailer_is_no_header(serve, name, head):
    served = serve(make_app(keys=("k",)))
    raw = served.exchange(
        b"POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\n%btransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n%b\r\n\r\n"
        % (head, name)
    )
    assert refusal(raw)[0] == 401


def test_a_trailer_is_passed_over(plain):
    raw = plain().exchange(
        CHUNKED[:-2] + b"connection: close\r\n\r\n2\r\n{}\r\n0\r\nx-request-id: mine\r\nhost: b\r\n\r\n"
    )
    assert b'"body":"{}"' in raw and b"x-request-id: mine" not in raw


FLOODS = {
    "trailers": b"x-t: " + b"y" * 1000 + b"\r\n",
    "a trailer that does not end": b"y" * 1000,
}


@pytest.mark.parametrize("kind", [*FLOODS, "extensions"])
def test_framing_without_end_is_refused(plain, kind):
    with plain().connect() as sock:
        sock.sendall(CHUNKED + (b"2\r\n{}\r\n0\r\n" if kind in FLOODS else b"2;"))
        if kind == "a trailer that does not end":
            sock.sendall(b"x: ")
        sent = 0
        try:
            while sent < 5_000_000:
                sock.sendall(FLOODS.get(kind, b"z" * 1000))
                sent += 1000
        except OSError:
            pass
        assert sent < 5_000_000 or b" 400 " in sock.recv(65536)


def test_chunks_of_one_byte_are_a_body(plain):
    body = b"".join(b"1\r\nx\r\n" for _ in range(100_000)) + b"0\r\n\r\n"
    raw = plain().exchange(
        b"POST /count HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n" + body
    )
    assert b'{"size":100000}' in raw


# Upgrades that stop half way

HALF = [
    b"POST /ws HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n" + UPGRADE + b"\r\n",
    b"GET /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE,
    b"GET /ws HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n" + UPGRADE + VERSION + KEY + b"\r\n",
    b"GET /ws HTTP/1.1\r\nhost: a\r\n" + UPGRADE + VERSION + KEY + b"x-long: " + b"z" * 9000,
]


@pytest.mark.parametrize("sent", HALF)
def test_half_a_handshake_has_the_deadline_of_heads(serve, sent):
    served = serve(make_app(body_timeout=0.4))
    with served.connect() as sock:
        sock.sendall(sent)
        assert int(read_all(sock)[9:12]) in (400, 405, 408)
    wait_until(lambda: not served.server.server_state.connections)


@pytest.mark.parametrize("sent", HALF)
def test_half_a_handshake_does_not_break_a_stop(serve, sent):
    probe = Probe()
    served = serve(make_app(probe), Config(shutdown_grace=5))
    with served.connect() as half, served.connect() as stream:
        half.sendall(sent)
        stream.sendall(b"GET /timer HTTP/1.1\r\nhost: a\r\n\r\n")
        assert stream.recv(4096)
        served.server.should_exit = True
        assert read_all(stream).endswith(b"0\r\n\r\n")


# Clients that close their writing side


@pytest.mark.parametrize("path", [b"/timer", b"/wait", b"/stream", b"/echo"])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_half_closed_client_gets_its_whole_answer(plain, path, version):
    with plain().connect() as sock:
        sock.sendall(b"GET %b HTTP/%b\r\nhost: a\r\n\r\n" % (path, version))
        sock.shutdown(socket.SHUT_WR)
        raw = read_all(sock)
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n") and raw.count(b"HTTP/") == 1
    if path == b"/timer":
        assert b"data: tick\n\n" in raw
        assert version == b"1.0" or re.search(rb"\r\n0+\r\n\r\n\Z", raw)
    if path == b"/wait":
        assert raw.endswith(b'{"waited":true}') and b"connection: close" in raw


def test_a_half_closed_client_gets_the_answers_of_all_its_requests(plain):
    with plain().connect() as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n" + b"GET /echo HTTP/1.1\r\nhost: a\r\n\r\n" * 20)
        sock.shutdown(socket.SHUT_WR)
        raw = read_all(sock)
    assert raw.count(b"HTTP/1.1 200") == 21 and raw.count(b"connection: close") == 1


@pytest.mark.parametrize("path", [b"/slow", b"/drip"])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("half_first", [False, True])
def test_a_client_that_has_gone_frees_its_handler(serve, path, version, half_first):
    probe = Probe()
    served = serve(make_app(probe))
    method = b"POST" if path == b"/slow" else b"GET"
    with served.connect() as sock:
        sock.sendall(b"%b %b HTTP/%b\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}" % (method, path, version))
        wait_until(lambda: probe.calls)
        if half_first:
            sock.shutdown(socket.SHUT_WR)
            time.sleep(0.1)
    wait_until(lambda: probe.cancelled or probe.gone, 1)


def test_a_body_that_ends_too_early_is_no_half_close(serve):
    probe = Probe()
    served = serve(make_app(probe))
    with served.connect() as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nab")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b""
    wait_until(lambda: not served.server.server_state.connections)


# Targets


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/a?b=http://c", (b"/a", b"b=http://c", None)),
        (b"http://a", (b"/", b"", b"a")),
        (b"http://a?x=/1", (b"/", b"x=/1", b"a")),
        (b"http://a/b?x=1", (b"/b", b"x=1", b"a")),
        (b"http://a#b", (b"/#b", b"", b"a")),
        (b"*", (b"*", b"", None)),
    ],
)
def test_targets(target, expected):
    assert origin_form(target) == expected


def test_options_of_the_whole_server(plain):
    raw = plain().exchange(b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize(
    "path",
    [
        "/things/%ff%fe",
        "/things/%",
        "/things/%zz",
        "/things/%00",
        "/models/%2e%2e%2f%ff",
        "/%ff",
        "/things/" + "%25" * 9000,
    ],
)
def test_paths_of_any_bytes_are_answered(plain, mode, path):
    assert call(plain(mode).url, "GET", path).status in (200, 404)


@pytest.mark.parametrize(
    "query", ["a=%ff", "%ff=%", "&" * 30_000, "a&" * 15_000, "a=1&" * 8_000, "=" * 30_000, "%" * 30_000]
)
def test_queries_of_any_bytes_are_answered(plain, mode, query):
    assert call(plain(mode).url, "GET", "/echo?" + query).status in (200, 400)
