"""URLs of media inside JSON that is passed on: where they stand, so that each can be checked or replaced. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw


class UrlSlot(msgspec.Struct, frozen=True):
    """A place that holds the URL of an image, a file, a sound or a video: `holder[key]`.

    `path` names it as `param` of an error does; `name` is the field that tells what is meant, such as `image_url`.
    """

    holder: Any
    key: str | int
    name: str
    path: str

    @property
    def url(self) -> str:
        """The URL that stands there."""
        return str(self.holder[self.key])

    def put(self, url: str) -> None:
        """Replace the URL."""
        self.holder[self.key] = url


BARE = frozenset(("image", "video", "audio", "file_data", "file_id"))
"""Fields in which some servers take a URL instead of data or an id (Qwen's models, LiteLLM, OpenRouter)."""
_MARKS = (b"url", b"\\u", b'"image"', b'"video"', b'"audio"', b'"file_data"', b'"file_id"')


def may_hold_urls(raw: Raw) -> bool:
    """Tell whether JSON may name a URL, without reading it: names may be written with escapes."""
    text = bytes(raw)
    return any(mark in text for mark in _MARKS)


def url_slots(value: Any, path: str) -> Iterator[UrlSlot]:
    """Yield the slots in a JSON value, in no particular order; the walk keeps a stack of its own.

    A slot is a string in a field whose name is `url` or ends with `_url`, or one with `://` in a field of `BARE`; of a list
    in such a field each string is one. A field `url` of an object that such a field holds has the outer one's name
    (`"image_url": {"url": …}`).
    """
    stack: list[tuple[Any, str, str]] = [(value, path, "")]
    while stack:
        here, where, name = stack.pop()
        if isinstance(here, list):
            for index, entry in enumerate(here):
                if isinstance(entry, str) and _is_slot(name, entry):
                    yield UrlSlot(here, index, name, f"{where}[{index}]")
                elif isinstance(entry, dict | list):
                    stack.append((entry, f"{where}[{index}]", ""))
        elif isinstance(here, dict):
            for key, entry in here.items():
                if isinstance(entry, str) and _is_slot(key, entry):
                    yield UrlSlot(here, key, name if key == "url" and name else key, f"{where}.{key}")
                elif isinstance(entry, dict | list):
                    stack.append((entry, f"{where}.{key}", key if _is_slot(key, "://") else ""))


def _is_slot(name: str, text: str) -> bool:
    return name == "url" or name.endswith("_url") or (name in BARE and "://" in text)
