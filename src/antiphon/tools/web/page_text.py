"""HTML → the text of a page as Markdown: what it says, without its menus. Linear in the page, whatever the page is."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import msgspec

from antiphon.core.text.html_pieces import html_pieces, unescaped

MOST_TEXT = 400_000
"""Characters of a page's text that are kept."""

MOST_MARKUP = 2_000_000
"""Characters of a page, with its markup, that are looked at: the worst ones take 1.3 s of a thread."""

MOST_LINKS = 500
"""Links of a page that are kept."""

LONGEST_LINK = 2048
ENOUGH = 200  # characters; a page whose main part has fewer is read whole

_HREF = re.compile(r"""\bhref\s{0,8}=\s{0,8}(?:"([^"]{0,2048})"|'([^']{0,2048})'|([^\s"'>]{1,2048}))""", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]{0,256}>([^<]{0,512})", re.IGNORECASE)
_MAIN = re.compile(r"<(main|article)[\s>]", re.IGNORECASE)
_SILENT = frozenset("nav header footer aside form svg noscript template iframe select button dialog menu".split())
_NO_TEXT = frozenset("svg noscript template iframe select button".split())
_BLOCKS = frozenset(
    """
    address article aside blockquote body br dd details div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 h6 hr li main ol p
    pre section summary table tbody thead tfoot tr ul
    """.split()
)
_PARAGRAPHS = frozenset("article blockquote h1 h2 h3 h4 h5 h6 p pre section table ul ol dl".split())
_MARKS = {**{f"h{level}": "#" * level + " " for level in range(1, 7)}, "li": "- "}
_BLANK = re.compile(r"[ \t\r\f\v\u00a0]+")


class PageText(msgspec.Struct, frozen=True):
    """A page: its title, its text, and the URLs it links to."""

    title: str
    text: str
    links: frozenset[str] = frozenset()


def page_text(page: str, url: str) -> PageText:
    """Return the text of a page that was found at `url`."""
    page = page[:MOST_MARKUP]
    title = _TITLE.search(page)
    found = _PageReader(_main_part(page), url, _SILENT).read()
    if len(found.text) < ENOUGH:
        found = _PageReader(page, url, _NO_TEXT).read()
    return PageText(" ".join(unescaped(title[1]).split()) if title else "", found.text, found.links)


def _main_part(page: str) -> str:
    """Return what stands in the first `main`, or from the first `article` to the end of the last one."""
    found = _MAIN.search(page)
    if found is None:
        return page
    end = max(page.rfind(f"</{name}") for name in (found[1].lower(), found[1].upper(), found[1]))
    return page[found.start() : end] if end > found.start() else page[found.start() :]


class _PageReader:
    """Reads a page once, from its beginning to its end."""

    def __init__(self, page: str, url: str, silent: frozenset[str]) -> None:
        self._page = page
        self._url = url
        self._silent_tags = silent
        self._silent = ""
        self._depth = 0
        self._preformatted = False
        self._pieces: list[str] = []
        self._size = 0
        self._links: set[str] = set()
        self._link = ""
        self._fresh = True

    def read(self) -> PageText:
        """Return the text and the links."""
        for piece in html_pieces(self._page):
            if isinstance(piece, str):
                self._text(piece)
            elif piece.closing:
                self._close(piece.name)
            else:
                self._open(piece.name, piece.attributes)
            if self._size >= MOST_TEXT:
                break
        lines = [_BLANK.sub(" ", line).strip() if not line.startswith("\t") else line[1:] for line in self._lines()]
        return PageText("", _without_gaps(lines)[:MOST_TEXT], frozenset(self._links))

    def _lines(self) -> list[str]:
        return "".join(self._pieces).split("\n")

    def _open(self, name: str, attributes: str) -> None:
        if self._silent:
            self._depth += name == self._silent
            return
        if name in self._silent_tags and not attributes.endswith("/"):
            self._silent, self._depth = name, 1
            return
        self._break(name)
        if name in _MARKS:
            self._add(_MARKS[name])
        if name == "pre":
            self._preformatted = True
        if name == "a":
            self._link = self._target(attributes)
            if self._link:
                self._add("[")

    def _close(self, name: str) -> None:
        if self._silent:
            self._depth -= name == self._silent
            if not self._depth:
                self._silent = ""
            return
        if name == "a" and self._link:
            self._add(f"]({self._link})")
            self._link = ""
        if name in ("td", "th"):
            self._add(" | ")
        if name == "pre":
            self._preformatted = False
        self._break(name)

    def _text(self, text: str) -> None:
        if self._silent or not text:
            return
        plain = unescaped(text)
        if self._preformatted:
            self._add(plain.replace("\n", "\n\t"))
        elif plain.isspace():
            self._add(" ")
        else:
            before = " " if plain[0].isspace() else ""
            self._add(f"{before}{' '.join(plain.split())}{' ' if plain[-1].isspace() else ''}")

    def _target(self, attributes: str) -> str:
        """Return the URL that a link leads to, "" for one that is no page."""
        found = _HREF.search(attributes)
        if found is None:
            return ""
        try:
            url = urljoin(self._url, unescaped(found[1] or found[2] or found[3] or "").strip())
            parts = urlsplit(url)
        except ValueError:
            return ""
        if parts.scheme not in ("http", "https") or not parts.netloc or len(url) > LONGEST_LINK:
            return ""
        url = url.partition("#")[0]
        if url == self._url.partition("#")[0] or not _WITHOUT_END.isdisjoint(url):
            return ""
        if url not in self._links and len(self._links) >= MOST_LINKS:
            return ""
        self._links.add(url)
        return url

    def _break(self, name: str) -> None:
        if name in _PARAGRAPHS:
            self._add("\n\n")
        elif name in _BLOCKS and not (self._pieces and self._pieces[-1].endswith("\n")):
            self._add("\n")

    def _add(self, text: str) -> None:
        self._pieces.append(text)
        self._size += len(text)


_WITHOUT_END = frozenset(' \t\r\n<>"`')
"""What a URL in a link must not have: it would not end where it ends."""


def _without_gaps(lines: list[str]) -> str:
    """Join lines; of several empty ones in a row one is left, and marks without a text go."""
    kept: list[str] = []
    for line in lines:
        if line in ("-", "|", "#", "##", "###"):
            continue
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip()
