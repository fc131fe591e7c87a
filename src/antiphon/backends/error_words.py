"""The words of an error, wherever a server puts them: OpenAI's shape, FastAPI's, Google's lists, vendors' own envelopes."""

from __future__ import annotations

from collections.abc import Iterator
from json import loads
from typing import Any

import msgspec

from antiphon.backends.waits import from_fields
from antiphon.core.json_encoding import to_json
from antiphon.core.text.leaks.pythonic import literal
from antiphon.core.text.surrogate_halves import Halves

# Names of fields, without their underscores and in lower case: servers spell them in all ways.
_MESSAGES = (
    *("message", "msg", "errormessage", "errormsg", "errmsg", "statusmsg", "statusmessage", "errordescription"),
    *("description", "faultstring", "reason", "desc"),
)
_LAST = ("title", "statustext", "status")
"""What stands for a message where there is no other."""

_CODES = ("code", "errorcode", "statuscode", "errcode", "httpcode")
_BEFORE = (
    "error",
    "errors",
    "baseresp",
    "err",
    "fault",
    "exception",
    "response",
    "header",
    "errordetail",
    "responsemetadata",
)
"""Fields that say more than what stands around them."""

_BEHIND = ("detail", "data", "body")
_MORE = (
    *("failedgeneration", "raw", "upstreamerror", "originalerror", "providererror", "innererror", "cause", "causedby"),
    *("metadata", "details", "violations"),
)
"""Fields beside a message that hold the words of somebody behind the server, or what they are about."""

_EMPTY_WORDS = frozenset(
    """
    error|an error occurred|provider returned error|upstream error|bad request|internal server error|internal error|failed
    unprocessable entity|invalid request|invalid_request_error|bad_request|not found|forbidden|bad gateway|unknown error
    upstream request failed|request failed|validation error|invalid_argument|something went wrong|api_error|server_error
    """.replace("\n", "|")
    .replace("    ", "")
    .split("|")
) - {""}
"""Messages that say nothing: any other one in the error is taken first."""

_JSON = ("{", '[{"error"')
_BROKEN_JSON = ("[{", "[[", '["', "[ ", "[\n")
_MOST_FIELDS = 100  # of an object that are looked at
_LONGEST_MORE = 1000  # characters of further words
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
    wait: float | None = None
    """Seconds after which the server wants to be asked again."""


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


def words_of(value: Any, *, quote: bool = False) -> ErrorWords:
    """Find message, code, type and param in a JSON value that a server sent instead of an answer.

    `quote`: it is certainly an error; where it has no words that are known, it is shown itself.
    """
    found = ErrorWords(wait=from_fields(value))
    empty = ""
    more = ""
    for holder in _holders(value, _LEVELS):
        said = holder.strip() if isinstance(holder, str) else _message(holder)
        if said.lower().rstrip(".! ") in _EMPTY_WORDS:
            empty = empty or said
        else:
            found.message = found.message or _inner_words(said)
        if isinstance(holder, str):
            continue
        more = more or _more(holder, _LEVELS)
        found.type = found.type or _first(holder, ("type",)) or None
        found.param = found.param or _first(holder, ("param",)) or None
        if found.code is None:
            found.code = _code(holder)
    found.message = found.message or ("" if more else empty)
    if not found.message and not more:
        found.message = _fallback(value, quote)
    if more and more not in found.message:
        found.message = ": ".join(filter(None, (found.message or empty, more)))
    return found


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields by their names in one spelling."""
    names = list(fields)[:_MOST_FIELDS]
    return {name.lower().replace("_", "").replace("-", ""): fields[name] for name in reversed(names)}


def _holders(value: Any, levels: int) -> Iterator[dict[str, Any] | str]:
    """Yield what may hold the words, the innermost error first."""
    if isinstance(value, list):
        value = next((entry for entry in value if isinstance(entry, dict | str)), None)
    if isinstance(value, str) and value.strip():
        yield value
    if not isinstance(value, dict) or not levels:
        return
    fields = _plain(value)
    before = [fields[name] for name in (*_BEFORE, "message") if isinstance(fields.get(name), dict | list)]
    for inner in before:
        yield from _holders(inner, levels - 1)
    message = fields.get("message")
    if isinstance(message, dict) and isinstance(message.get("text"), str):
        yield message["text"]
    yield fields
    yield from (fields[name] for name in _BEFORE if isinstance(fields.get(name), str) and fields[name].strip())
    for name in _BEHIND:
        inner = fields.get(name)
        # FastAPI's list of wrong fields is shown as it is: each entry says where it stands. Text in `data` is no error's.
        if not isinstance(inner, list) and not (name != "detail" and isinstance(inner, str)):
            yield from _holders(inner, levels - 1)


def _message(fields: dict[str, Any]) -> str:
    """Return an object's own message; one that is a list of texts is joined."""
    said = fields.get("message")
    if isinstance(said, list) and said and all(isinstance(one, str) for one in said):
        return "; ".join(said)
    return _first(fields, _MESSAGES)


