"""Halves of characters: servers that cut text at UTF-16 units send an emoji as two lone surrogates in two chunks."""

from __future__ import annotations

from typing import Any

import msgspec


class Halves(msgspec.Struct, eq=False):
    """Makes whole what a stream of JSON texts has cut; a half that never becomes whole is U+FFFD, or left out at the end."""

    _held: dict[int, str] = {}  # by the hash of the string's path in the value

    @property
    def waiting(self) -> bool:
        """Tell whether a half waits for the other one."""
        return bool(self._held)

    def mend(self, value: Any) -> Any:
        """Return a JSON value without lone surrogates. A half at a string's end waits for the same string of the next value.

        Raises RecursionError for what is nested too deeply.
        """
        return self._whole(value, 0)

    def _whole(self, value: Any, path: int) -> Any:
        if isinstance(value, dict):
            return {_clean(key): self._whole(entry, hash((path, key))) for key, entry in value.items()}
        if isinstance(value, list):
            return [self._whole(entry, hash((path, index))) for index, entry in enumerate(value)]
        return self._text(value, path) if isinstance(value, str) else value

    def _text(self, text: str, path: int) -> str:
        text = self._held.pop(path, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held[path] = text[-1]
            text = text[:-1]
        return _clean(text)


def _clean(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
