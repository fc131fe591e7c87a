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
from antiphon.core.request.validation import decode
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.errors import InvalidRequest
from antiphon.responses.intake.past_input import MOST_PARTS, PastInput, ReadInput, comma_at, place_of
from antiphon.responses.intake.past_inputs import PastInputs
from antiphon.server.messages.conversation import Beginning, MessagesRead, UsualMessage
from antiphon.server.messages.request import MessagesRequest, read_request
from antiphon.server.messages.tools import ToolsRead

_TOKEN = secrets.token_hex(16)
_STAND_IN = to_json({"role": "user", "content": _TOKEN})
"""In the place of messages that are known: nobody else can write one of which that could be thought."""


class _Messages(msgspec.Struct):
    messages: list[Raw]


MOST_AROUND = 1024 * 1024
"""Bytes before and behind the messages of a body that is remembered: they are read once more, on the event loop."""

_in_body = msgspec.json.Decoder(_Messages)
_raw_messages = msgspec.json.Decoder(list[Raw])
_usual_messages = msgspec.json.Decoder(list[UsualMessage])


class _Kept(msgspec.Struct, eq=False):
    """What is remembered of a request: its first messages, what stood behind the last one, and the fields of the request.

    `tools` are those of a conversation that says nothing of them, where none is ignored.
    """

    begins: Beginning
    tail: bytes
    request: MessagesRequest
    ignored: dict[str, None]
    tools: ToolsRead | None = None


class KnownMessages(msgspec.Struct, eq=False):
    """A body that begins as an earlier one did. `text` is what has to be read of it, JSON.

    It is the further messages alone where all behind them is the same (`settled`), else the body with one message in the place of
    those that are known.
    """

    past: PastInput
    kept: _Kept
    begins: Beginning
    text: bytes
    settled: bool

    @property
    def may_edit(self) -> bool:
        """Whether the request may want edits of its conversation."""
        return not self.settled or self.kept.request.context_management is not None

    def read(self) -> tuple[MessagesRequest, dict[str, None], Sequence[UsualMessage]]:
        """Return the request, its fields without effect, and the messages that are not known. Raises InvalidRequest."""
        if self.settled:
            return self.kept.request, {**self.kept.ignored}, decode(_usual_messages, self.text, "messages")
        request, ignored, rest = _read_around(self.text)
        if not rest:
            raise InvalidRequest("is another conversation", param="messages")
        return request, ignored, rest

    def added(self) -> Sequence[Raw]:
        """Return the JSON of the messages that are not known."""
        return _raw_messages.decode(self.text) if self.settled else _in_body.decode(self.text).messages[1:]


class PastMessages:
    """Remembers the conversations of one owner, among all inputs that the server remembers."""

    def __init__(self, inputs: PastInputs, owner: str) -> None:
        self._inputs = inputs
        self._owner = owner

    def find(self, body: bytes) -> KnownMessages | None:
        """Return what is known of a body."""
        found = self._inputs.find(self._owner, body)
        if found is None or not isinstance(found.past.state, _Kept):
            return None
        past, kept = found.past, found.past.state
        begins = kept.begins.copy()
        if begins is None:
            return None
        more = body[past.end : len(body) - len(kept.tail)] if body.endswith(kept.tail) else b""
        if more[:1] == b",":
            return KnownMessages(past, kept, begins, b"[%b]" % more[1:], settled=True)
        return KnownMessages(
            past, kept, begins, b"".join((body[: past.begin], _STAND_IN, body[past.end :])), settled=False
        )

    def keep(self, body: bytes, read: MessagesRead, known: KnownMessages | None) -> EncodedTexts | None:
        """Remember the messages of a body, and return what is kept beside their items; None where they are not remembered."""
        begins, past = read.beginning, known.past if known is not None else None
        if begins is None or (known is None and not self._inputs.may_keep(self._owner, body)):
            return None
        if len(begins.items) - (len(past.items) if past is not None else 0) > MOST_PARTS:
            return None
        raw = known.added() if known is not None else _raw_of(body)
        begin = past.begin if past is not None else place_of(body, raw) if raw else -1
        comma = comma_at(body, past.end if past is not None else begin + len(raw[0]) if raw else 0)
        before = past.end if past is not None else begin - len(comma)
        new = begins.messages - (known.kept.begins.messages if known is not None else 0)
        end, last = (before + sum(map(len, part)) + len(part) * len(comma) for part in (raw[:new], raw))
        if begin < 0 or (past is not None and not body.startswith(_joined(raw, comma), before)):
            return None
        kept: _Kept | None = None
        if known is not None and known.settled:
            kept = _Kept(begins, known.kept.tail, known.kept.request, known.kept.ignored, known.kept.tools)
        elif begin + len(body) - last <= MOST_AROUND:
            kept = _kept(begins, body[:begin], body[last:])
        if kept is None:
            return None
        return self._inputs.put(self._owner, body, ReadInput(begin, end, read.all_items, len(begins.items), kept), past)


def _kept(begins: Beginning, head: bytes, tail: bytes) -> _Kept | None:
    """Return what is kept of a request; it is read anew, as JSON that is kept would keep the whole body."""
    try:
        request, ignored, _ = _read_around(b"".join((head, _STAND_IN, tail)))
    except InvalidRequest:
        return None
    return _Kept(begins, tail, request, ignored)


def _read_around(body: bytes) -> tuple[MessagesRequest, dict[str, None], Sequence[UsualMessage]]:
    """Read a body in which one message stands for others, and return the messages behind that. Raises InvalidRequest."""
    request, ignored = read_request(body)
    messages = request.messages
    if not isinstance(messages, list) or not messages or messages[0].content != _TOKEN:
        raise InvalidRequest("is another conversation", param="messages")
    return request, ignored, messages[1:]


def _joined(messages: Sequence[Raw], comma: bytes) -> bytes:
    """Return messages with a comma before each."""
    return b"".join([part for one in messages for part in (comma, one)])


def _raw_of(body: bytes) -> Sequence[Raw]:
    """Return the messages of a body as JSON, none where it has lone surrogates."""
    try:
        return _in_body.decode(body).messages
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ()
