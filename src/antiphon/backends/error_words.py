"""The words of an error, wherever a server puts them: OpenAI's shape, FastAPI's, Google's lists, vendors' own envelopes."""

from __future__ import annotations

from collections.abc import Iterator
from json import loads
from typing import Any

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.core.text.surrogate_halves import Halves

_MESSAGES = ("message", "msg", "error_msg", "error_message", "status_msg", "description", "reason", "title")
_CODES = ("code", "error_code", "status_code")
_BEFORE = ("error", "errors", "base_resp")  # say more than what stands around them
_BEHIND = ("detail", "data")
MOST_PARTS = 50_000  # brackets and commas in what is read with Python's objects: 15 ms of the event loop
_LEVELS = 4  # of objects in objects that are looked through
_LARGEST = 1024 * 1024  # bytes of an error that are read: it is done between the tokens of others
_LONGEST = 64 * 1024  # bytes of plain text


class ErrorWords(msgspec.Struct):
    """What an error says; `message` is "" where nothing does. `code` is a number with some servers."""

    message: str = ""
    type: str | None = None
    code: str | int | float | None = None
    param: str | None = None


def read_json(body: bytes) -> Any:
    """Return any JSON as Python's objects. Numbers beyond 18 digits, which nobody means, become 0.

    Raises ValueError for what is no JSON or has too many parts, RecursionError for what is nested too deeply.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_PARTS:
        raise ValueError("too many parts")
    return loads(body, parse_int=_int)


def mended(body: bytes, halves: Halves) -> Any:
    """Return any JSON without lone surrogates. Raises as `read_json` does."""
    value = read_json(body)
    return halves.mend(value) if halves.waiting or b"\\u" in body else value


def _int(digits: str) -> int:
    return int(digits) if len(digits) <= 18 else 0


def integer(value: object) -> int | None:
    """Return a count, also where it is a number with a point, or text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if abs(value) < 1e15 else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15:
        return int(value)
    return value if isinstance(value, int) else None


def words_of(value: Any) -> ErrorWords:
    """Find message, code, type and param in a JSON value that a server sent in the place of an answer."""
    found = ErrorWords()
    for holder in _holders(value, _LEVELS):
        if isinstance(holder, str):
            found.message = found.message or holder.strip()
            continue
        found.message = found.message or _first(holder, _MESSAGES)
        found.type = found.type or _first(holder, ("type",)) or None
        found.param = found.param or _first(holder, ("param",)) or None
        if found.code is None:
            found.code = _code(holder)
    if not found.message and isinstance(value, dict) and isinstance(value.get("detail"), list | dict):
        found.message = to_json(value["detail"]).decode()
    generation = _failed_generation(value)
    if found.message and generation:
        found.message = f"{found.message} {generation}"
    return found


def _holders(value: Any, levels: int) -> Iterator[dict[str, Any] | str]:
    """Yield what may hold the words, the innermost error first."""
    if isinstance(value, list):
        value = next((entry for entry in value if isinstance(entry, dict)), None)
    if not isinstance(value, dict) or not levels:
        return
    for name in _BEFORE:
        yield from _inner(value.get(name), levels)
    yield value
    for name in _BEHIND:
        inner = value.get(name)
        # FastAPI's list of wrong fields is shown as it is: each entry says where it stands. Text in `data` is no error's.
        if not isinstance(inner, list) and not (name == "data" and isinstance(inner, str)):
            yield from _inner(inner, levels)


def _inner(value: Any, levels: int) -> Iterator[dict[str, Any] | str]:
    if isinstance(value, str) and value.strip():
        yield value
    elif isinstance(value, dict | list):
        yield from _holders(value, levels - 1)


def _first(holder: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = holder.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _code(holder: dict[str, Any]) -> str | int | float | None:
    for name in _CODES:
        value = holder.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    return None


def _failed_generation(value: Any) -> str:
    error = value.get("error") if isinstance(value, dict) else None
    text = error.get("failed_generation") if isinstance(error, dict) else None
    return text if isinstance(text, str) else ""


def parse(body: bytes) -> ErrorWords:
    """Find message, code and param in an error body of any server; plain text counts as a message, HTML does not."""
    if len(body) > _LARGEST:
        return ErrorWords()
    try:
        value = mended(body, Halves())
    except (ValueError, RecursionError):
        text = body[:_LONGEST].decode("utf-8", "replace").strip()
        return ErrorWords(message="" if text[:1] in ("<", "{", "[") else text)
    return ErrorWords(message=value.strip()) if isinstance(value, str) else words_of(value)
