"""PastInput: what is remembered of one request's input, where it stands in a body, and how it is found again."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from antiphon.core.context import content_of
from antiphon.core.request.item_summary import ItemSummary
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.responses.intake.asked import Asked, RequestDecoder
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Reasoning,
)

MOST_BEHIND = 256 * 1024
"""Bytes behind the items of a body that is remembered: `rfind` takes up to 48 steps for each."""

MOST_PARTS = 8192
"""Items, and parts of them, that are remembered of one request: each is looked at on the event loop."""

_MARK = 48  # bytes by which an input is looked for

USUAL = frozenset((Message, FunctionCall, FunctionCallOutput, CustomToolCall, CustomToolCallOutput, Reasoning))
"""Items that have the same meaning in each request, and are not kept as JSON that is looked into again."""

Mark = tuple[int, int, bytes]


class Settled(msgspec.Struct, eq=False):
    """What stood behind the items of a body that `decoder` has decoded, and what was asked there, without the items."""

    tail: bytes
    asked: Asked
    decoder: RequestDecoder | None


class PastInput(msgspec.Struct, eq=False):
    """An input of an earlier request: its body in `pieces` up to the `end` of its last item; the first item is at `begin`.

    `settled` tells of the rest of that body, once a request has gone on from the input. `state` is what another front end has to
    know beside the items, to go on from there.
    """

    owner: str
    pieces: list[bytes]
    begin: int
    end: int
    items: list[Item]
    summary: ItemSummary
    encoded: EncodedTexts
    mark: Mark
    size: int
    at: float
    settled: Settled | None = None
    state: object = None


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


class ReadInput(msgspec.Struct):
    """What another front end has read of a body: the first `count` of all items stand from `begin` to `end`."""

    begin: int
    end: int
    items: list[Item]
    count: int
    state: object


class OwnedInputs:
    """The inputs of one owner; those that were last used are the last."""

    __slots__ = ("inputs", "marks", "size")

    def __init__(self) -> None:
        self.inputs: dict[int, PastInput] = {}
        self.marks: dict[Mark, list[PastInput]] = {}
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


def settled_of(known: Settled | None, tail: bytes, asked: Asked, decoder: RequestDecoder | None) -> Settled | None:
    """Return what is kept of a request beside its items; None where a template has a part in it, which may change."""
    if known is not None and known.tail == tail and known.decoder is decoder:
        return known
    if asked.request.prompt is not None or len(tail) > MOST_BEHIND:
        return None
    return Settled(
        tail, replace(asked, items=[], encoded=None, summary=None, request=replace(asked.request, input=UNSET)), decoder
    )


def usual(items: Sequence[Item]) -> int:
    """Return how many items at the beginning are usual ones."""
    if USUAL.issuperset(map(type, items)):
        return len(items)
    return next(index for index, item in enumerate(items) if type(item) not in USUAL)


def few(items: Sequence[Item]) -> bool:
    """Tell whether items have few enough parts to be remembered."""
    contents = [content for item in items if type(content := content_of(item)) is list]
    return len(items) + sum(map(len, contents)) <= MOST_PARTS


def mark_of(first: int, level: int, body: bytes) -> Mark:
    """Return what tells a body from most others: its beginning's hash, the bytes before the place 2 to the power of `level`."""
    end = 1 << level
    return first, level, body[end - _MARK : end]


def begins(body: bytes, past: PastInput) -> bool:
    """Tell whether a body begins as another one did, from the end of that on: most others differ there."""
    at = past.end
    for piece in reversed(past.pieces):
        at -= len(piece)
        if not body.startswith(piece, at):
            return False
    return True


def comma_at(body: bytes, place: int) -> bytes:
    """Return what parts the items of a body, by what stands at a place behind one: some clients print a blank behind a comma."""
    return b", " if body.startswith(b", ", place) else b","


def place_of(body: bytes, items: Sequence[Raw]) -> int:
    """Return where the items of its `input` begin in a body, -1 where that cannot be told.

    They begin where the first one is found, or behind it, and end where the last one is found, or before it. Where no more
    lies between than they take with a comma between each two, that is they.
    """
    first, last = bytes(items[0])[:_MARK], bytes(items[-1])[-_MARK:]
    begin = body.find(first)
    commas = len(comma_at(body, begin + len(items[0]))) * (len(items) - 1)
    end = begin + sum(map(len, items)) + commas
    if begin < 0 or len(body) - end > MOST_BEHIND:
        return -1
    return begin if body.rfind(last) + len(last) == end else -1
