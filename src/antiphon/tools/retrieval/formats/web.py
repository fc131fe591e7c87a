"""HTML → text, and books of HTML (EPUB)."""

from __future__ import annotations

import posixpath
from collections import Counter
from urllib.parse import unquote

from antiphon.core.text.html_pieces import Tag, html_pieces, unescaped
from antiphon.tools.retrieval.formats.archive import Archive, XmlTarget, read_xml
from antiphon.tools.retrieval.formats.base import TextBuilder

_SILENT = frozenset("noscript template svg nav iframe object select button".split())
_BLOCKS = frozenset(
    """
    address article aside blockquote body br dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr
    html li main ol p pre section table tbody tfoot thead title tr ul
    """.split()
)
_PARAGRAPHS = frozenset("article blockquote h1 h2 h3 h4 h5 h6 p pre section table title".split())
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}


class _Page:
    """Gathers the text of a page: blocks on lines of their own, headings and lists as Markdown, no scripts and no menus."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._silent: list[str] = []
        self._silent_open: Counter[str] = Counter()
        self._preformatted = 0
        self._at_start = True

    def take(self, piece: Tag | str) -> None:
        """Take the next piece of the page."""
        if isinstance(piece, str):
            self._data(unescaped(piece))
        elif piece.closing:
            self._end(piece.name)
        else:
            self._start(piece.name)
            if piece.attributes.endswith("/"):
                self._end(piece.name)

    def _start(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent.append(tag)
            self._silent_open[tag] += 1
        self._preformatted += tag == "pre"
        self._break(tag)
        mark = "- " if tag == "li" else _HEADINGS.get(tag, "")
        if mark and not self._silent:
            self._builder.add(mark)
            self._at_start = True

    def _end(self, tag: str) -> None:
        while self._silent_open[tag]:
            left = self._silent.pop()
            self._silent_open[left] -= 1
            if left == tag:
                break
        if tag == "pre" and self._preformatted:
            self._preformatted -= 1
        if tag in ("td", "th") and not self._silent:
            self._builder.add("\t")
            self._at_start = True
        self._break(tag)

    def _data(self, data: str) -> None:
        if self._silent:
            return
        if not self._preformatted:
            words = " ".join(data.split())
            if not words:
                data = "" if self._at_start else " "
            else:
                before = " " if data[0].isspace() and not self._at_start else ""
                data = f"{before}{words}{' ' if data[-1].isspace() else ''}"
        if data:
            self._builder.add(data)
            self._at_start = data[-1].isspace()

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS and not self._silent:
            self._builder.add("\n\n" if tag in _PARAGRAPHS else "\n")
            self._at_start = True


def html_text(page: str) -> str:
    """Return the text of a page. Raises InvalidDocument."""
    builder = TextBuilder()
    add_page(page, builder)
    return builder.text()


def add_page(page: str, builder: TextBuilder) -> None:
    """Append the text of a page. Raises InvalidDocument."""
    reader = _Page(builder)
    for piece in html_pieces(page, ("script", "style")):
        reader.take(piece)


# EPUB: `META-INF/container.xml` names the package, whose spine names the pages in order.


class _Elements(XmlTarget):
    """Gathers the attributes of elements by their names."""

    def __init__(self) -> None:
        self.found: dict[str, list[dict[str, str]]] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.found.setdefault(tag.rpartition("}")[2], []).append(attributes)


def _elements(content: bytes) -> dict[str, list[dict[str, str]]]:
    target = _Elements()
    read_xml(content, target)
    return target.found


def epub_text(archive: Archive) -> str:
    """Return the text of an EPUB book, page by page. Raises InvalidDocument."""
    roots = _elements(archive.read("META-INF/container.xml")).get("rootfile", [])
    path = next((root["full-path"] for root in roots if "full-path" in root), "")
    package = _elements(archive.read(path))
    pages = {item.get("id"): item.get("href", "") for item in package.get("item", [])}
    builder = TextBuilder()
    for reference in package.get("itemref", []):
        href = unquote(pages.get(reference.get("idref"), "").partition("#")[0])
        name = posixpath.normpath(posixpath.join(posixpath.dirname(path), href))
        add_page(archive.read(name).decode("utf-8", "replace"), builder)
        builder.add("\n\n")
    return builder.text()
