"""Answers of backends on their way to clients: whole and checked, or piece by piece while their usage is read."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.backends.base import ByteStream
from antiphon.core.json_encoding import to_json
from antiphon.core.text.pieces import joined
from antiphon.errors import BackendError
from antiphon.server.api.relayed import content_type
from antiphon.server.api.relays.usage import TAIL, usage_in_tail
from antiphon.types.response import Usage

EVENTS = "text/event-stream"
JSON = "application/json"
MOST_SKELETON = 16 * 1024 * 1024
"""Bytes of an answer beside its vectors or pictures."""

_GAP = 32  # bytes between a name and its value
_CLOSING = {b"[": b"]", b'"': b'"'}
_TEXTS = ("text/", "application/x-subrip")


class PassingAnswer:
    """A ByteStream whose usage is read while it passes. `kind` is its type, in lower case; `pieces` counts what came: events."""

    def __init__(self, answer: ByteStream) -> None:
        self.status = answer.status
        self.headers: Sequence[tuple[bytes, bytes]] = answer.headers
        self.pieces = 0
        self._answer = answer
        self._tail = b""
        self.kind = content_type(answer).strip().lower()
        self._events = self.kind.startswith(EVENTS)

    async def read(self) -> bytes:
        """Return the next piece, b"" at the end. Raises BackendError."""
        data = await self._answer.read()
        self.pieces += data.count(b"data:") if self._events else bool(data)
        if self._events:
            self._tail = (self._tail + data)[-TAIL:]
        return data

    def abort(self) -> None:
        """Let go of the call."""
        self._answer.abort()

    def usage(self) -> Usage | None:
        """Return the token counts that were seen; None where there were none."""
        return usage_in_tail(self._tail) if self._tail else None


class ReadAnswer(msgspec.Struct, frozen=True):
    """A whole answer. `skeleton` is its JSON with numbers instead of its large `values`, which are read one by one:
    to decode all in one piece would hold the event loop.
    """

    body: bytes
    skeleton: bytes
    values: Sequence[bytes] = ()


def read_answer(body: bytes, name: str) -> ReadAnswer:
    """Take an answer apart at the values of a field: arrays of numbers, or base64. Raises BackendError 502."""
    parts: list[bytes] = []
    values: list[bytes] = []
    mark = to_json(name)
    end = look = 0
    while name and (offset := body.find(mark, look)) >= 0:
        look = offset + len(mark)
        gap = body[look : look + _GAP]
        begin = look + len(gap) - len(gap.lstrip(b" \r\n\t:"))
        closing = _CLOSING.get(body[begin : begin + 1])
        if closing is None:
            continue
        stop = body.find(closing, begin + 1)
        if stop < 0:
            break  # nor is there one behind any later value
        parts += (body[end:begin], b"%d" % len(values))
        values.append(body[begin : stop + 1])
        end = look = stop + 1
    skeleton = joined([*parts, body[end:]]) if values else body
    if len(skeleton) > MOST_SKELETON:
        raise wrong_answer("is too large")
    return ReadAnswer(body, skeleton, values)


class _NamedAnswer(msgspec.Struct):
    """All that is read of an answer whose list has this name."""

    data: list[msgspec.Raw] | None = None
    choices: list[msgspec.Raw] | None = None
    text: str | None = None


_named = msgspec.json.Decoder(_NamedAnswer)


def check_answer(body: bytes, name: str) -> None:
    """Refuse an answer that is not JSON with what its route answers. Raises BackendError 502."""
    try:
        found = getattr(_named.decode(body), name)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = None
    if found is None:
        raise wrong_answer(f"has no '{name}'")


def is_text(kind: str) -> bool:
    """Tell whether an answer is a text, such as a transcript or its subtitles; a page of HTML is an error's."""
    return kind.startswith(_TEXTS) and not kind.startswith("text/html")


def wrong_answer(what: str) -> BackendError:
    """Return the 502 for an answer that is not what its route answers."""
    return BackendError(502, f"The backend's answer {what}.")
