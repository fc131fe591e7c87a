"""Halves of characters: servers that cut text at UTF-16 units send an emoji as two lone surrogates in two chunks."""

from __future__ import annotations

from json import dumps, loads
from typing import Any


class Halves:
    """Makes whole what a stream of JSON texts has cut; a half that never becomes whole is U+FFFD, or left out at the end."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[str, str] = {}

    def mend(self, payload: bytes) -> bytes:
        """Return the JSON without lone surrogates. A half at a string's end waits for the same string of the next payload.

        Raises ValueError for what is no JSON, RecursionError for what is nested too deeply.
        """
        return dumps(self._whole(loads(payload), "")).encode()

    def _whole(self, value: Any, place: str) -> Any:
        if isinstance(value, dict):
            return {key: self._whole(entry, f"{place}.{key}") for key, entry in value.items()}
        if isinstance(value, list):
            return [self._whole(entry, f"{place}[{at}]") for at, entry in enumerate(value)]
        return self._text(value, place) if isinstance(value, str) else value

    def _text(self, text: str, place: str) -> str:
        text = self._held.pop(place, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held[place] = text[-1]
            text = text[:-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