def _inner_words(said: str) -> str:
    """Return the words of a message that is itself an error as JSON."""
    if not said.startswith(_JSON):  # a list of wrong fields says where they stand
        return said
    try:
        inner = words_of(read_json(said.encode("utf-8", "replace")))
    except (ValueError, RecursionError):
        return said
    return inner.message or said


def _more(fields: dict[str, Any], levels: int) -> str:
    """Return the words that stand beside a message: of the server behind the server, or what they are about."""
    for name in _MORE:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return _inner_words(value.strip())[:_LONGEST_MORE]
        if isinstance(value, list):
            value = next((entry for entry in value if isinstance(entry, dict)), None)
        if isinstance(value, dict) and levels:
            inner = _plain(value)
            said = _message(inner) or _more(inner, levels - 1)
            if said:
                return said[:_LONGEST_MORE]
    return ""


def _fallback(value: Any, quote: bool) -> str:
    """Return what says least: the list of what is wrong, a title, or all of it."""
    fields = _plain(value) if isinstance(value, dict) else {}
    shown = [
        fields[name] for name in ("detail", "errors") if isinstance(fields.get(name), list | dict) and fields[name]
    ]
    if not shown and quote:
        title = _first(fields, _LAST)
        shown = [] if title or not value else [value]
        if title:
            return title
    return to_json(shown[0])[:_LONGEST_MORE].decode("utf-8", "ignore") if shown else ""


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _code(fields: dict[str, Any]) -> str | int | float | None:
    for name in _CODES:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    status = fields.get("status")
    return status if isinstance(status, int) and 400 <= status < 600 else None


def parse(body: bytes, *, quote: bool = False) -> ErrorWords:
    """Find message, code and param in an error body of any server; plain text counts as a message, of HTML its title.

    `quote`: see `words_of`.
    """
    if len(body) > _LARGEST:
        return ErrorWords()
    try:
        value = mended(body, Halves())
    except (ValueError, RecursionError):
        return _of_text(body[:_LONGEST].decode("utf-8", "replace").strip(), quote)
    return ErrorWords(message=value.strip()) if isinstance(value, str) else words_of(value, quote=quote)


def _of_text(text: str, quote: bool) -> ErrorWords:
    """Find the words in what is no JSON: a page, Python's spelling of an object, or a sentence."""
    if text.startswith("<"):
        return ErrorWords(message=_tagged(text, "<message>") or _tagged(text, "<title>"))
    if text.startswith("{"):
        value = literal(text)
        return words_of(value, quote=quote) if isinstance(value, dict) else ErrorWords()
    return ErrorWords(message="" if text.startswith(_BROKEN_JSON) else text)


def _tagged(page: str, tag: str) -> str:
    """Return what stands behind a tag: the message of an error in XML, the title of a page."""
    start = page.lower().find(tag)
    end = page.find("<", start + len(tag))
    return " ".join(page[start + len(tag) : end].split())[:200] if 0 <= start < end else ""
