# ruff: noqa: E501, B008 (tables read best with one case per line)
"""What came with the Messages API and hosted tools costs in proportion to its size: bodies, pages, documents, answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from antiphon.core.citations.citer import Citer
from antiphon.core.citations.sources import Sources, WebSource
from antiphon.core.deltas import Delta, TextDelta
from antiphon.core.request.json_text import check_json, offset_of
from antiphon.core.retrieval.chunking import chunked
from antiphon.core.retrieval.filters import read_filter
from antiphon.core.retrieval.words import query_words, words
from antiphon.core.text.html_pieces import Tag, html_pieces
from antiphon.core.text.stop_sequences import StopFilter, StopMatcher
from antiphon.errors import AntiphonError
from antiphon.server.messages.decoder import MessagesRequestDecoder
from antiphon.tools.retrieval.formats.documents import document_text
from antiphon.tools.web.page_text import page_text
from antiphon.tools.web.pages import matches
from antiphon.tools.web.providers import PROVIDERS, Wish, hits
from tests.backends import hostile_messages as messages
from tests.backends.anthropic.streams import decoder
from tests.growth import assert_linear, cpu_time

pytestmark = pytest.mark.slow

Json = dict[str, Any]
Make = Callable[[int], object]

USER: Json = {"role": "user", "content": "a"}
TEXT: Json = {"type": "text", "text": "a"}
SEALED = {"type": "thinking", "thinking": "a", "signature": "ANT2.AAAA"}


def _said(*blocks: Json) -> list[Json]:
    return [USER, {"role": "assistant", "content": list(blocks)}, USER]


def _calls(count: int) -> list[Json]:
    calls = [{"type": "tool_use", "id": f"t{n}", "name": "f", "input": {}} for n in range(count)]
    results = [{"type": "tool_result", "tool_use_id": f"t{n}", "content": "x"} for n in range(count)]
    return [USER, {"role": "assistant", "content": calls}, {"role": "user", "content": results}]


def _documents(depth: int) -> list[Json]:
    content: list[Json] = [{"type": "text", "text": "x" * 100_000}]
    for _ in range(depth):
        content = [{"type": "document", "source": {"type": "content", "content": content}}]
    return [{"role": "user", "content": content}]


def _tools(count: int, **more: Any) -> list[Json]:
    return [{"name": f"f{n}", "input_schema": {"type": "object"}, **more} for n in range(count)]


BODIES: dict[str, tuple[int, Callable[[int], Json]]] = {
    "messages of a user in a row": (6000, lambda n: {"messages": [USER] * n}),
    "messages in turns": (2000, lambda n: {"messages": [USER, {"role": "assistant", "content": "b"}] * n + [USER]}),
    "system messages": (2000, lambda n: {"messages": [USER, *[{"role": "system", "content": [TEXT]}] * n, USER]}),
    "blocks": (6000, lambda n: {"messages": [{"role": "user", "content": [TEXT] * n}]}),
    "system blocks": (6000, lambda n: {"system": [TEXT] * n}),
    "unknown blocks": (6000, lambda n: {"messages": [{"role": "user", "content": [{"type": f"x{k}"} for k in range(n)]}, USER]}),
    "documents in documents": (4, lambda n: {"messages": _documents(n)}),
    "calls with results": (1500, lambda n: {"messages": _calls(n)}),
    "sealed thoughts": (4000, lambda n: {"messages": _said(*[SEALED] * n)}),
    "compactions": (4000, lambda n: {"messages": _said(*[{"type": "compaction", "content": "a"}, TEXT] * n)}),
    "tools": (1000, lambda n: {"tools": _tools(n)}),
    "deferred tools": (1500, lambda n: {
        "tools": _tools(n, defer_loading=True),
        "messages": [{"role": "user", "content": [{"type": "tool_reference", "tool_name": f"f{k}"} for k in range(n)]}, USER]}),
    "tools that are ignored": (4000, lambda n: {"tools": [{"type": f"tool_search{k}", "name": "f"} for k in range(n)]}),
    "unknown fields": (8000, lambda n: {f"f{k}": 1 for k in range(n)}),
    "line breaks in a call": (50_000, lambda n: {"messages": _said({"type": "tool_use", "id": "a", "name": "f", "input": {"a": "\n" * n}})}),
    "an image": (250_000, lambda n: {"messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA" * n}}]}]}),
    "stop sequences": (8, lambda n: {"stop_sequences": [f"{k}" + "a" * 100 for k in range(n)]}),
    "spaces in an edit of the context": (100_000, lambda n: {"context_management": {"edits": [{"type": " " * n}]}}),
}  # fmt: skip


def _body(fields: Json) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 9, "messages": [USER], **fields}).encode()


@pytest.mark.parametrize("name", BODIES)
def test_a_messages_body(name: str) -> None:
    size, make = BODIES[name]

    def cost(count: int) -> float:
        body = check_json(_body(make(count)))
        return cpu_time(lambda: MessagesRequestDecoder(lambda model: model)._decode(body, len(body)))

    assert_linear(cost, size)


PAGES = (
    "<", "<a ", "<div>", "</div>", "<nav>", '<a href="', "<!--", "<!", "<script>", "<script", "<title", "<title>", "<main>", "</main",
    "&", "&#", "&amp;", "<a href=x>", "<td></td>", "<pre>\n", "<p>", "<textarea>", "<style", "<article></article>", "<h1>", '<a ">', '<a "> ">',
    "<![CDATA[", "<?", "</", "<a x=", "<nav></svg>", " ", "<ul><li>",
)  # fmt: skip


@pytest.mark.parametrize("piece", PAGES)
@pytest.mark.parametrize("reader", ["page", "document"])
def test_a_page(piece: str, reader: str) -> None:
    def cost(size: int) -> float:
        page = piece * (size // len(piece))
        if reader == "page":
            return cpu_time(lambda: page_text(page, "http://a/"))
        return cpu_time(lambda: _read(f"<html>{page}".encode(), "a.html"))

    assert_linear(cost, 40_000)


def test_silent_elements_that_end_in_another_order() -> None:
    def cost(size: int) -> float:
        page = b"<html>" + b"<nav>" * size + b"</svg>" * size + b"</nav>" * size
        return cpu_time(lambda: _read(page, "a.html"))

    assert_linear(cost, 8000)


def _read(content: bytes, name: str) -> None:
    with suppress(AntiphonError):
        document_text(content, name)


def test_the_pieces_of_a_page_are_those_of_its_text() -> None:
    page = 'a<P class="x > y">b<!-- <p> -->c<script>"<p>"</SCRIPT>d<br/>e < f<?x?>&amp;'
    assert list(html_pieces(page)) == [
        "a", Tag("p", False, ' class="x > y"'), "b", "c", Tag("script", True, ""), "d", Tag("br", False, "/"), "e ", "<", " f", "&amp;",
    ]  # fmt: skip


WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def _docx(content: str) -> bytes:
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{WORD}">{content}</w:document>')
    return packed.getvalue()


DOCUMENTS: dict[str, tuple[int, Callable[[int], bytes], str]] = {
    "paragraphs": (5000, lambda n: _docx("<w:p><w:r><w:t>a</w:t></w:r></w:p>" * n), "a.docx"),
    "deep elements": (3000, lambda n: _docx("<w:p>" * n + "</w:p>" * n), "a.docx"),
    "attributes": (3000, lambda n: _docx("<w:p " + " ".join(f'a{k}="x"' for k in range(n)) + "/>"), "a.docx"),
    "namespaces": (3000, lambda n: _docx("<w:p " + " ".join(f'xmlns:a{k}="x"' for k in range(n)) + "/>"), "a.docx"),
    "plain text": (200_000, lambda n: b"a " * n, "a.txt"),
    "odd bytes": (100_000, lambda n: b"\xff\xfe" * n, "a.txt"),
    "control characters": (100_000, lambda n: b"a\x01" * n, "a.txt"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document(name: str) -> None:
    size, make, filename = DOCUMENTS[name]

    def cost(count: int) -> float:
        content = make(count)
        return cpu_time(lambda: _read(content, filename))

    assert_linear(cost, size)


@pytest.mark.parametrize("piece", ["a", "a ", "a\n\n", ".", "ab. ", "日本", "é ", "\n", "y", "\u0301", "ab\u0301"])
@pytest.mark.parametrize("work", [chunked, words, query_words])
def test_a_text(piece: str, work: Callable[[str], Any]) -> None:
    assert_linear(lambda size: cpu_time(lambda: list(work(piece * (size // len(piece))))), 40_000)


MARKERS = ("【", "【1", "[^", "【1】", "[^1]", "[", "【1†x】", "【" * 39 + "】", "sandbox:", "【9, ", "【1,1,1,1】")


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("cut", [3, 10**9])
def test_citations(marker: str, cut: int) -> None:
    sources = Sources()
    sources.load([WebSource("http://a.org/", "A")])

    def cost(size: int) -> float:
        text = marker * (size // len(marker))

        def work() -> None:
            citer = Citer(sources)
            for place in range(0, size, cut):
                citer.take([TextDelta(text[place : place + cut])])
            citer.close()

        return cpu_time(work)

    assert_linear(cost, 5000)


@pytest.mark.parametrize(
    "sequences", [("a" * 8000 + "b",), ("a" * 4000 + "b", "a" * 3000 + "c"), tuple("a" * n + "b" for n in range(1, 64))]
)
@pytest.mark.parametrize("piece", ["a", "a" * 3999 + "c", "a" * 63 + "c"])
def test_stop_sequences(sequences: tuple[str, ...], piece: str) -> None:
    def cost(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[:size]

        def work() -> None:
            stops = StopFilter(sequences)
            for place in range(0, size, 5):
                stops.take([TextDelta(text[place : place + 5])])

        return cpu_time(work)

    assert_linear(cost, 5000)


def test_stop_sequences_are_made_ready() -> None:
    assert_linear(lambda size: cpu_time(lambda: StopMatcher(["a" * size + "b", "a" * (size // 2) + "c"])), 1000)


@pytest.mark.parametrize("shape", ["deep", "wide", "deep and long", "values"])
def test_filters(shape: str) -> None:
    def make(size: int) -> bytes:
        leaf: Json = {"type": "eq", "key": "a", "value": "x" * (100_000 if shape == "deep and long" else 1)}
        if shape == "values":
            return json.dumps({"type": "in", "key": "a", "value": list(range(size * 100))}).encode()
        if shape == "wide":
            return json.dumps({"type": "or", "filters": [leaf] * size * 100}).encode()
        for _ in range(size):
            leaf = {"type": "and", "filters": [leaf]}
        return json.dumps(leaf).encode()

    def work(body: bytes) -> None:
        with suppress(AntiphonError):
            read_filter(body, "filters")

    assert_linear(lambda size: cpu_time(lambda body=make(size): work(body)), 12)  # type: ignore[misc]


@pytest.mark.parametrize("name", PROVIDERS)
def test_results_of_a_provider(name: str) -> None:
    provider = PROVIDERS[name]

    def make(size: int) -> Json:
        entry = {
            provider.link: "x",
            provider.title: "<b" * size,
            **{text: ["<" * size] * 30 for text in provider.texts},
        }
        found: Any = [entry] * size
        for step in reversed(provider.hits):
            found = {step: found}
        return dict(found)

    assert_linear(lambda size: cpu_time(lambda answer=make(size): hits(provider, answer, Wish(query="a"))), 1000)  # type: ignore[misc]


def test_text_that_is_found_in_a_page() -> None:
    assert_linear(lambda size: cpu_time(lambda: matches("a" * size, "a" * 200 + "b")), 100_000)


EVENTS: dict[str, tuple[int, Callable[[int], list[Any]]]] = {
    "pieces": (2000, lambda n: [messages.opened(messages.TEXT), *[messages.said()] * n]),
    "pieces of a call": (2000, lambda n: [messages.opened(messages.CALL), *[messages.piece(partial_json='"')] * n]),
    "pieces of a signature": (
        500,
        lambda n: [messages.opened(messages.THOUGHTS), *[messages.piece(signature="s" * 100)] * n],
    ),
    "blocks": (
        500,
        lambda n: [one for k in range(n) for one in (messages.opened(messages.TEXT, k), messages.closed(k))],
    ),
    "open blocks": (500, lambda n: [messages.opened(messages.TEXT, k) for k in range(n)]),
    "calls": (60, lambda n: [one for k in range(n) for one in (messages.opened(messages.CALL, k), messages.closed(k))]),
    "citations": (
        500,
        lambda n: [
            messages.opened(messages.TEXT),
            *[messages.piece(citation={"url": f"http://a/{k}"}) for k in range(n)],
        ],
    ),
    "pings": (3000, lambda n: [{"type": "ping"}] * n),
}


@pytest.mark.parametrize("name", EVENTS)
def test_events_of_a_backend_of_the_messages_api(name: str) -> None:
    size, make = EVENTS[name]

    def cost(count: int) -> float:
        payloads = [json.dumps(event).encode() for event in [messages.start(), *make(count), *messages.ended()]]

        def work() -> None:
            out: list[Delta] = []
            one = decoder()
            with suppress(AntiphonError):
                for payload in payloads:
                    one.feed([payload], out)
                one.finish(out)

        return cpu_time(work)

    assert_linear(cost, size)


@pytest.mark.parametrize("piece", [b"[", b"1,", b'"a",', b"[],", b'{"a":', b'"' + b"a" * 500 + b'",'])
def test_the_field_at_fault_is_looked_for_within_bounds(piece: bytes) -> None:
    body = b'{"a":[' + piece * (1_000_000 // len(piece))
    assert cpu_time(lambda: offset_of(body)) < 0.5  # 20 ms; without a bound 1 to 4 s
