"""Hostile HTTP: heads, framing, packings, forms. Each case is the bytes of one connection."""

from __future__ import annotations

import gzip
import zlib
from random import Random

from tests.attack.mutate import TEXTS, mutate_bytes
from tests.attack.wire import request

_GOOD = b'{"model":"scripted","input":"hi"}'


def raw_case(random: Random, key: str) -> bytes:
    """Return the bytes of a hostile request."""
    maker = random.choice(
        (_head, _head, _length, _chunks, _chunks, _packed, _packed, _form, _form, _flipped, _noise, _line)
    )
    return maker(random, key)


def _post(key: str, *headers: tuple[str, str], body: bytes = _GOOD, path: str = "/v1/responses") -> bytes:
    return request("POST", path, body, headers, key)


def _head(random: Random, key: str) -> bytes:
    data = _post(key)
    line = random.choice(
        (
            b"host: other", b"content-length: 5", b"content-length: +33", b"transfer-encoding: chunked",
            b"transfer-encoding: xchunked", b"transfer-encoding: gzip, chunked", b"content-type: text/plain",
            b"content-type: application/json; charset=utf-16", b"content-type: " + b"a/" * 200, b"x: " + b"y" * 70_000,
            b"expect: 200-ok", b"expect: 100-continue", b"upgrade: websocket", b"connection: upgrade\r\nupgrade: h2c",
            b"x-request-id: a b\x01", b"x-request-id: " + b"r" * 500, b"authorization: Bearer x", b"x-api-key: y",
            b"authorization: Basic \xff\xfe", b"origin: null", b"origin: http://evil.example", b" folded", b"a\x00b: c",
            b": empty", b"a b: c", b"x-antiphon-trace: deltas", b"content-encoding: br, gzip, zstd, gzip", b"accept: \xff",
            b"idempotency-key: " + b"i" * 3000, b"traceparent: 00-" + b"0" * 60, b"traceparent: \xff", b"te: trailers",
            b"content-encoding: identity", b"range: bytes=0-0", b"cookie: " + b"c=1; " * 900, b"connection: close, keep-alive",
            b"if-none-match: *", b"x-forwarded-for: 1.2.3.4\r\nforwarded: for=_x", b"last-event-id: -1",
        )
    )  # fmt: skip
    place = random.choice((data.index(b"\r\n") + 2, data.index(b"\r\n\r\n") + 2))
    return data[:place] + line + b"\r\n" + data[place:]


def _length(random: Random, key: str) -> bytes:
    wrong = random.choice(
        ("0", "1", "34", "-1", "99999999999999999999", "0x21", "33, 33", "33 33", "", "१", "1e2", "033")
    )
    return _post(key).replace(b"content-length: 33", b"content-length: " + wrong.encode())


