"""JSON as it comes, before it is decoded: its encoding, its depth and its number of parts are bounded. Linear, in C.

Every body of a client's passes `check_json` once, whole: what is kept as raw JSON is parsed later by others, whose stack is
not endless.
"""

from __future__ import annotations

import re
from codecs import utf_8_decode
from collections.abc import Iterator
from io import BytesIO
from json import loads

from antiphon.errors import InvalidRequest

DEEPEST = 128
"""Levels of arrays and objects in a body. Real requests have about 15; Python's parsers give up at a few hundred."""

FEW_CONTAINERS = 300
"""Arrays and objects up to which the levels are not counted: they are no more than these, which no parser minds."""

MOST_CONTAINERS = 100_000
"""Arrays and objects in a body."""

MOST_VALUES = 150_000
"""Entries of arrays and objects in a body."""

MOST_STRINGS = 500_000
"""Strings in a body that have brackets or commas in them."""

MOST_ESCAPES = 4_000_000
"""Backslashes in a body: to decode and to encode one costs as much as ten other characters."""

LOOKED_AT = 1024 * 1024
"""Bytes of a refused body that are read again, to name the field at fault."""

MOST_TOKENS = 8_000
"""Names, texts and brackets that are read of them: 10 ms of the event loop."""

_SLICE = 1024 * 1024  # bytes that are looked at in one call: other threads get their turn between two
_AS_ARRAYS = bytes.maketrans(b"{}", b"[]")  # only the depth counts
_NO_COMMAS = bytes(byte for byte in range(256) if byte not in b',"')
_NO_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_NO_ESCAPES = {marks: marks.translate(None, b"\\/bfnrtu") for marks in (_NO_COMMAS, _NO_STRUCTURE)}


def check_json(body: bytes, path: str = "", values: int = MOST_VALUES) -> bytes:
    """Return the body, fit to be decoded. Raises InvalidRequest: not UTF-8, too deep, or too many parts.

    `values`: how many it may have. Whether it is JSON at all is for the decoder to say. Lone surrogates become U+FFFD.
    """
    check_bounds(body, path, values)
    return mended(body)


def check_bounds(body: bytes, path: str = "", values: int = MOST_VALUES) -> None:
    """Raise what `check_json` raises. Lone surrogates stay: msgspec refuses them, also in what it skips or keeps raw.

    So who tries to decode the body first, and decodes what `mended` returns if it is refused, need not search all of it.
    """
    if not body.isascii():
        _check_encoding(body, path)
    if len(body) > FEW_CONTAINERS and _more_than_few(body):
        _check_structure(body, path)
    if len(body) > 2 * values and _more_than(values, body, b","):
        _check_values(body, path, values)
    if len(body) > MOST_ESCAPES and _more_than(MOST_ESCAPES, body, b"\\"):
        raise _too_many(MOST_ESCAPES, "backslashes", path)


def mended(body: bytes) -> bytes:
    """Return a body without lone surrogates."""
    if body.find(b"\\") >= 0 and _SURROGATE.search(body):  # `in` would raise and catch an error first
        return without_lone_surrogates(body)
    return body


_SURROGATE = re.compile(rb"\\u[dD]")  # its search takes a third of the time of `in`
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_MAY_BE_LONE = re.compile(rb"%b(?!%b)|%b(?<!%b%b)" % (_HIGH, _LOW, _LOW, rb"\\u[dD][89abAB]..", rb"\\u[dD][c-fC-F].."))
_ESCAPE = re.compile(rb"%b%b|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\." % (_HIGH, _LOW), re.DOTALL)


def without_lone_surrogates(body: bytes) -> bytes:
    """Replace halves of characters by U+FFFD, which JavaScript's slicing leaves and no tokenizer takes."""
    if not any(_lone_within(body, begin) for begin in range(0, len(body), _SLICE)):
        return body
    mended, end = BytesIO(), 0
    for found in _ESCAPE.finditer(body):
        if found["lone"]:
            mended.write(body[end : found.start()])
            mended.write(rb"\ufffd")
            end = found.end()
    mended.write(body[end:])
    return mended.getvalue()


