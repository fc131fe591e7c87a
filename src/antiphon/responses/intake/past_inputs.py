"""PastInputs: what requests began with, decoded: the next request of a conversation repeats it, and only the rest of it is read.

An agent sends its whole history with each turn. What a body has in common with an earlier one of its owner is compared byte by
byte; up to the end of the last item that both have, a parser of the one stands where a parser of the other stands.

Most requests are no conversations, and memory that is kept is memory that is in no cache. So of a first request only hashes are
kept; the input of one that seems to go on is remembered, and the next ones gain by it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from antiphon.core.context import check_ids, content_of
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import decode_items, raw_items
from antiphon.core.request.json_text import check_bounds
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.core.text.input_pieces import SharedInput
from antiphon.responses.intake.asked import Asked, RequestDecoder
from antiphon.runtime.offload import LARGE
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Reasoning,
    release_body,
)

SECONDS = 3600.0
"""Inputs that nobody has gone on with for so long are forgotten."""
SMALLEST = 4096
"""Bytes of a body that is remembered: a shorter one is decoded as fast."""
OWNERS_SHARE = 2
"""An owner has this part of the memory at most."""
MOST_SEEN = 8192
"""Hashes of bodies that are kept, to see whether a request goes on from one."""
MOST_BEHIND = 256 * 1024
"""Bytes behind the items of a body that is remembered: `rfind` takes up to 48 steps for each."""

MOST_PARTS = 8192
"""Items, and parts of them, that are remembered of one request: each is looked at on the event loop."""

_ENTRY = 4096  # bytes that an entry takes by itself
_FORMS = 3  # a text is kept as it came, decoded, and as JSON
_MARK = 48  # bytes by which an input is looked for
_LEAST_LEVEL = SMALLEST.bit_length() - 1
_MOST_ALIKE = 128  # inputs with the same mark: conversations that have a long beginning in common
_MOST_PIECES = 64
_FIRST = 512  # bytes at the beginning of a body that are hashed

_USUAL = frozenset((Message, FunctionCall, FunctionCallOutput, CustomToolCall, CustomToolCallOutput, Reasoning))
"""Items that have the same meaning in each request, and are not kept as JSON that is looked into again."""

_Mark = tuple[int, bytes]
_items = msgspec.json.Decoder(list[Raw])


class Settled(msgspec.Struct, eq=False):
    """What stood behind the items of a body that `decoder` has decoded, and what was asked there, without the items."""

    tail: bytes
    asked: Asked
    decoder: RequestDecoder | None


class PastInput(msgspec.Struct, eq=False):
    """An input of an earlier request: its body in `pieces` up to the `end` of its last item; the first item is at `begin`.

    `settled` tells of the rest of that body, once a request has gone on from the input.
    """

    owner: str
    pieces: list[bytes]
    begin: int
    end: int
    items: list[Item]
    encoded: EncodedTexts
    mark: _Mark
    size: int
    at: float
    settled: Settled | None = None


class Continued(msgspec.Struct, eq=False):
    """A body that goes on where an earlier one's items ended. `added`: the items behind those, once they are known."""

    past: PastInput
    body: bytes
    stand_in: bytes
    added: Sequence[Raw] = ()

    @property
    def short(self) -> bytes:
        """The body with one item in the place of those that are known."""
        return b"".join((self.body[: self.past.begin], self.stand_in, self.body[self.past.end :]))


class _Owned:
    """The inputs of one owner; those that were last used are the last."""

    __slots__ = ("inputs", "marks", "size")

    def __init__(self) -> None:
        self.inputs: dict[int, PastInput] = {}
        self.marks: dict[_Mark, list[PastInput]] = {}
        self.size = 0

    def add(self, past: PastInput) -> None:
        self.inputs[id(past)] = past
        self.marks.setdefault(past.mark, []).append(past)
        self.size += past.size

    def drop(self, past: PastInput) -> None:
        del self.inputs[id(past)]
        alike = self.marks[past.mark]
        alike.remove(past)
        if not alike:
            del self.marks[past.mark]
        self.size -= past.size

    def oldest(self) -> PastInput:
        return next(iter(self.inputs.values()))


