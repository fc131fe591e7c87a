"""What stands beside the text of an answer: citations and pictures, wherever servers put them, as the Responses API has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Raw

from antiphon.backends.error_words import read_json
from antiphon.core.deltas import AnnotationDelta, Delta, PictureDelta, TextDelta
from antiphon.core.json_encoding import to_json
from antiphon.types.chat import ChatChunk

MOST_ANNOTATIONS = 500
"""Citations of one answer."""

MOST_PICTURES = 16
"""Pictures of one answer."""

MOST_PICTURE_BYTES = 16 * 1024 * 1024
"""Characters of all pictures of one answer, in base64."""

LONGEST = 8 * 1024  # characters of a citation's URL, and of its title
_LARGEST = 1024 * 1024  # bytes of citations in one chunk that are read

_NO_LISTS = (None, None, None, None)

_URLS = ("url", "link", "uri", "source")
_TITLES = ("title", "name", "url")
_KINDS = frozenset(("url_citation", "reference", "tool_reference", ""))
_DATA = ("b64_json", "data", "base64", "result")


def _text(holder: Mapping[str, Any], names: tuple[str, ...]) -> str:
    found = (holder.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and 0 < len(value) <= LONGEST), "")


def _index(value: object, instead: int) -> int:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if good else instead  # type: ignore[return-value]  # `good` says that it is an int


class SideFields:
    """Gathers the citations and pictures of one answer. Each is told once; `flush` adds what came since the last time."""

    __slots__ = ("_cited", "_pictured", "_size", "_told", "_waiting")

    def __init__(self) -> None:
        self._cited: set[str] = set()
        self._told: set[bytes] = set()
        self._pictured: set[int] = set()
        self._size = 0
        self._waiting: list[bytes] = []

    def annotations(self, raw: Raw, text_size: int) -> None:
        """Take in the `annotations` of a message; `text_size` is where those belong that have no place."""
        for entry in _entries(raw):
            inner = entry.get("url_citation")
            self._add(inner if isinstance(inner, dict) else entry, entry.get("type"), text_size)

    def sources(self, lists: Sequence[Raw], text_size: int) -> None:
        """Take in sources that stand beside the choices, but for those that the message cites."""
        for raw in lists:
            for entry in _entries(raw):
                if _text(entry, _URLS) not in self._cited:
                    self._add(entry, "", text_size)

    def reference(self, fields: Mapping[str, Any], text_size: int) -> None:
        """Take in a content part that names a source."""
        self._add(fields, "reference", text_size)

    def _add(self, fields: Mapping[str, Any], kind: object, text_size: int) -> None:
        url = _text(fields, _URLS)
        if not url or (kind or "") not in _KINDS or len(self._told) >= MOST_ANNOTATIONS:
            return
        start = _index(fields.get("start_index"), text_size)
        annotation = to_json(
            {
                "type": "url_citation",
                "start_index": start,
                "end_index": max(start, _index(fields.get("end_index"), start)),
                "url": url,
                "title": _text(fields, _TITLES),
            }
        )
        if annotation not in self._told:
            self._told.add(annotation)
            self._cited.add(url)
            self._waiting.append(annotation)

    def flush(self, out: list[Delta]) -> None:
        """Add the citations that came since the last time, behind the text that they belong to."""
        out.extend(AnnotationDelta(annotation) for annotation in self._waiting)
        self._waiting.clear()

    def pictures(self, raw: Raw, out: list[Delta]) -> None:
        """Add pictures: of `images`, or of one content part."""
        try:
            value = read_json(bytes(raw))
        except (ValueError, RecursionError):
            return
        for entry in value if isinstance(value, list) else [value]:
            found = _picture(entry)
            if not found or hash(found) in self._pictured:
                continue
            self._size += len(found)
            if len(self._pictured) >= MOST_PICTURES or self._size > MOST_PICTURE_BYTES:
                return
            self._pictured.add(hash(found))
            if found.startswith(("http://", "https://")):
                out.append(TextDelta(f"\n![]({found})\n"))  # nobody here has its bytes
            else:
                out.append(PictureDelta(found))


def _entries(raw: Raw) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list; a text in it stands for an object with that URL."""
    if len(bytes(raw)) > _LARGEST:
        return
    try:
        value = read_json(bytes(raw))
    except (ValueError, RecursionError):
        return
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, dict):
            yield entry
        elif isinstance(entry, str):
            yield {"url": entry}


def _picture(entry: Any) -> str:
    """Return a picture's base64, or its URL where it has no other; "" where it is none."""
    for _ in range(3):
        if isinstance(entry, str):
            head, comma, data = entry.partition(",")
            if head.startswith("data:image/") and head.endswith(";base64") and comma:
                return data
            return entry if entry.startswith(("http://", "https://")) and len(entry) <= LONGEST else ""
        if not isinstance(entry, dict):
            return ""
        data = next((entry[name] for name in _DATA if isinstance(entry.get(name), str)), "")
        if data and not data.startswith(("data:", "http")):
            return data
        entry = data or next((entry[name] for name in ("image_url", "url", "image", "source") if entry.get(name)), None)
    return ""


def sources_of(chunk: ChatChunk) -> Sequence[Raw]:
    """Return the lists of sources of a chunk or an answer: Perplexity's, xAI's, Zhipu's."""
    lists = (chunk.citations, chunk.search_results, chunk.web_search, chunk.references)
    return () if lists == _NO_LISTS else [raw for raw in lists if raw is not None]
