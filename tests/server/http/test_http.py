"""The HTTP edge, by both ways that bytes can take: straight to the transport, and plain ASGI."""

from __future__ import annotations

import http.client
import re
import socket
import time

import pytest

from antiphon.config import Config
from tests.server.handlers import Probe, call, make_app
from tests.server.serving import read_all, wait_until

POST = b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n%b\r\n%b"


def post(path: bytes, body: bytes = b"{}", extra: bytes = b"") -> bytes:
    return POST % (path, len(body), extra, body)


def bodies(raw: bytes) -> list[bytes]:
    """Take answers with a content-length apart."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1])
        found.append(rest[:length])
        raw = rest[length:]
    return found


# Answers


def test_answers_json(plain, mode):
    served = plain(mode)
    answer = call(served.url, "POST", "/v1/echo?a=1&a=2&include[]=x&empty=", b'{"model":"m"}')
    assert answer.status == 200
    assert answer.json() == {
        "method": "POST",
        "path": "/echo",
        "params": {},
        "query": {"a": ["1", "2"], "include": ["x"], "empty": [""]},
        "owner": "local",
        "id": answer.headers["x-request-id"],
        "body": '{"model":"m"}',
    }
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.headers["openai-processing-ms"].isdigit()
    assert answer.headers["date"]


def test_streams_in_chunks(plain, mode):
    served = plain(mode)
    answer = call(served.url, "POST", "/stream", b"{}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["x-extra"] == "yes"
    assert answer.headers["cache-control"] == "no-cache, no-transform" and answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.body == b"data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: [DONE]\n\n"


@pytest.mark.slow
def test_what_a_timer_writes_goes_out_without_a_drain(plain, mode):
    served = plain(mode)
    with served.connect() as sock:
        sock.sendall(b"GET /timer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        received = b""
        while b"tick" not in received:
            received += sock.recv(4096)
        assert b"0\r\n\r\n" not in received, "the end comes two seconds later"
        assert b"0\r\n\r\n" in read_all(sock)


@pytest.mark.parametrize("given", ["abc", "A.b:c_1-2", "x" * 128])
def test_echoes_a_sane_request_id(plain, given):
    answer = call(plain().url, "GET", "/echo", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given == answer.json()["id"]


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "ü", 'a"b', "a/b"])
def test_replaces_any_other_request_id(plain, given):
    answer = call(plain().url, "GET", "/echo", headers={"x-request-id": given.encode("latin-1")})
    assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])


def test_head_has_the_head_of_get(plain, mode):
    served = plain(mode)
    whole = call(served.url, "GET", "/echo", headers={"x-request-id": "1"})
    head = call(served.url, "HEAD", "/echo", headers={"x-request-id": "1"})
    assert head.status == 200 and head.body == b""
    # The body of GET names the method, so it is one byte shorter.
    assert int(head.headers["content-length"]) == len(whole.body) + 1
    stream = call(served.url, "HEAD", "/stream")
    assert stream.status == 200 and stream.body == b"" and stream.headers["content-type"] == "text/event-stream"


def test_options_names_the_methods(serve, mode):
    answer = call(serve(make_app(keys=("k",)), mode=mode).url, "OPTIONS", "/v1/echo")
    assert (answer.status, answer.headers["allow"], answer.body) == (204, "GET, HEAD, OPTIONS, POST", b"")
    assert "content-length" not in answer.headers


def test_a_header_cannot_break_out_of_its_line(plain):
    answer = call(plain().url, "GET", "/evil")
    assert answer.headers["x-evil"] == "a  set-cookie: b" and "set-cookie" not in answer.headers


# Connections


def test_keeps_a_connection_alive(plain, mode):
    served = plain(mode)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.connect()
    first = connection.sock
    for path in ("/echo", "/stream", "/nothing", "/echo"):
        connection.request("GET", path)
        assert connection.getresponse().read()
        assert connection.sock is first
    connection.close()


def test_pipelined_requests_are_answered_in_order(plain, mode):
    served = plain(mode)
    requests = [
        post(b"/echo", b"%d" % number, b"" if number < 29 else b"connection: close\r\n") for number in range(30)
    ]
    answers = bodies(served.exchange(b"".join(requests)))
    assert [re.search(rb'"body":"(\d+)"', body)[1] for body in answers] == [b"%d" % number for number in range(30)]


def test_a_stream_is_not_mixed_with_the_next_answer(plain, mode):
    served = plain(mode)
    raw = served.exchange(post(b"/stream") + post(b"/echo", extra=b"connection: close\r\n"))
    end = raw.index(b"0\r\n\r\n")
    assert raw[:end].count(b"HTTP/1.1 200") == 1 and b"[DONE]" in raw[:end]
    assert raw[end + 5 :].lower().startswith(b"http/1.1 200") and b'"path":"/echo"' in raw[end:]


def test_connection_close_is_honoured(plain, mode):
    raw = plain(mode).exchange(post(b"/stream", extra=b"connection: close\r\n"))
    assert b"connection: close" in raw.lower() and raw.endswith(b"0\r\n\r\n")


def test_http_1_0_gets_no_chunks(plain):
    raw = plain().exchange(b"GET /stream HTTP/1.0\r\nhost: a\r\n\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head and b"connection: close" in head
    assert body.startswith(b"data: 0\n\n") and body.endswith(b"data: [DONE]\n\n")


def test_http_1_0_may_keep_its_connection(plain):
    served = plain()
    with served.connect() as sock:
        for _ in range(2):
            sock.sendall(b"GET /echo HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n")
            assert b"connection: keep-alive" in sock.recv(65536)


def test_an_upgrade_that_nobody_wants_is_passed_over(plain):
    """Java's HttpClient offers h2c with its first request, also with a body."""
    served = plain()
    offer = (
        b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA\r\n"
    )
    raw = served.exchange(post(b"/echo", b"first", offer) + post(b"/echo", b"second", b"connection: close\r\n"))
    assert [b'"body":"first"' in raw, b'"body":"second"' in raw] == [True, True]


