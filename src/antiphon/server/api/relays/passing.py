"""Answers of backends on their way to clients: whole and checked, or piece by piece while their usage is read."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.backends.base import ByteStream
from antiphon.errors import BackendError
from antiphon.server.api.relayed import content_type
from antiphon.server.api.relays.usage import TAIL, usage_in_tail
from antiphon.types.response import Usage

EVENTS = "text/event-stream"
JSON = "application/json"
_TEXTS = ("text/", "application/x-subrip")


class PassingAnswer:
    """A ByteStream whose usage is read while it passes. `pieces` counts events, or what came where it has none."""

    def __init__(self, answer: ByteStream) -> None:
        self.status = answer.status
        self.headers: Sequence[tuple[bytes, bytes]] = answer.headers
        self.pieces = 0
        self._answer = answer
        self._tail = b""
        self._events = content_type(answer).startswith(EVENTS)

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
