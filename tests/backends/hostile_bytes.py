"""Answers that are not HTTP as it should be, and refusals: the same for the APIs of all backends."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Literal

from tests.backends.hostile_answers import (
    BEGUN,
    BODY,
    SECRET,
    Api,
    Kind,
    Piece,
    chunked,
    head,
    once,
    whole,
)


class _Answers:
    """Makes the kinds of an API from its good answer: `body` whole, `begun` without its end, `sized` with a head."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.body, self.begun = BODY[api], BEGUN[api]
        self.sized = head(length=len(self.body)) + self.body

    def kind(
        self, name: str, *pieces: Piece, ends: Literal["failed", "any"] = "any", quick: bool = True, keep: bool = False
    ) -> Kind:
        return Kind(f"{self._api}-http-{name}", self._api, once(*pieces), ends, quick, keep)

    def many(
        self,
        name: str,
        pieces: Callable[[], Iterator[Piece]],
        ends: Literal["failed", "any"] = "failed",
        quick: bool = True,
    ) -> Kind:
        return Kind(f"{self._api}-http-{name}", self._api, pieces, ends, quick)


def http_kinds(api: Api) -> Iterator[Kind]:
    """Yield answers that are not HTTP as it should be, and refusals."""
    of = _Answers(api)
    for kinds in (_heads, _framing, _hanging, _packing, _cuts):
        yield from kinds(of)
    yield from _refusals(api)