def test_takes_a_whole_url_as_target(plain):
    raw = plain().exchange(b"GET http://a/v1/echo?x=1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert b'"path":"/echo"' in raw and b'"x":["1"]' in raw


# The client leaves, or is slow


def test_cancels_when_the_client_leaves_before_the_answer(serve, mode):
    probe = Probe()
    served = serve(make_app(probe), mode=mode)
    with served.connect() as sock:
        sock.sendall(post(b"/slow"))
        wait_until(lambda: probe.calls)
    wait_until(lambda: probe.cancelled, 1)


def test_sees_a_client_leave_that_has_sent_more_than_it_was_asked_for(serve):
    """A body above the high-water mark, or a request in line, must not hide the end of the connection."""
    probe = Probe()
    served = serve(make_app(probe))
    with served.connect() as sock:
        sock.sendall(post(b"/slow", b"x" * 300_000) + post(b"/echo"))
        wait_until(lambda: probe.calls)
    wait_until(lambda: probe.cancelled, 1)
    assert probe.calls == 1


def test_ends_a_stream_when_the_client_leaves(serve, mode):
    probe = Probe()
    served = serve(make_app(probe), mode=mode)
    with served.connect() as sock:
        sock.sendall(b"GET /drip HTTP/1.1\r\nhost: a\r\n\r\n")
        assert sock.recv(4096)
    wait_until(lambda: probe.gone, 1)


def test_a_slow_reader_holds_the_writer_back(serve, mode):
    probe = Probe()
    served = serve(make_app(probe), mode=mode)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", served.port))
    sock.sendall(b"GET /flood HTTP/1.1\r\nhost: a\r\n\r\n")
    settled = -1
    while settled != probe.written or not settled:
        settled = probe.written
        time.sleep(0.15)
    assert settled < 8_000_000  # what the kernel's buffers hold, not more
    received = 0
    while received < settled + 1_000_000:
        received += len(sock.recv(65536))
    wait_until(lambda: probe.written > settled)
    sock.close()
    wait_until(lambda: probe.gone, 2)


# Bodies that are long, late, or not wanted


def test_a_large_body_arrives_whole(plain, mode):
    assert call(plain(mode).url, "POST", "/count", b"x" * 3_000_000).json() == {"size": 3_000_000}


def test_a_chunked_body_arrives_whole(plain, mode):
    served = plain(mode)
    raw = served.exchange(
        b"POST /count HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    )
    assert b'{"size":7}' in raw


def test_says_100_continue_when_the_body_is_wanted(plain, mode):
    served = plain(mode)
    with served.connect() as sock:
        sock.sendall(
            b"POST /count HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"
        )
        assert sock.recv(4096).startswith(b"HTTP/1.1 100")
        sock.sendall(b"{}")
        assert b'{"size":2}' in read_all(sock)


def test_a_client_that_is_still_sending_gets_its_refusal(serve):
    """The answer comes before the body: it must not be lost to a reset."""
    served = serve(make_app(keys=("k",)))
    for _ in range(5):
        answer = call(served.url, "POST", "/count", b"x" * 5_000_000)
        assert answer.status == 401 and answer.headers["connection"] == "close"


def test_connect_is_refused(plain):
    assert b" 405 " in plain().exchange(b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n")


@pytest.mark.parametrize("sent", [b"", b"xx"])
def test_a_body_that_does_not_come_is_a_408(serve, mode, sent):
    served = serve(make_app(body_timeout=0.2), mode=mode)
    with served.connect() as sock:
        sock.sendall(b"POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n" + sent)
        assert b" 408 " in sock.recv(4096)


def test_a_head_that_does_not_end_is_a_408(serve):
    served = serve(make_app(body_timeout=0.2))
    assert b" 408 Request Timeout" in served.exchange(b"GET /echo HTTP/1.1\r\nhost:")


@pytest.mark.slow
def test_the_deadline_ends_with_the_body(serve):
    probe = Probe()
    served = serve(make_app(probe, body_timeout=0.2))
    with served.connect() as sock:
        sock.sendall(b"GET /drip HTTP/1.1\r\nhost: a\r\n\r\n")
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            assert sock.recv(4096)


@pytest.mark.parametrize("one_piece", [True, False])
def test_too_large_a_head_is_a_431(plain, one_piece):
    served = plain()
    line = b"x-filler: " + b"y" * 1000 + b"\r\n"
    head = b"GET /echo HTTP/1.1\r\nhost: a\r\n" + line * 80
    raw = served.exchange(head + b"\r\n" if one_piece else head + b"x-endless: " + b"z" * 70_000)
    assert b" 431 Request Header Fields Too Large" in raw and b'"code":"headers_too_large"' in raw


def test_too_large_a_head_behind_a_request_is_a_431(plain):
    """It comes in two pieces: the end of the one before it and its beginning, and the rest."""
    line = b"x-filler: " + b"y" * 1000 + b"\r\n"
    with plain().connect() as sock:
        sock.sendall(post(b"/echo", b"1") + b"GET /echo HTTP/1.1\r\nhost: a\r\n" + line * 40)
        time.sleep(0.1)
        sock.sendall(line * 30 + b"\r\n")
        raw = read_all(sock)
    assert raw.count(b"HTTP/1.1 ") == 2 and b"HTTP/1.1 200 " in raw and b"HTTP/1.1 431 " in raw


def test_large_heads_in_one_piece_are_fine(plain):
    large = b"x-large: " + b"y" * 40_000 + b"\r\n"
    raw = plain().exchange(post(b"/echo", b"1", large) + post(b"/echo", b"2", large + b"connection: close\r\n"))
    assert raw.count(b"HTTP/1.1 200 ") == 2


def test_a_head_of_many_kilobytes_is_fine(plain, mode):
    answer = call(plain(mode).url, "GET", "/echo", headers={"x-large": "y" * 40_000})
    assert answer.status == 200


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/x.y\r\n\r\n", b"hello\r\n\r\n"]
)
def test_what_is_not_http_is_a_400(plain, nonsense):
    raw = plain().exchange(nonsense)
    assert b" 400 Bad Request" in raw and b'"code":"invalid_http"' in raw


def test_nonsense_behind_a_request_waits_for_its_answer(plain):
    raw = plain().exchange(post(b"/stream") + b"\0\0\0\r\n\r\n")
    assert raw.index(b"[DONE]") < raw.index(b"HTTP/1.1 400")


def test_a_body_limit_of_the_configuration(serve, mode):
    served = serve(make_app(max_body=1000), Config(shutdown_grace=0), mode)
    assert call(served.url, "POST", "/count", b"x" * 1000).json() == {"size": 1000}
    assert call(served.url, "POST", "/count", b"x" * 1001).error()["code"] == "request_too_large"
    raw = served.exchange(
        b"POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        + (b"64\r\n" + b"x" * 100 + b"\r\n") * 11
    )
    assert b" 413 " in raw and b"request_too_large" in raw
