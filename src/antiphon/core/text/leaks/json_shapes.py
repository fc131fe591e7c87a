"""Bodies of leaked calls that are JSON: `{"name": …, "arguments": …}` in several spellings, and a name before an object."""

from __future__ import annotations

import re
from typing import Any

from antiphon.core.text.leaks.base import LeakedCall, Offered, Reading, begins, blanks, json_at
from antiphon.core.text.leaks.families import Row
from antiphon.core.text.leaks.pythonic import MOST, literal

MOST_CALLS = 500
"""Calls of one block."""

_NAMES = ("name", "tool_name", "tool", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "input")
_BESIDE = frozenset((*_NAMES, *_ARGUMENTS, "type", "id", "index", "call_id", "tool_call_id"))
_PARTS = re.compile(r"[,; \t\r\n]*")
_FENCE = re.compile(r"```([a-z_]{0,16})\s*")
_LANGUAGES = ("", "json", "tool_call", "tool_calls", "tool_code")
_KEYS = ("name", "tool_name", "tool", "function", "type", "arguments", "parameters", "tool_calls")
"""What the first key of a call may be."""

_FENCES = tuple(f"```{language}" for language in _LANGUAGES)

_NAME = re.compile(r"\s*([\w./:-]{1,256})")
_WORD = re.compile(r"[\w-]{0,64}")
_MARKS = re.compile(r'[\\"{}\[\]]')

# The beginning of an object, or of a list of them, that may be a call; what it may be as long as it is short.
_BEGIN = re.compile(r'(?:\[\s*)?\{\s*"(\w{1,12})"\s*:')
_SHORT = re.compile(r'(?:\[\s*)?(?:\{\s*(?:"(\w{0,12})"?\s*)?)?\Z')
_NAMED = re.compile(r'(?:\[\s*)?\{\s*"(name|tool_name|type)"\s*:\s*"([^"\\]{0,256})("?)')


def read_json(row: Row, text: str, offset: int, offered: Offered, final: bool) -> Reading:
    """Read one block of objects, or, without a closer, what follows as long as it is calls."""
    start = offset
    offset, fenced = _after_fence(text, offset) if row.fences else (offset, False)
    if not row.opener and (held := _is_no_beginning(text, offset, offered, final)) is not None:
        return ([], start) if held else None
    calls: list[LeakedCall] = []
    while True:
        ended = offset
        offset = _parted(text, offset)
        if row.closer and text.startswith(row.closer, offset):
            return calls, offset + len(row.closer)
        if fenced and text.startswith("```", offset):
            return _unfenced(calls, text, start, offset + 3, final)
        if not final and (offset == len(text) or begins(text, offset, (row.closer, "```" if fenced else ""))):
            return None
        if text[offset : offset + 1] not in ("{", "["):
            return ([], start) if fenced else (calls, ended if calls else start)
        found = json_at(text, offset)
        if found is None:
            return _broken(row, text, offset, offered, final) if not calls else ((calls, offset) if final else None)
        made = _calls(found[0], offered)
        if not made:
            return (calls, ended) if calls and not row.closer else ([], found[1])
        calls += made
        if len(calls) > MOST_CALLS:
            return [], found[1]
        offset = found[1]
        if not row.closer and not row.several and not fenced:
            return calls, offset


def _after_fence(text: str, offset: int) -> tuple[int, bool]:
    fence = _FENCE.match(text, offset)
    return (fence.end(), True) if fence and fence[1] in _LANGUAGES else (offset, False)


def _unfenced(calls: list[LeakedCall], text: str, start: int, offset: int, final: bool) -> Reading:
    """Return the calls of a code block if it is all there is: one with text around it is an example."""
    offset = blanks(text, offset)
    if offset < len(text):
        return [], start
    return (calls, offset) if final else None


def _parted(text: str, offset: int) -> int:
    found = _PARTS.match(text, offset)
    return found.end() if found else offset


def _is_no_beginning(text: str, offset: int, offered: Offered, final: bool) -> bool | None:
    """Tell of text without an opener: True if it begins no call, False if that is open, None if it may be read."""
    if not final and begins(text, offset, _FENCES):
        return False
    short = _SHORT.match(text, offset)
    if short is not None:
        return final or not any(key.startswith(short[1] or "") for key in _KEYS)
    begin = _BEGIN.match(text, offset)
    if begin is None or begin[1] not in _KEYS:
        return True
    named = _NAMED.match(text, offset)
    if named is None:
        return None
    if named[1] == "type":
        known = "function".startswith(named[2])
    else:
        known = offered.name(named[2]) is not None if named[3] else offered.may_begin(named[2])
    return None if known else True