def _lone_within(body: bytes, begin: int) -> bool:
    """Tell whether a half may stand in a slice; what stands behind it is seen, too."""
    found = _MAY_BE_LONE.search(body, begin, begin + _SLICE + 12)
    return found is not None and found.start() < begin + _SLICE


def _check_encoding(body: bytes, path: str) -> None:
    """Refuse what is not UTF-8 (RFC 8259, 8.1)."""
    begin = 0
    try:
        while begin < len(body):
            _, read = utf_8_decode(body[begin : begin + _SLICE], "strict", begin + _SLICE >= len(body))
            begin += read
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            "The request body is not valid UTF-8.",
            param=path or offset_of(body, begin + error.start),
            code="invalid_json",
        ) from None


def _more_than_few(body: bytes, few: int = FEW_CONTAINERS) -> bool:
    """Tell whether the body has more brackets than `few`, in its strings or outside.

    `bytes.replace` goes from hit to hit and stops at the last that it wants; `bytes.count` of Python 3.11 looks at each byte.
    """
    begin = body if len(body) <= _SLICE else body[:_SLICE]
    found = 2 * len(begin) - len(begin.replace(b"{", b"", few + 1)) - len(begin.replace(b"[", b"", few + 1))
    return found > few or (begin is not body and _more_than(few, body, b"[", b"{"))


def _more_than(most: int, body: bytes, *marks: bytes) -> bool:
    """Tell whether some characters stand in the body more often, in its strings or outside."""
    if len(body) <= _SLICE:
        return sum([body.count(mark) for mark in marks]) > most
    found = 0
    for begin in range(0, len(body), _SLICE):
        found += sum([body.count(mark, begin, begin + _SLICE) for mark in marks])
        if found > most:
            return True
    return False


def _check_values(body: bytes, path: str, most: int) -> None:
    if len(_outside(body, _NO_COMMAS, path)) > most:
        raise _too_many(most, "values", path)


def _check_structure(body: bytes, path: str) -> None:
    brackets = _outside(body, _NO_STRUCTURE, path)
    if len(brackets) > 2 * MOST_CONTAINERS:
        offset = offset_of(body, depth=DEEPEST)
        raise _too_deep(path or offset) if offset else _too_many(MOST_CONTAINERS, "arrays and objects", path)
    if deeper_than(brackets, DEEPEST):
        raise _too_deep(path or offset_of(body, depth=DEEPEST))


def _too_deep(path: str) -> InvalidRequest:
    return InvalidRequest(f"The JSON is nested more than {DEEPEST} levels deep.", param=path, code="invalid_json")


def _too_many(most: int, what: str, path: str) -> InvalidRequest:
    return InvalidRequest(f"The request body has more than {most} {what}.", param=path, code="invalid_json")


_TWO_QUOTES = b'""'  # a pair of quotes changes nothing for what stands behind it


def _outside(body: bytes, without: bytes, path: str) -> bytes:
    """Return what stands outside the strings of a JSON text, without some characters (quotes are never among them)."""
    marks = _marks(body, without) if len(body) <= _SLICE else b"".join(_pieces(body, without))
    marks = marks.replace(_TWO_QUOTES, b"")
    if b'"' not in marks:
        return marks
    if marks.count(b'"') > 2 * MOST_STRINGS:
        raise _too_many(MOST_STRINGS, "texts with brackets or commas", path)
    return b"".join(marks.split(b'"')[::2])


def _marks(text: bytes, without: bytes) -> bytes:
    """Return a text without some characters and without escaped quotes."""
    if b"\\" in text:
        # What an escape is made of stays next to its backslash; all else goes first, so that a third is searched for escapes.
        text = text.translate(None, _NO_ESCAPES[without]).replace(b"\\\\", b"").replace(b'\\"', b"")
    return text.translate(_AS_ARRAYS, without)