def _heads(of: _Answers) -> Iterator[Kind]:
    """Heads that are not as they should be, or not there."""
    yield of.kind("nothing", ends="failed")
    yield of.kind("no-http", b"220 mail.example ESMTP\r\n", ends="failed")
    yield of.kind("http-0.9", of.body, ends="failed")
    yield of.kind("http-9.9", b"HTTP/9.9 200 OK\r\n\r\n" + of.body)
    yield of.kind("tls", b"\x15\x03\x01\x00\x02\x02\x28", ends="failed")
    yield of.kind("head-cut", b"HTTP/1.1 200 OK\r\ncontent-ty", ends="failed")
    yield of.kind("head-hangs", b"HTTP/1.1 200 OK\r\ncontent-ty", 30.0, ends="failed", quick=False)
    yield of.many("head-drips", lambda: _drip(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"), quick=False)
    yield of.kind("head-large", b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 1_000_000 + b"\r\n\r\n" + of.body, ends="failed")
    yield of.kind("head-many", b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 100_000 + b"\r\n" + of.body, ends="failed")
    yield of.kind("head-nul", b"HTTP/1.1 200 OK\r\nx-a: \0\r\n\r\n" + of.body)
    yield of.kind("head-folded", b"HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\n\r\n" + of.body)
    yield of.kind("head-bare-lf", b"HTTP/1.1 200 OK\ncontent-type: text/event-stream\n\n" + of.body)
    yield of.kind(
        "informed-first", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + of.sized
    )
    yield of.many("informed-for-ever", lambda: iter([b"HTTP/1.1 100 Continue\r\n\r\n" * 1000] * 200))
    yield of.kind(
        "switches", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx", ends="failed"
    )
    yield of.kind("status-204", b"HTTP/1.1 204 No Content\r\n\r\n", ends="failed")
    yield of.kind("status-304", b"HTTP/1.1 304 Not Modified\r\n\r\n", ends="failed")
    yield of.kind("status-099", b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n", ends="failed")
    yield of.kind("status-999", b"HTTP/1.1 999 High\r\ncontent-length: 0\r\n\r\n", ends="failed")
    yield of.kind(
        "redirect", head("302 Found", "text/html", "location: http://169.254.169.254/", length=0), ends="failed"
    )


def _framing(of: _Answers) -> Iterator[Kind]:
    """Bodies whose length or chunks are not what the head says."""
    yield of.kind(
        "two-lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!", ends="failed"
    )
    yield of.kind("negative-length", b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello", ends="failed")
    yield of.kind(
        "length-and-chunks",
        head("200 OK", "text/event-stream", "transfer-encoding: chunked", length=5) + chunked(of.body),
        ends="failed",
    )
    yield of.kind("too-short", head(length=len(of.body) + 100) + of.begun, ends="failed")
    yield of.kind("too-long", of.sized + b"and more", 0.05, keep=True)
    yield of.kind("two-answers", of.sized + of.sized, 0.05, keep=True)
    yield of.kind("an-answer-and-a-half", of.sized + b"HTTP/1.1 200 OK\r\ncontent-", 0.05, keep=True)
    yield of.kind(
        "chunk-size",
        head("200 OK", "text/event-stream", "transfer-encoding: chunked") + b"xyz\r\n" + of.body,
        ends="failed",
    )
    yield of.kind(
        "chunk-huge",
        head("200 OK", "text/event-stream", "transfer-encoding: chunked") + b"ffffffffffffffffff\r\n",
        ends="failed",
    )
    yield of.kind(
        "chunk-cut",
        head("200 OK", "text/event-stream", "transfer-encoding: chunked") + chunked(of.begun),
        ends="failed",
    )
    yield of.many("chunk-extension", lambda: _flood(b"5;a=", b"b" * 65536, 64))
    yield of.many("trailers", lambda: _flood(chunked(of.begun) + b"0\r\n", b"x-a: " + b"b" * 4000 + b"\r\n", 500))
    yield of.kind(
        "trailer-as-header",
        head("200 OK", "text/event-stream", "transfer-encoding: chunked")
        + chunked(of.body)
        + b"0\r\ncontent-encoding: gzip\r\n\r\n",
    )


def _hanging(of: _Answers) -> Iterator[Kind]:
    """Answers that break off, hang or never end."""
    yield of.kind("reset-at-once", b"HTTP/1.1 200 OK\r\n", ends="failed")
    yield of.kind("cut", head() + of.begun, ends="failed")
    yield of.kind("hangs", head() + of.begun, 30.0, ends="failed", quick=False)
    yield of.many("comments", lambda: _drip(head(), b": still here\n\n"), quick=False)
    yield of.many("comments-after", lambda: _drip(head() + of.begun, b": still here\n\n"), quick=False)
    yield of.many("blanks", lambda: _drip(head(type="application/json"), b"\n"), quick=False)
    yield of.many("one-endless-line", lambda: _endless(head() + b"data: ", b"a" * 65536, 300))
    yield of.many("lines-without-end", lambda: _endless(head(), b"data: a\n" * 8192, 300))
    yield of.many("comment-flood", lambda: _endless(head(), b": a\n\n" * 10_000, 400))


def _packing(of: _Answers) -> Iterator[Kind]:
    """Bodies that are packed, or not what their type says."""
    yield of.kind("gzip", head("200 OK", "text/event-stream", "content-encoding: gzip") + gzip.compress(of.body))
    yield of.many("gzip-bomb", lambda: iter((head("200 OK", "application/json", "content-encoding: gzip") + _bomb(),)))
    yield of.kind(
        "gzip-cut",
        head("200 OK", "text/event-stream", "content-encoding: gzip") + gzip.compress(of.begun * 99)[:40],
        ends="failed",
    )
    yield of.kind("gzip-not", head("200 OK", "text/event-stream", "content-encoding: gzip") + of.body, ends="failed")
    yield of.kind(
        "gzip-twice", head("200 OK", "text/event-stream", "content-encoding: gzip, gzip") + of.body, ends="failed"
    )
    for name in ("br", "zstd", "x" * 5000):
        yield of.kind(
            f"packed-{name[:4]}",
            head("200 OK", "text/event-stream", f"content-encoding: {name}") + of.body,
            ends="failed",
        )
    yield of.kind("no-type", b"HTTP/1.1 200 OK\r\n\r\n" + of.body)
    yield of.kind("type-image", head(type="image/png") + of.body)
    yield of.kind("type-json-of-sse", head(type="application/json") + of.body)
    yield of.kind("html", head(type="text/html") + b"<html>" * 1000, ends="failed")
    yield of.kind("utf-16", head() + of.body.decode().encode("utf-16"), ends="failed")
    yield of.kind("bom", head() + b"\xef\xbb\xbf" + of.body)
    yield of.kind("crlf", head() + of.body.replace(b"\n", b"\r\n"))
    yield of.kind("cr", head() + of.body.replace(b"\n", b"\r"))
    yield of.kind("nul-bytes", head() + b"data: \0\0\0\n\n", ends="failed")


def _cuts(of: _Answers) -> Iterator[Kind]:
    """A good answer, cut off at many places."""
    lengths = {
        "sized": of.sized,
        "chunked": head("200 OK", "text/event-stream", "transfer-encoding: chunked") + chunked(of.body) + b"0\r\n\r\n",
    }
    for way, answer in lengths.items():
        for at in range(1, len(answer) - 1, len(answer) // 12):
            yield of.kind(f"{way}-cut-at-{at}", answer[:at])


def _refusals(api: Api) -> Iterator[Kind]:
    def kind(name: str, *pieces: Piece) -> Kind:
        return Kind(f"{api}-refusal-{name}", api, lambda: iter(pieces), "failed")

    words = f"I was called with {SECRET} by token=abcdefgh12345 AKIAABCDEFGHIJKLMNOP at http://u:p@10.1.2.3:8000/x"
    yield kind("secrets", whole({"error": {"message": words, "code": SECRET, "param": SECRET}}, "400 Bad"))
    yield kind("secrets-500", whole({"error": {"message": words}}, "500 Bad"))
    yield kind("secrets-as-text", head("500 Bad", "text/plain", length=len(words)) + words.encode())
    yield kind("deep", whole(b"[" * 100_000, "400 Bad"))
    yield kind("deep-and-closed", whole(b'{"error":' * 900 + b"1" + b"}" * 900, "400 Bad"))
    yield kind("number", whole(b'{"error":{"code":' + b"9" * 5000 + b"}}", "400 Bad"))
    yield kind("types", whole({"error": {"message": 5, "code": [], "param": {}, "type": 7}}, "400 Bad"))
    yield kind("list", whole([{"error": {"message": "words", "code": 400}}], "400 Bad"))
    yield kind("no-utf-8", whole(b'{"error":{"message":"\xff\xfe"}}', "400 Bad"))
    yield kind("code-of-digits", whole({"error": {"message": "m", "code": "²"}}, "500 Bad"))
    yield kind("line-breaks", whole({"error": {"message": "a\n\ndata: [DONE]\n\n", "code": "a\r\nb: c"}}, "400 Bad"))
    yield kind("html", head("502 Bad Gateway", "text/html") + b"<html>nginx</html>")
    yield kind("empty", head("500 Bad", "text/plain", length=0))
    yield Kind(
        f"{api}-refusal-large", api, lambda: _endless(head("400 Bad", "text/plain"), b"a" * 65536, 1600), "failed"
    )
    for name, value in (
        ("year", "31536000"),
        ("negative", "-5"),
        ("date", "Wed, 21 Oct 2099 07:28:00 GMT"),
        ("words", "soon\t"),
        ("nan", "nan"),
        ("infinite", "1e999"),
    ):
        yield kind(f"retry-{name}", whole({"error": {"message": "busy"}}, "429 Busy", f"retry-after: {value}"))


def _drip(first: bytes, piece: bytes) -> Iterator[Piece]:
    yield first
    for _ in range(600):
        yield 0.05
        yield piece


def _flood(first: bytes, piece: bytes, count: int) -> Iterator[Piece]:
    yield head("200 OK", "text/event-stream", "transfer-encoding: chunked") + first
    for _ in range(count):
        yield piece


def _endless(first: bytes, piece: bytes, count: int) -> Iterator[Piece]:
    yield first
    for _ in range(count):
        yield piece


@cache
def _bomb() -> bytes:
    """Return 300 MB of spaces, gzipped: one block again and again, as to pack it all would take seconds."""
    spaces, count, checksum = b" " * 1_000_000, 300, 0
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(spaces) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(count):
        checksum = zlib.crc32(spaces, checksum)
    head = b"\x1f\x8b\x08" + bytes(5) + b"\x02\xff"
    return head + block * count + packer.flush() + struct.pack("<II", checksum, len(spaces) * count)