def _broken(row: Row, text: str, offset: int, offered: Offered, final: bool) -> Reading:
    """Say what becomes of JSON that is not whole, or not JSON: what Python would read is taken for it."""
    end = text.find(row.closer, offset) if row.closer else -1
    if end < 0:
        return ([], len(text)) if final else None
    if not final and (end - offset > MOST or not _balanced(text, offset, end)):
        return None  # the closer may stand in a string
    calls = _calls(literal(text[offset:end]), offered)
    return calls, end + len(row.closer)


def _balanced(text: str, offset: int, end: int) -> bool:
    """Tell whether the brackets between two offsets are closed, strings aside."""
    depth, quoted, skipped = 0, False, -1
    for mark in _MARKS.finditer(text, offset, end):
        found = mark[0]
        if mark.start() == skipped:
            continue
        if found == "\\":
            skipped = mark.start() + 1
        elif found == '"':
            quoted = not quoted
        elif not quoted:
            depth += 1 if found in "{[" else -1
    return depth <= 0 and not quoted


def _calls(value: Any, offered: Offered) -> list[LeakedCall]:
    """Return the calls that a JSON value stands for; none at all if one of them is no call of an offered function."""
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    entries = value if isinstance(value, list) else [value]
    if len(entries) > MOST_CALLS:
        return []
    calls = [_call(entry, offered) for entry in entries]
    return [call for call in calls if call is not None] if None not in calls else []


def _call(value: Any, offered: Offered) -> LeakedCall | None:
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    value = inner if isinstance(inner, dict) else value
    said = next((value[name] for name in _NAMES if isinstance(value.get(name), str)), None)
    key = next((key for key in _ARGUMENTS if key in value), None)
    if key is not None:
        return offered.call(said, value[key])
    name = offered.name(said)
    if name is None or not _BESIDE.issuperset(value) or not offered.needs_nothing(name):
        return None
    return LeakedCall(name, "{}")


def read_named(row: Row, text: str, offset: int, offered: Offered, final: bool) -> Reading:
    """Read a name and the object of its arguments, which may be missing before a closer."""
    start = offset
    named = _NAME.match(text, offset)
    if named is None:
        return None if not final and blanks(text, offset) == len(text) else ([], start)
    if named.end() == len(text) and not final and offered.may_begin(named[1]):
        return None
    name = offered.name(named[1])
    if name is None:
        return [], start
    offset = _before_arguments(row, text, named.end())
    if row.closer and text.startswith(row.closer, offset):
        return [LeakedCall(name, "{}")], offset + len(row.closer)
    if not text.startswith("{", offset):
        open_end = offset == len(text) or begins(text, offset, (*row.separators, row.id_mark, row.closer, "```json"))
        return None if open_end and not final else ([], start)
    found = json_at(text, offset)
    if found is None:
        return ([], len(text)) if final else None
    call = offered.call(name, found[0])
    offset = found[1]
    after = blanks(text, offset)
    if row.fences and text.startswith("```", after):
        offset = after + 3
        after = blanks(text, offset)
    if row.closer and text.startswith(row.closer, after):
        offset = after + len(row.closer)
    elif row.closer and not final and (after == len(text) or begins(text, after, (row.closer, "```"))):
        return None
    return ([call] if call else []), offset


def _before_arguments(row: Row, text: str, offset: int) -> int:
    """Return where the arguments begin, behind separators, an id and the beginning of a code block."""
    for _ in range(8):
        offset = blanks(text, offset)
        separator = next((mark for mark in row.separators if text.startswith(mark, offset)), "")
        if separator:
            offset += len(separator)
        elif row.id_mark and text.startswith(row.id_mark, offset):
            word = _WORD.match(text, offset + len(row.id_mark))
            offset = word.end() if word else offset + len(row.id_mark)
        elif row.fences and text.startswith("```", offset):
            offset, _ = _after_fence(text, offset)
        else:
            break
    return offset