def _pieces(body: bytes, without: bytes) -> Iterator[bytes]:
    """Yield the marks slice by slice; an escape that a slice would cut goes to the next one."""
    held = b""
    for begin in range(0, len(body), _SLICE):
        piece = held + body[begin : begin + _SLICE]
        odd = (len(piece) - len(piece.rstrip(b"\\"))) % 2
        held = piece[len(piece) - odd :]
        yield _marks(piece[: len(piece) - odd], without).replace(_TWO_QUOTES, b"")


def nested_deeper(data: bytes, limit: int) -> bool:
    """Tell whether JSON is nested deeper than `limit` levels, or has more than `MOST_STRINGS` strings with brackets."""
    if len(data) <= 2 * limit or not _more_than_few(data, limit):
        return False
    try:
        return deeper_than(_outside(data, _NO_STRUCTURE, ""), limit)
    except InvalidRequest:
        return True


def has_more_containers(most: int, data: bytes) -> bool:
    """Tell whether JSON has more arrays and objects; brackets in its texts do not count."""
    if data.count(b"{") + data.count(b"[") <= most:
        return False
    try:
        return len(_outside(data, _NO_STRUCTURE, "")) > 2 * most
    except InvalidRequest:
        return True


def deeper_than(brackets: bytes, limit: int) -> bool:
    """Tell whether brackets, all of them `[` and `]`, are nested deeper: each pass takes the innermost pairs away."""
    for left in range(limit, 0, -1):
        if len(brackets) <= 2 * left:
            return False
        inner = brackets.replace(b"[]", b"")
        if len(inner) > len(brackets) - len(brackets) // 8:  # chains: a pass for each level would take long
            return _depth(brackets) > left
        brackets = inner
    return bool(brackets)


def _depth(brackets: bytes) -> int:
    """Return how deep brackets are nested, whether or not each is closed."""
    deepest = depth = 0
    for bracket in brackets:
        depth += 1 if bracket == 91 else -1
        if depth > deepest:
            deepest = depth
    return deepest


def is_object(text: str) -> bool:
    """Tell whether a text is one whole JSON object."""
    if not text.endswith("}"):
        return False
    try:
        return isinstance(loads(text), dict)
    except (ValueError, RecursionError):
        return False


# Where a fault stands

_TOKEN = re.compile(rb'"(?P<text>(?:[^"\\]++|\\.)*+)(?:"|\\?\Z)|[\[\]{},:]', re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_SHOWN = 4  # levels of a path that are named


class _Level:
    """An array or object that is open: where in it we are."""

    __slots__ = ("index", "name", "named")

    def __init__(self, array: bool) -> None:
        self.index = 0 if array else -1
        self.name = ""
        self.named = array

    def step(self) -> str:
        if self.index >= 0:
            return f"[{self.index}]"
        return f".{self.name}" if self.name else ""


def offset_of(body: bytes, offset: int = LOOKED_AT, *, depth: int = 0) -> str:
    """Return the path of the field at an offset, or of the one that is `depth` levels deep; "" where none can be told.

    At most `LOOKED_AT` bytes and `MOST_TOKENS` tokens are read.
    """
    levels: list[_Level] = []
    for number, token in enumerate(_TOKEN.finditer(body, 0, min(len(body), LOOKED_AT))):
        if number >= MOST_TOKENS:
            return ""
        if token.start() >= offset or (token.end() > offset and token["text"] is not None):
            return _path(levels)
        mark = body[token.start() : token.start() + 1]
        if mark in (b"[", b"{"):
            levels.append(_Level(mark == b"["))
            if 0 < depth < len(levels):
                return _path(levels)
        elif mark in (b"]", b"}"):
            if levels:
                levels.pop()
        elif levels:
            _advance(levels[-1], mark, token["text"])
    return _path(levels) if not depth else ""


def _advance(level: _Level, mark: bytes, text: bytes | None) -> None:
    if text is not None:
        if not level.named:
            name = text[:65].decode("utf-8", "replace")
            level.name = name if _NAME.fullmatch(name) else ""
    elif mark == b":":
        level.named = True
    elif level.index >= 0:
        level.index += 1
    else:
        level.named, level.name = False, ""


def _path(levels: list[_Level]) -> str:
    return "".join(level.step() for level in levels[:_SHOWN]).lstrip(".")
