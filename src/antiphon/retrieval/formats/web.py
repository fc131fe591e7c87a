"""HTML → text, and books of HTML (EPUB)."""

from __future__ import annotations

import posixpath
from html.parser import HTMLParser
from urllib.parse import unquote

from antiphon.retrieval.formats.archive import Archive, XmlTarget, read_xml
from antiphon.retrieval.formats.base import InvalidDocument, TextBuilder

_SILENT = frozenset("script style noscript template svg nav iframe object select button".split())
_BLOCKS = frozenset(
    """
    address article aside blockquote body br dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr
    html li main ol p pre section table tbody tfoot thead title tr ul
    """.split()
)
_PARAGRAPHS = frozenset("article blockquote h1 h2 h3 h4 h5 h6 p pre section table title".split())
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}


class _Page(HTMLParser):
    """Gathers the text of a page: blocks on lines of their own, headings and lists as Markdown, no scripts and no menus."""

    def __init__(self, builder: TextBuilder) -> None:
        super().__init__(convert_charrefs=True)
        self._builder = builder
        self._silent: list[str] = []
        self._preformatted = 0
        self._at_start = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Enter an element."""
        if tag in _SILENT:
            self._silent.append(tag)
        self._preformatted += tag == "pre"
        self._break(tag)
        mark = "- " if tag == "li" else _HEADINGS.get(tag, "")
        if mark and not self._silent:
            self._builder.add(mark)
            self._at_start = True

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if tag in self._silent:
            while self._silent.pop() != tag:
                pass
        if tag == "pre" and self._preformatted:
            self._preformatted -= 1
        if tag in ("td", "th") and not self._silent:
            self._builder.add("\t")
            self._at_start = True
        self._break(tag)

    def handle_data(self, data: str) -> None:
        """Take text."""
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
    parser = _Page(builder)
    try:
        parser.feed(page)
        parser.close()
    except (AssertionError, ValueError) as error:
        raise InvalidDocument(f"The file holds broken HTML: {str(error)[:100]}.") from None


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
