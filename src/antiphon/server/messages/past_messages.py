"""PastMessages: what requests began with, read: the next request of a conversation repeats it, and only the rest is read.

A client moves the mark of its cache to the last block each turn, so the last message of a request stands otherwise in the next
one, and so do those behind the first of the last messages that have a mark: what is remembered ends before them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.responses.intake.past_inputs import PastInput, PastInputs, ReadInput, place_of
from antiphon.server.messages.conversation import Beginning, MessagesRead, UsualMessage

_TOKEN = secrets.token_hex(16)
_STAND_IN = to_json({"role": "user", "content": _TOKEN})
"""In the place of messages that are known: nobody else can write one of which that could be thought."""


class _Messages(msgspec.Struct):
    messages: list[Raw]


_raw_messages = msgspec.json.Decoder(_Messages)


class KnownMessages(msgspec.Struct, eq=False):
    """A body that begins as an earlier one did. `short`: the same with one message in the place of those that are known."""

    past: PastInput
    begins: Beginning
    short: bytes

    def rest(self, messages: object) -> Sequence[UsualMessage] | None:
        """Return the messages of the short body that are not known; None where it is not those that have been replaced."""
        if isinstance(messages, list) and len(messages) > 1 and messages[0].content == _TOKEN:
            return messages[1:]
        return None


class PastMessages:
    """Remembers the conversations of one owner, among all inputs that the server remembers."""

    def __init__(self, inputs: PastInputs, owner: str) -> None:
        self._inputs = inputs
        self._owner = owner

    def find(self, body: bytes) -> KnownMessages | None:
        """Return what is known of a body."""
        found = self._inputs.find(self._owner, body)
        if found is None or not isinstance(found.past.state, Beginning):
            return None
        begins, past = found.past.state.copy(), found.past
        short = b"".join((body[: past.begin], _STAND_IN, body[past.end :]))
        return KnownMessages(past, begins, short) if begins is not None else None

    def keep(self, body: bytes, read: MessagesRead, known: KnownMessages | None) -> EncodedTexts | None:
        """Remember the messages of a body, and return what is kept beside their items; None where they are not remembered."""
        begins = read.beginning
        if begins is None:
            return None
        if known is not None:
            end = _end_of(body, known, begins.messages - known.begins.messages)
            begin = known.past.begin
        elif self._inputs.may_keep(self._owner, body):
            raw = _raw_of(body)
            if raw is None:
                return None
            begin = place_of(body, raw)
            end = begin + _length(raw[: begins.messages]) - 1
        else:
            return None
        if begin < 0 or end < 0:
            return None
        state = ReadInput(begin, end, read.all_items, len(begins.items), begins)
        return self._inputs.put(self._owner, body, state, known.past if known is not None else None)


def _raw_of(body: bytes) -> Sequence[Raw] | None:
    """Return the messages of a body as JSON, None where it has lone surrogates."""
    try:
        return _raw_messages.decode(body).messages
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _length(messages: Sequence[Raw]) -> int:
    """Return the bytes that messages take with a comma before each."""
    return sum(map(len, messages)) + len(messages)


def _end_of(body: bytes, known: KnownMessages, count: int) -> int:
    """Return where so many messages behind the known ones end in a body, -1 where they are printed with blanks."""
    added = _raw_messages.decode(known.short).messages[1 : count + 1]
    piece = b"".join([part for one in added for part in (b",", one)])
    return known.past.end + len(piece) if body.startswith(piece, known.past.end) else -1
