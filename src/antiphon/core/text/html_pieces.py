"""HTML in pieces: tags and the texts between them. Linear in the page, whatever the page is.

Written by hand: a page is hostile input, and the parsers at hand either recurse, or take quadratic time on broken markup
(Python's own did until 3.13.4), or hold the interpreter while they work.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

LONGEST_QUOTED = 1024
"""Characters in which the end of a quoted value is looked for that has a `>` in it."""

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,31})([^<>]{0,4096})>")
_SCRIPT_END = re.compile(r"</script", re.IGNORECASE)
_STYLE_END = re.compile(r"</style", re.IGNORECASE)
_TEXTAREA_END = re.compile(r"</textarea", re.IGNORECASE)
_TITLE_END = re.compile(r"</title", re.IGNORECASE)
_ENDS = {"script": _SCRIPT_END, "style": _STYLE_END, "textarea": _TEXTAREA_END, "title": _TITLE_END}
RAW = frozenset(_ENDS)
"""Elements whose content is no markup."""


class Tag(NamedTuple):
    """A tag: its name in lower case, and its attributes as they are written."""

    name: str
    closing: bool
    attributes: str


def html_pieces(page: str, skipped: Collection[str] = RAW) -> Iterator[Tag | str]:
    """Yield tags and texts, entities as they are, without comments; of elements that are `skipped` (of `RAW`) only the end."""
    offset, size = 0, len(page)
    while offset < size:
        start = page.find("<", offset)
        if start != offset:
            yield page[offset : start if start >= 0 else size]
        if start < 0:
            return
        if page.startswith("<!--", start):
            offset = _behind(page, "-->", start)
            continue
        if page.startswith(("<!", "<?"), start):
            offset = _behind(page, ">", start)
            continue
        found = _TAG.match(page, start)
        if found is None:
            yield "<"
            offset = start + 1
            continue
        name, attributes = found[2].lower(), found[3]
        offset = found.end()
        if not found[1] and name in skipped:
            end = _ENDS[name].search(page, offset)
            offset = end.start() if end else size
            continue
        if attributes.count('"') % 2:
            offset, attributes = _whole(page, offset, attributes)
        yield Tag(name, bool(found[1]), attributes)


def _whole(page: str, offset: int, attributes: str) -> tuple[int, str]:
    """Return where a tag ends that was cut at a `>` in a quoted value, and its attributes."""
    quote = page.find('"', offset, offset + LONGEST_QUOTED)
    end = page.find(">", quote, quote + LONGEST_QUOTED) if quote >= 0 else -1
    return (end + 1, f"{attributes}>{page[offset:end]}") if end >= 0 else (offset, attributes)


def _behind(page: str, end: str, start: int) -> int:
    offset = page.find(end, start)
    return offset + len(end) if offset >= 0 else len(page)


def unescaped(text: str) -> str:
    """Return a text with its entities replaced."""
    if "&" not in text:
        return text
    import html

    try:
        return html.unescape(text)
    except ValueError:  # a number with thousands of digits
        return text
