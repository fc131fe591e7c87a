"""InputPieces: what an input adds to that of an earlier response, so that a store keeps once what both begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count

import msgspec

from antiphon.core.text.pieces import joined
from antiphon.types.items import Item

BASE = b"\0"
"""Stands in pieces for the id base of the response that is read, in ids that its items were given: JSON has no such byte."""

MOST_PIECES = 128
"""Pieces of an input: each is a row that is read."""


class InputEnd(msgspec.Struct, frozen=True):
    """Where an input ends: the id base of its response, how many items and pieces it has, and the bytes of its pieces.

    `mark` tells the input from all others.
    """

    id_base: str = ""
    items: int = 0
    pieces: int = 0
    size: int = 0
    mark: bytes = b""


class InputPieces(msgspec.Struct, frozen=True, eq=False):
    """An input, of which `added` stands behind the end of an earlier one; there may be none.

    A piece is a part of an array without its last bracket. `make` makes all pieces as one; None where `added` is all.
    """

    earlier: InputEnd
    end: InputEnd
    added: bytes
    make: Callable[[], bytes] | None = None

    def whole(self) -> bytes:
        """Return all pieces as one."""
        return self.added if self.make is None else self.make()

    def array(self) -> bytes:
        """Return the input as a JSON array."""
        return assembled([self.whole()], self.end.id_base)


def assembled(pieces: Iterable[bytes], id_base: str) -> bytes:
    """Return the array of the response with this id base."""
    return joined([*pieces, b"]"]).replace(BASE, id_base.encode())


class KeptInput(msgspec.Struct, frozen=True, eq=False):
    """What is remembered of an input that was stored, for the next one: its items, and no JSON.

    `message` and `result`: indexes of the user's last message and of the last result of a tool, -1 for none.
    """

    items: Sequence[Item] = ()
    earlier: InputEnd = InputEnd()
    end: InputEnd = InputEnd()
    foreign_ids: Mapping[str, int] = {}
    message: int = -1
    result: int = -1

    def begins(self, items: Sequence[Item]) -> bool:
        """Tell whether items begin with these. Most are the same objects; equal ones have JSON that says the same."""
        return 0 < len(self.items) <= len(items) and items[: len(self.items)] == self.items


NOTHING = KeptInput()


class SharedInput:
    """The input of a conversation that was stored last: `kept`.

    `stand_in` is a text that no client can know: ids are made with it in the place of an id base, and it is replaced by `BASE`.
    """

    __slots__ = ("kept", "marks", "stand_in")

    def __init__(self, stand_in: str, mark: bytes) -> None:
        """`mark`: random bytes, with which all marks begin."""
        self.stand_in = stand_in
        self.kept = NOTHING
        self.marks = _marks(mark)

    def neutral(self, text: bytes) -> bytes:
        """Return JSON whose ids have the stand-in with `BASE` instead."""
        return text.replace(self.stand_in.encode(), BASE)


def _marks(mark: bytes) -> Iterator[bytes]:
    return (b"%b%x" % (mark, number) for number in count())
