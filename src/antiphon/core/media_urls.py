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

    holder: dict[str, Any]
    key: str
    name: str
    path: str

    @property
    def url(self) -> str:
        """The URL that stands there."""
        return str(self.holder[self.key])

    def put(self, url: str) -> None:
        """Replace the URL."""
        self.holder[self.key] = url


def may_hold_urls(raw: Raw) -> bool:
    """Tell whether JSON may name a URL, without reading it: names may be written with escapes."""
    text = bytes(raw)
    return b"url" in text or b"\\u" in text


def url_slots(value: Any, path: str) -> Iterator[UrlSlot]:
    """Yield the slots in a JSON value, in no particular order; the walk keeps a stack of its own.

    A slot is a string in a field whose name is `url` or ends with `_url`. A field `url` of an object that such a field
    holds has the outer one's name (`"image_url": {"url": …}`).
    """
    stack: list[tuple[Any, str, str]] = [(value, path, "")]
    while stack:
        here, where, name = stack.pop()
        if isinstance(here, list):
            stack += [(entry, f"{where}[{index}]", "") for index, entry in enumerate(here)]
        elif isinstance(here, dict):
            for key, entry in here.items():
                is_url = key.endswith("_url")
                if isinstance(entry, str) and (is_url or key == "url"):
                    yield UrlSlot(here, key, key if is_url else name or key, f"{where}.{key}")
                elif isinstance(entry, dict | list):
                    stack.append((entry, f"{where}.{key}", key if is_url else ""))