def _chunks(random: Random, key: str) -> bytes:
    head = _post(key, body=b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    size = b"%x" % len(_GOOD)
    body = random.choice(
        (
            size + b"\r\n" + _GOOD + b"\r\n0\r\n\r\n",
            size + b";a=b;" + b"c" * 3000 + b"\r\n" + _GOOD + b"\r\n0\r\n\r\n",
            b"-" + size + b"\r\n" + _GOOD + b"\r\n0\r\n\r\n",
            b"ffffffffffffffffff\r\n" + _GOOD,
            b"0x21\r\n" + _GOOD + b"\r\n0\r\n\r\n",
            size + b"\n" + _GOOD + b"\n0\n\n",
            size + b"\r\n" + _GOOD + b"XX0\r\n\r\n",
            size + b"\r\n" + _GOOD + b"\r\n0\r\nauthorization: Bearer " + key.encode() + b"\r\nx-t: " + b"y" * 9000 + b"\r\n\r\n",
            b"".join(b"1\r\n%c\r\n" % byte for byte in _GOOD) + b"0\r\n\r\n",
            b"\r\n\r\n", b"zz\r\n", b"", b"0\r\n\r\n",
        )
    )  # fmt: skip
    return head + body


def _packed(random: Random, key: str) -> bytes:
    import brotli

    try:
        from compression import zstd
    except ImportError:
        from backports import zstd

    packers = {
        "gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd.compress,
        "x-gzip": gzip.compress, "identity": bytes,
    }  # fmt: skip
    names = random.choices(list(packers), k=random.choice((1, 1, 2, 3)))
    body = random.choice(
        (_GOOD, b"", b"x" * 200_000, b"[" * 100_000, gzip.compress(b"") * 3000, b'"' + b"a" * 2_000_000 + b'"')
    )
    for name in names:
        body = packers[name](body)
    if random.random() < 0.3:
        body = body * random.choice((2, 3, 500))
    if random.random() < 0.4:
        body = mutate_bytes(random, body)
    return _post(key, ("content-encoding", ", ".join(names)), body=body[:400_000])


def _form(random: Random, key: str) -> bytes:
    boundary = random.choice(("b", "x" * 70, "b" * 300, 'a"b', "", "-", "b;c", "é"))
    field = b'--%b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    file = b'--%b\r\ncontent-disposition: form-data; name="file"; filename="%b"\r\ncontent-type: %b\r\n\r\n%b\r\n'
    name = random.choice(
        (b"a.txt", b"\\" * 60, b"../../x", b"a\x00b", b'"', b"", "é".encode(), b"a" * 3000, b"\r\nx: y")
    )
    kind = random.choice((b"text/plain", b"", b"a" * 500, b"image/png", b"\xff"))
    mark = boundary.encode()
    parts = [
        field % mark,
        file % (mark, name, kind, random.choice((b"hello", b"", b"%PDF-1.4", b"\x89PNG\r\n", b"--b"))),
    ]
    parts *= random.choice((1, 1, 1, 2, 300))
    body = b"".join(parts) + b"--%b--\r\n" % mark
    if random.random() < 0.5:
        body = mutate_bytes(random, body)
    return _post(key, ("content-type", f"multipart/form-data; boundary={boundary}"), body=body, path="/v1/files")


def _flipped(random: Random, key: str) -> bytes:
    return mutate_bytes(random, _post(key))


def _noise(random: Random, key: str) -> bytes:
    return random.choice(
        (
            random.randbytes(random.choice((1, 10, 500))), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(80),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /\r\n", b"GET / HTTP/0.9\r\n\r\n", b"\r\n" * 50, b"GET / HTTP/1.1\r\n\r\n",
            b"GET  /  HTTP/1.1\r\nhost: a\r\n\r\n", b"get / HTTP/1.1\r\nhost: a\r\n\r\n", b"GET / HTTP/9.9\r\nhost: a\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", b"TRACE / HTTP/1.1\r\nhost: a\r\n\r\n", b"\x00" * 100, b"A" * 70_000,
        )
    )  # fmt: skip


def _line(random: Random, key: str) -> bytes:
    path = random.choice(
        (
            "http://other/v1/models", "*", "//v1//models", "/v1/../health", "/v1/models/" + "a/" * 2000, "/v1/models/%00",
            "/v1/responses/%2e%2e%2f", "/v1/responses/" + "x" * 9000, "/v1/responses/é", "/V1/MODELS", "/v1/models#x", "?x",
            "/v1/responses/resp_1/input_items?limit=" + "9" * 5000, "/v1/responses/resp_1?stream=true&starting_after=" + "9" * 30,
            "/v1/files?" + "a=1&" * 3000, "/v1/files?limit=\x01", "/v1/conversations/%ff/items?after=%ff&order=%00",
            "/v1/models/" + random.choice(TEXTS)[:300].replace(" ", "%20").replace("\r", "%0d").replace("\n", "%0a"),
            "/metrics?x=\"\\", "/admin/requests?limit=-1", "/docs/%2e", "/playground/..%2fapp.py", "/v1",
        )
    )  # fmt: skip
    return request(
        random.choice(("GET", "GET", "DELETE", "OPTIONS", "POST")), path, None, (("connection", "close"),), key
    )