class PastInputs:
    """Remembers inputs of requests. `limit`: bytes of all that it has in memory; 0: it remembers none."""

    def __init__(self, limit: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._owners: dict[str, _Owned] = {}
        self._seen: dict[tuple[str, int, int], None] = {}
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
        for level in range(len(body).bit_length() - 1, _LEAST_LEVEL - 1, -1):
            for past in reversed(owned.marks.get(_mark(body, level), ())):
                if past.end < len(body) and _begins(body, past) and past.at >= self._clock() - SECONDS:
                    return Continued(past, body, self._stand_in)
        return None

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
        tools, extra = [*asked.tools], {**asked.extra}
        return replace(asked, items=past.items + items, tools=tools, extra=extra, size=len(body), encoded=past.encoded)

    def whole(self, continued: Continued, asked: Asked, size: int) -> Asked | None:
        """Return the request of a whole body of this `size`, of which the short one was decoded; None where that is another.

        That is so where the body has another `input` behind this one, which counts.
        """
        first = asked.items[0] if asked.items else None
        if type(first) is not Message or first.content != self._token:
            return None
        continued.added = raw_items(continued.short)[1:]
        return replace(asked, items=continued.past.items + asked.items[1:], size=size, encoded=continued.past.encoded)

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
            if not _few(asked.items[len(continued.past.items) :]):
                self._forget(continued.past)
                return replace(asked, encoded=None)
            self._go_on(continued, body, asked, decoder)
            return asked
        if not self._limit or type(asked.request.input) is not list:
            return asked
        share = self._limit // OWNERS_SHARE
        if len(body) * _FORMS > share or not self._seems_to_go_on(owner, body):
            return asked
        raw = raw_items(body)
        if len(raw) != len(asked.items):
            return asked
        count = _usual(asked.items)
        begin = _place(body, raw) if count else -1
        end = begin + sum(map(len, raw[:count])) + count - 1
        size = end * _FORMS + _ENTRY
        if begin < 0 or end < SMALLEST or size > share or not _few(asked.items):
            return asked
        release_body(asked.items)
        encoded, mark = EncodedTexts(_shared()), _mark(body, end.bit_length() - 1)
        self._add(PastInput(owner, [body[:end]], begin, end, asked.items[:count], encoded, mark, size, self._clock()))
        return replace(asked, encoded=encoded)

    def _seems_to_go_on(self, owner: str, body: bytes) -> bool:
        """Tell whether a body begins like one that was seen before, by some of its bytes; take note of it."""
        first, seen = hash(body[:_FIRST]), self._seen
        top = len(body).bit_length() - 1
        keys = [(owner, first, hash(_mark(body, level))) for level in range(top, _LEAST_LEVEL - 3, -1)]
        found = any(key in seen for key in keys)
        for key in keys[1:3]:  # there its items are, most likely
            seen.pop(key, None)
            seen[key] = None
        while len(seen) > MOST_SEEN:
            del seen[next(iter(seen))]
        return found

    def _go_on(self, continued: Continued, body: bytes, asked: Asked, decoder: RequestDecoder | None) -> None:
        """Let an input grow by the items that a request has added."""
        past, raw = continued.past, continued.added
        known = len(past.items)
        release_body(asked.items[known:])  # what is kept beside the input may hold of all of them
        count = _usual(asked.items[known:])
        piece = b"".join([part for one in raw[:count] for part in (b",", one)])
        owned = self._owners.get(past.owner)
        if owned is None or id(past) not in owned.inputs:
            return  # another request has gone on from it meanwhile, or it was dropped
        if not body.startswith(piece, past.end):  # it was printed with blanks
            piece, count = b"", 0
        self._drop(owned, past)
        end = past.end + len(piece)
        pieces = [*past.pieces, piece] if piece else past.pieces
        if len(pieces) > _MOST_PIECES:
            pieces = [b"".join(pieces)]
        mark = _mark(body, end.bit_length() - 1)
        items = asked.items[: known + count]
        settled = _settled(past.settled, body[end:], asked, decoder) if count == len(raw) else None
        size = end * _FORMS + _ENTRY + (0 if settled is None else (past.begin + len(body) - past.end) * _FORMS)
        if size <= self._limit // OWNERS_SHARE:
            at = self._clock()
            grown = PastInput(past.owner, pieces, past.begin, end, items, past.encoded, mark, size, at, settled)
            self._add(grown)

    def _forget(self, past: PastInput) -> None:
        owned = self._owners.get(past.owner)
        if owned is not None and id(past) in owned.inputs:
            self._drop(owned, past)

    def _add(self, past: PastInput) -> None:
        owned = self._owners.get(past.owner)
        if owned is None:
            owned = _Owned()
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

    def _drop(self, owned: _Owned, past: PastInput) -> None:
        owned.drop(past)
        self._size -= past.size
        if not owned.inputs:
            self._owners.pop(past.owner, None)


def _settled(known: Settled | None, tail: bytes, asked: Asked, decoder: RequestDecoder | None) -> Settled | None:
    """Return what is kept of a request beside its items; None where a template has a part in it, which may change."""
    if known is not None and known.tail == tail and known.decoder is decoder:
        return known
    if asked.request.prompt is not None or len(tail) > MOST_BEHIND:
        return None
    return Settled(tail, replace(asked, items=[], encoded=None, request=replace(asked.request, input=UNSET)), decoder)


def _shared() -> SharedInput:
    return SharedInput(secrets.token_hex(24), secrets.token_bytes(8))


def _usual(items: Sequence[Item]) -> int:
    """Return how many items at the beginning are usual ones."""
    if _USUAL.issuperset(map(type, items)):
        return len(items)
    return next(index for index, item in enumerate(items) if type(item) not in _USUAL)


def _few(items: Sequence[Item]) -> bool:
    """Tell whether items have few enough parts to be remembered."""
    contents = [content for item in items if type(content := content_of(item)) is list]
    return len(items) + sum(map(len, contents)) <= MOST_PARTS


def _mark(body: bytes, level: int) -> _Mark:
    """Return some bytes of a body that tell it from most others: those before the place 2 to the power of `level`."""
    end = 1 << level
    return level, body[end - _MARK : end]


def _begins(body: bytes, past: PastInput) -> bool:
    """Tell whether a body begins as another one did, from the end of that on: most others differ there."""
    at = past.end
    for piece in reversed(past.pieces):
        at -= len(piece)
        if not body.startswith(piece, at):
            return False
    return True


def _place(body: bytes, items: Sequence[Raw]) -> int:
    """Return where the items of its `input` begin in a body, -1 where that cannot be told.

    They begin where the first one is found, or behind it, and end where the last one is found, or before it. Where no more
    lies between than they take with a comma between each two, that is they.
    """
    first, last = bytes(items[0])[:_MARK], bytes(items[-1])[-_MARK:]
    begin = body.find(first)
    end = begin + sum(map(len, items)) + len(items) - 1
    if begin < 0 or len(body) - end > MOST_BEHIND:
        return -1
    return begin if body.rfind(last) + len(last) == end else -1
