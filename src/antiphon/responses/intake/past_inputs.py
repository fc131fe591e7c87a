"""PastInputs: what requests began with, decoded: the next request of a conversation repeats it, and only the rest of it is read.

An agent sends its whole history with each turn. What a body has in common with an earlier one of its owner is compared byte by
byte; up to the end of the last item that both have, a parser of the one stands where a parser of the other stands.

Most requests are no conversations, and memory that is kept is memory that is in no cache. So of a first request only hashes are
kept; the input of one that seems to go on is remembered, and the next ones gain by it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.core.context import check_ids
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import decode_items, raw_items
from antiphon.core.request.item_summary import summary_of
from antiphon.core.request.json_text import check_bounds
from antiphon.core.request.tool_decoding import ToolList
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.core.text.input_pieces import SharedInput
from antiphon.responses.intake.asked import Asked, RequestDecoder
from antiphon.responses.intake.past_input import (
    Continued,
    OwnedInputs,
    PastInput,
    ReadInput,
    begins,
    comma_at,
    few,
    mark_of,
    place_of,
    settled_of,
    usual,
)
from antiphon.runtime.offload import LARGE
from antiphon.types.items import Message, release_body

SECONDS = 3600.0
"""Inputs that nobody has gone on with for so long are forgotten."""
SMALLEST = 4096
"""Bytes of a body that is remembered: a shorter one is decoded as fast."""
OWNERS_SHARE = 2
"""An owner has this part of the memory at most."""
MOST_SEEN = 8192
"""Hashes of bodies that are kept, to see whether a request goes on from one."""
_ENTRY = 4096  # bytes that an entry takes by itself
_FORMS = 3  # a text is kept as it came, decoded, and as JSON
_LEAST_LEVEL = SMALLEST.bit_length() - 1
_MOST_ALIKE = 128  # inputs with the same mark: conversations that have a long beginning in common
_MOST_PIECES = 16
_FIRST = 512  # bytes at the beginning of a body that are hashed

_items = msgspec.json.Decoder(list[Raw])


class PastInputs:
    """Remembers inputs of requests. `limit`: bytes of all that it has in memory; 0: it remembers none."""

    def __init__(self, limit: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._owners: dict[str, OwnedInputs] = {}
        self._seen: dict[tuple[str, int], None] = {}
        self._size = 0
        # In the place of items that are known: nobody else can write one of which that could be thought.
        self._token = secrets.token_hex(16)
        self._stand_in = to_json(Message(role="user", content=self._token))

    @property
    def size(self) -> int:
        """Bytes of what is remembered."""
        return self._size

    def find(self, owner: str, body: bytes) -> Continued | None:
        """Return a body that begins as an earlier one of its owner did, up to the end of all items of that."""
        owned = self._owners.get(owner)
        if owned is None:
            return None
        first = hash(body[:_FIRST])
        for level in range(len(body).bit_length() - 1, _LEAST_LEVEL - 1, -1):
            for past in reversed(owned.marks.get(mark_of(first, level, body), ())):
                if past.end < len(body) and begins(body, past) and past.at >= self._clock() - SECONDS:
                    return Continued(past, body, self._stand_in)
        return None

    def may_keep(self, owner: str, body: bytes) -> bool:
        """Tell whether a body of another front end is to be remembered: it seems to go on from an earlier one."""
        fits = len(body) >= SMALLEST and len(body) * _FORMS <= self._limit // OWNERS_SHARE
        return fits and self._seems_to_go_on(owner, body)

    def put(self, owner: str, body: bytes, read: ReadInput, past: PastInput | None) -> EncodedTexts | None:
        """Remember what another front end has read, instead of what that goes on from; return what is kept beside the items."""
        known, pieces, encoded = 0, [body[: read.end]], EncodedTexts()
        if past is not None:
            if not self._forget(past):
                return None  # another request has gone on from it meanwhile, or it was dropped
            pieces = [*past.pieces, body[past.end : read.end]]
            if read.items[0] is past.items[0]:  # else a compaction stands behind them
                known = len(past.items)
            encoded.messages, encoded.sent = past.encoded.messages, past.encoded.sent
        items, added = read.items[: read.count], read.items[known:]
        size = len(body) * _FORMS + _ENTRY
        fits = read.end >= SMALLEST and size <= self._limit // OWNERS_SHARE
        if not fits or not few(added) or usual(added) < read.count - known:
            return None
        release_body(added)
        if len(pieces) > _MOST_PIECES:
            pieces = [b"".join(pieces)]
        summary = past.summary.with_more(items[known:], known) if past is not None and known else summary_of(items)
        mark = mark_of(hash(body[:_FIRST]), read.end.bit_length() - 1, body)
        place = owner, pieces, read.begin, read.end, items, summary, encoded, mark, size
        self._add(PastInput(*place, self._clock(), state=read.state))
        return encoded

    def with_more(self, continued: Continued, body: bytes, decoder: RequestDecoder) -> Asked | None:
        """Return the request of a body that differs from the earlier one in further items alone; None where it does not.

        Its other bytes are the same, so nothing but those items is decoded. Raises APIError.
        """
        past, settled = continued.past, continued.past.settled
        if settled is None or settled.decoder is not decoder or not body.endswith(settled.tail):
            return None
        more = body[past.end : len(body) - len(settled.tail)]
        if past.end + len(more) + len(settled.tail) != len(body) or len(more) >= LARGE or more[:1] not in (b",", b""):
            return None
        if more.find(b"\n") >= 0 or more.find(b"\r") >= 0:
            return None
        check_bounds(b'{"input":[%b]}' % more[1:])
        try:
            continued.added = _items.decode(b"[%b]" % more[1:])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        items, asked = decode_items(continued.added), settled.asked
        check_ids(items)
        summary = past.summary.with_more(items, len(past.items))
        tools = asked.tools if type(asked.tools) is ToolList else [*asked.tools]
        extra, items, encoded = {**asked.extra}, past.items + items, past.encoded
        return replace(asked, items=items, tools=tools, extra=extra, summary=summary, size=len(body), encoded=encoded)

    def whole(self, continued: Continued, asked: Asked, size: int) -> Asked | None:
        """Return the request of a whole body of this `size`, of which the short one was decoded; None where that is another.

        That is so where the body has another `input` behind this one, which counts.
        """
        first = asked.items[0] if asked.items else None
        if type(first) is not Message or first.content != self._token:
            return None
        continued.added = raw_items(continued.short)[1:]
        past, added = continued.past, asked.items[1:]
        summary = past.summary.with_more(added, len(past.items))
        return replace(asked, items=past.items + added, summary=summary, size=size, encoded=past.encoded)

    def keep(
        self,
        owner: str,
        body: bytes,
        asked: Asked,
        continued: Continued | None = None,
        decoder: RequestDecoder | None = None,
    ) -> Asked:
        """Remember the input of a request that was decoded, and return the request with what is kept beside its items."""
        if continued is not None:
            if not few(asked.items[len(continued.past.items) :]):
                self._forget(continued.past)
                return replace(asked, encoded=None)
            return asked if self._go_on(continued, body, asked, decoder) else replace(asked, encoded=None)
        if not self._limit or type(asked.request.input) is not list:
            return asked
        share = self._limit // OWNERS_SHARE
        if len(body) * _FORMS > share or not self._seems_to_go_on(owner, body):
            return asked
        raw = raw_items(body)
        if len(raw) != len(asked.items):
            return asked
        count = usual(asked.items)
        begin = place_of(body, raw) if count else -1
        end = begin + sum(map(len, raw[:count])) + (count - 1) * len(comma_at(body, begin + len(raw[0])))
        size = end * _FORMS + _ENTRY
        if begin < 0 or end < SMALLEST or size > share or not few(asked.items):
            return asked
        release_body(asked.items)
        items, at = asked.items[:count], self._clock()
        encoded, summary = EncodedTexts(_shared()), summary_of(items)
        mark = mark_of(hash(body[:_FIRST]), end.bit_length() - 1, body)
        self._add(PastInput(owner, [body[:end]], begin, end, items, summary, encoded, mark, size, at))
        return replace(asked, encoded=encoded)

    def _seems_to_go_on(self, owner: str, body: bytes) -> bool:
        """Tell whether a body begins like one that was seen before, by some of its bytes; take note of it."""
        first, seen = hash(body[:_FIRST]), self._seen
        top = len(body).bit_length() - 1
        keys = [(owner, hash(mark_of(first, level, body))) for level in range(top, _LEAST_LEVEL - 3, -1)]
        found = not seen.keys().isdisjoint(keys)
        for key in keys[1:3]:  # there its items are, most likely
            seen.pop(key, None)
            seen[key] = None
        while len(seen) > MOST_SEEN:
            del seen[next(iter(seen))]
        return found

    def _go_on(self, continued: Continued, body: bytes, asked: Asked, decoder: RequestDecoder | None) -> bool:
        """Let an input grow by the items that a request has added; False where it is not remembered any more."""
        past, raw = continued.past, continued.added
        known = len(past.items)
        release_body(asked.items[known:])  # what is kept beside the input may hold of all of them
        count = usual(asked.items[known:])
        comma = comma_at(body, past.end)
        piece = b"".join([part for one in raw[:count] for part in (comma, one)])
        owned = self._owners.get(past.owner)
        if owned is None or id(past) not in owned.inputs:
            return False  # another request has gone on from it meanwhile, or it was dropped
        if not body.startswith(piece, past.end):  # it was printed with other blanks
            piece, count = b"", 0
        self._drop(owned, past)
        end = past.end + len(piece)
        pieces = [*past.pieces, piece] if piece else past.pieces
        if len(pieces) > _MOST_PIECES:
            pieces = [b"".join(pieces)]
        mark = mark_of(past.mark[0], end.bit_length() - 1, body)
        items = asked.items[: known + count]
        summary = asked.summary if count == len(raw) else None
        settled = settled_of(past.settled, body[end:], asked, decoder) if count == len(raw) else None
        # What is kept beside the input may be of all items, also of a request that went on from here before.
        held = end if count == len(raw) else len(body)
        size = held * _FORMS + _ENTRY + (0 if settled is None else (past.begin + len(body) - past.end) * _FORMS)
        size = max(size, past.size)
        if size <= self._limit // OWNERS_SHARE:
            at = self._clock()
            summary = summary or past.summary.with_more(items[known:], known)
            grown = PastInput(
                past.owner, pieces, past.begin, end, items, summary, past.encoded, mark, size, at, settled
            )
            self._add(grown)
        return True

    def _forget(self, past: PastInput) -> bool:
        owned = self._owners.get(past.owner)
        if owned is None or id(past) not in owned.inputs:
            return False
        self._drop(owned, past)
        return True

    def _add(self, past: PastInput) -> None:
        owned = self._owners.get(past.owner)
        if owned is None:
            owned = OwnedInputs()
        alike = owned.marks.get(past.mark)
        if alike is not None and len(alike) >= _MOST_ALIKE:
            self._drop(owned, alike[0])
        owned.add(past)
        self._owners.pop(past.owner, None)
        self._owners[past.owner] = owned  # the owner who was here last is the last to lose anything
        self._size += past.size
        while owned.size > self._limit // OWNERS_SHARE:
            self._drop(owned, owned.oldest())
        self._forget_old(past.at - SECONDS)

    def _forget_old(self, since: float) -> None:
        """Forget what is too old, and too much: of those who have not been here for longest first."""
        while self._owners:
            owned = next(iter(self._owners.values()))
            oldest = owned.oldest()
            if oldest.at >= since and self._size <= self._limit:
                return
            self._drop(owned, oldest)

    def _drop(self, owned: OwnedInputs, past: PastInput) -> None:
        owned.drop(past)
        self._size -= past.size
        if not owned.inputs:
            self._owners.pop(past.owner, None)


def _shared() -> SharedInput:
    return SharedInput(secrets.token_hex(24), secrets.token_bytes(8))
