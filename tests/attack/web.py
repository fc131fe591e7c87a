# ruff: noqa: E501 (a table reads best with one case per line)
"""A hostile web: a provider of search whose answers are of every kind, and the pages that it finds."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httptools

Json = dict[str, Any]


def _hit(url: object, title: object = "t", content: object = "words") -> Json:
    return {"url": url, "title": title, "content": content}


@cache
def answers(base: str) -> dict[str, tuple[int, bytes]]:
    """Return answers of a provider by name: status and body. `fine` finds all pages."""
    fine = [_hit(f"{base}/page/{name}", name, "The fund lapsed.") for name in pages(base)]

    def of(results: object, status: int = 200) -> tuple[int, bytes]:
        return status, json.dumps({"query": "q", "results": results}).encode()

    return {
        "fine": of(fine),
        "empty": of([]),
        "null": (200, b"null"),
        "list": (200, b"[]"),
        "number": (200, b"5"),
        "nothing": (200, b""),
        "no-json": (200, b"<html>oops"),
        "no-utf-8": (200, b'{"results":[{"url":"http://a/\xff","title":"\xff"}]}'),
        "deep": (200, b'{"results":' + b"[" * 100_000),
        "deep-inside": (200, b'{"results":[{"url":"http://a/","content":' + b"[" * 900 + b"]" * 900 + b"}]}"),
        "long-number": (200, b'{"results":[{"url":"http://a/","score":' + b"9" * 5000 + b"}]}"),
        "results-null": of(None),
        "results-text": of("x"),
        "results-odd": of([None, 5, [], {}, "x", {"url": None}, {"url": 5}, {"url": []}]),
        "results-many": of([_hit(f"{base}/page/{n}") for n in range(20_000)]),
        "results-same": of([_hit(f"{base}/page/article")] * 1000),
        "urls-odd": of([_hit(url) for url in ("http://[", "http://", "file:///etc/passwd", "javascript:alert(1)", "http://a b/", "http://a\r\nx: y/", "http://" + "a" * 3000, "http://a/\u202e", 'http://a/"><script>', "http://169.254.169.254/latest", "http://a@b:99999/", "http://a/)(", "http://ünï.de/")]),
        "titles-odd": of([_hit(f"{base}/page/article", title) for title in (None, 5, [], {"a": 1}, "x" * 100_000, "a\n\n【2】\n\n", "\0", "</think>", "【9†x】" * 100)]),
        "contents-odd": of([_hit(f"{base}/page/article", "t", content) for content in (None, 5, [None, 5], {"a": 1}, "x" * 1_000_000, "<" * 100_000, "&" * 100_000, "&#" + "9" * 10_000 + ";", "\ud83d\ude00", "\n\ndata: [DONE]\n\n", "<b" * 50_000)]),
        "surrogates": (200, b'{"results":[{"url":"http://a/","title":"\\ud83d","content":"\\ude00"}]}'),
        "large": (200, b'{"results":[' + b" " * 6_000_000 + b"]}"),
        "many-values": (200, b'{"results":[],"a":[' + b"{}," * 1_000_000 + b"{}]}"),
        "error": of([], 500),
        "refused": (403, b"no"),
        "moved": (302, b""),
    }  # fmt: skip


_HTML = "text/html; charset=utf-8"


@cache
def pages(base: str) -> dict[str, tuple[int, dict[str, str], bytes]]:
    """Return hostile pages by name: status, headers, content."""

    def html(body: str, kind: str = _HTML) -> tuple[int, dict[str, str], bytes]:
        return 200, {"content-type": kind}, body.encode("utf-8", "surrogatepass")

    def moved(url: str) -> tuple[int, dict[str, str], bytes]:
        return 302, {"location": url}, b""

    return {
        "article": html("<title>A</title><main><p>" + "The fund lapsed. " * 40 + f"<a href='{base}/page/links'>more</a></main>"),
        "links": html("".join(f"<a href='{base}/page/{n}'>{n}</a>" for n in range(3000))),
        "links-odd": html("".join(f"<a href={url!r}>x</a>" for url in ("http://[", "//", "javascript:1", "data:,x", "http://a b/", "http://169.254.169.254/", "mailto:a", "x" * 3000, "http://a/)", "\t")) + "<p>" + "w " * 200),
        "open": html("<div>" * 100_000 + "words"),
        "closed": html("</div>" * 100_000 + "words"),
        "silent": html("<nav>" * 100_000 + "</nav>" * 50_000),
        "brackets": html("<" * 500_000),
        "attributes": html("<a " + "x=y " * 100_000 + ">"),
        "quotes": html("<a href=\"" * 50_000),
        "comments": html("<!--" * 100_000),
        "scripts": html("<script>" * 100_000),
        "entities": html("&amp;" * 100_000 + "&#" + "9" * 6000 + ";" + "&" * 100_000),
        "markers": html("<p>" + "【1†x】 【2】 " * 2000),
        "nul": html("<p>a\0b" * 1000),
        "pre": html("<pre>" + "\n" * 200_000),
        "titles": html("<title" * 50_000),
        "latin": html("<p>x", "text/html; charset=" + "x" * 500),
        "codec": html("<p>x", "text/html; charset=rot13"),
        "utf-16": (200, {"content-type": "text/html; charset=utf-16"}, b"\xff\xfe<" + b"\x00" * 999),
        "json": (200, {"content-type": "application/json"}, b"[" * 100_000),
        "picture": (200, {"content-type": "image/png"}, b"\x89PNG"),
        "no-type": (200, {}, b"words"),
        "bomb": (200, {"content-type": _HTML, "content-encoding": "gzip"}, gzip.compress(b"<p>" + b"a" * 30_000_000)),
        "broken-gzip": (200, {"content-type": _HTML, "content-encoding": "gzip"}, b"\x1f\x8bxx"),
        "packed-oddly": (200, {"content-type": _HTML, "content-encoding": "x" * 300}, b"x"),
        "large": (200, {"content-type": _HTML}, b"<p>" + b"b" * 6_000_000),
        "to-metadata": moved("http://169.254.169.254/latest/meta-data"),
        "to-loopback": moved("http://localhost:1/"),
        "to-file": moved("file:///etc/passwd"),
        "to-nothing": moved("http://["),
        "to-itself": moved(f"{base}/page/to-itself"),
        "to-odd": moved("//\u00e9\x7f/"),
        "gone": (404, {"content-type": _HTML}, b"gone"),
        "error": (500, {"content-type": _HTML}, b"error"),
    }  # fmt: skip


class _Web(asyncio.Protocol):
    """The word `answer=NAME` in a query names the answer; without it they take turns, mostly with the good one."""

    base = ""
    turn = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.url = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_message_complete(self) -> None:
        parts = urlsplit(self.url.decode("latin-1"))
        headers: dict[str, str] = {"content-type": "application/json"}
        if parts.path == "/search":
            status, body = self._found(parse_qs(parts.query).get("q", [""])[0])
        else:
            name = parts.path.removeprefix("/page/")
            status, headers, body = pages(self.base).get(name, pages(self.base)["article"])
        lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode("latin-1", "replace")
        self.transport.write(head + body)

    def _found(self, query: str) -> tuple[int, bytes]:
        all = answers(self.base)
        _, named, name = query.partition("answer=")
        if named:
            return all.get(name.split()[0] if name.split() else "", all["fine"])
        type(self).turn += 1
        return list(all.values())[self.turn % len(all)] if self.turn % 3 == 0 else all["fine"]


@asynccontextmanager
async def web() -> AsyncIterator[str]:
    """Run it in this event loop; gives its base URL."""
    server = await asyncio.get_running_loop().create_server(_Web, "127.0.0.1", 0)
    _Web.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield _Web.base
    finally:
        server.close()
