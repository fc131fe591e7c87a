"""JSON as it comes, before it is decoded: its encoding, its depth and its number of parts are bounded. Linear, in C.

Every body of a client's passes `check_json` once, whole: what is kept as raw JSON is parsed later by others, whose stack is
not endless.
"""

from __future__ import annotations

import re
from codecs import utf_8_decode
from collections.abc import Iterator

from antiphon.errors import InvalidRequest

DEEPEST = 128
"""Levels of arrays and objects in a body. Real requests have about 15; Python's parsers give up at a few hundred."""

MOST_CONTAINERS = 500_000
"""Arrays and objects in a body."""

MOST_STRINGS = 1_000_000
"""Strings in a body that have brackets in them."""

LOOKED_AT = 1024 * 1024
"""Bytes of a refused body that are read again, to name the field at fault."""

_SLICE = 1024 * 1024  # bytes that are looked at in one call: other threads get their turn between two
_AS_ARRAYS = bytes.maketrans(b"{}", b"[]")  # only the depth counts
_NO_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def check_json(body: bytes, path: str = "") -> bytes:
    """Return the body if it may be decoded. Raises InvalidRequest: not UTF-8, too deep, or too many parts.

    Whether it is JSON at all is for the decoder to say.
    """
    if not body.isascii():
        _check_encoding(body, path)
    if _has_brackets(body):
        _check_structure(body, path)
    return body


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
            param=path or place_of(body, begin + error.start),
            code="invalid_json",
        ) from None


def _has_brackets(body: bytes) -> bool:
    """Tell whether there are so many brackets that the body may be too deep."""
    found = 0
    for begin in range(0, len(body), _SLICE):
        end = begin + _SLICE
        found += body.count(b"[", begin, end) + body.count(b"{", begin, end)
        if found > DEEPEST:
            return True
    return False


def _check_structure(body: bytes, path: str) -> None:
    marks = _marks(body) if len(body) <= _SLICE else b"".join(_pieces(body))
    marks = marks.replace(_TWO_QUOTES, b"")
    if marks.count(b'"') > 2 * MOST_STRINGS:
        raise InvalidRequest(
            f"The request body has more than {MOST_STRINGS} texts with brackets.", param=path, code="invalid_json"
        )
    brackets = b"".join(marks.split(b'"')[::2]) if b'"' in marks else marks
    if len(brackets) > 2 * MOST_CONTAINERS:
        raise InvalidRequest(
            f"The request body has more than {MOST_CONTAINERS} arrays and objects.", param=path, code="invalid_json"
        )
    if deeper_than(brackets, DEEPEST):
        raise InvalidRequest(
            f"The JSON is nested more than {DEEPEST} levels deep.",
            param=path or place_of(body, depth=DEEPEST),
            code="invalid_json",
        )


_TWO_QUOTES = b'""'  # a pair of quotes changes nothing for what stands behind it


def _marks(text: bytes) -> bytes:
    """Return the brackets and quotes of a text, without escaped quotes."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return text.translate(_AS_ARRAYS, _NO_STRUCTURE)


def _pieces(body: bytes) -> Iterator[bytes]:
    """Yield the marks slice by slice; an escape that a slice would cut goes to the next one."""
    held = b""
    for begin in range(0, len(body), _SLICE):
        piece = held + body[begin : begin + _SLICE]
        odd = (len(piece) - len(piece.rstrip(b"\\"))) % 2
        held = piece[len(piece) - odd :]
        yield _marks(piece[: len(piece) - odd]).replace(_TWO_QUOTES, b"")


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


def place_of(body: bytes, offset: int = LOOKED_AT, *, depth: int = 0) -> str:
    """Return the path of the field at an offset, or of the one that is `depth` levels deep; "" where none can be told.

    At most `LOOKED_AT` bytes are read.
    """
    levels: list[_Level] = []
    for token in _TOKEN.finditer(body, 0, min(len(body), LOOKED_AT)):
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
