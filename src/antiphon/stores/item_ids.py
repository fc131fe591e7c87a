"""Item ids: an id made by this server contains its response and its position; other ids are looked up in an index.

A response is `resp_<base>`, its output items are `<prefix>_<base><index, 4 hex digits>`, and its input items
`<prefix>_<base>i<position, 4 or more hex digits>`. A signature may follow behind an `s`.
The index also finds thoughts by the call that they stand before (`BY_CALL`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from string import hexdigits

import msgspec
from msgspec import Raw

from antiphon.core.tools.call_thoughts import BY_CALL

SHORTEST_BASE = 32

_array = msgspec.json.Decoder(list[Raw])
_texts = msgspec.json.Decoder(dict[str, Raw])


class Identified(msgspec.Struct, frozen=True, gc=False):
    """The id of an item."""

    id: str | None = None


_identified = msgspec.json.Decoder(Identified)


class ItemPosition(msgspec.Struct, frozen=True, gc=False):
    """Position of an item: its response, output or input, and the index there."""

    response_id: str
    in_output: bool
    position: int


def positions(item_id: str) -> Iterator[ItemPosition]:
    """Yield the positions that an id may mean; none for a foreign one. An `i` that ends a base leaves two."""
    _, _, rest = item_id.partition("_")
    rest, _, _ = rest.partition("s")
    base, index = rest[:-4], rest[-4:]
    if len(base) >= SHORTEST_BASE and _is_hex(index):
        yield ItemPosition(f"resp_{base}", True, int(index, 16))
    base, _, position = rest.rpartition("i")
    if len(base) >= SHORTEST_BASE and _is_hex(position):
        yield ItemPosition(f"resp_{base}", False, int(position, 16))


def responses_of(item_ids: Iterable[str]) -> list[str]:
    """Return the ids of the responses that these output items may be of."""
    return list(dict.fromkeys(at.response_id for id in item_ids for at in positions(id) if at.in_output))


def pick_texts(item_ids: Iterable[str], stored: Iterable[bytes]) -> dict[str, bytes]:
    """Return the wanted texts out of the `model_texts` of several responses."""
    wanted = set(item_ids)
    return {id: bytes(text) for texts in stored for id, text in _texts.decode(texts).items() if id in wanted}


def _is_hex(text: str) -> bool:
    return text != "" and all(character in hexdigits for character in text)


class ResponseItems:
    """The items of one response: its input, then its output. Both arrays are decoded no deeper than needed.

    Items are tried where they should stand; all their ids are read at most once, however many items are wanted.
    """

    def __init__(self, input: bytes, output: bytes) -> None:
        items = _array.decode(input)
        self._input_length = len(items)
        self._items = items + _array.decode(output)
        self._by_id: dict[str, Raw] | None = None

    def find(self, item_id: str, position: int, *, in_output: bool = False) -> bytes | None:
        """Return the item with this id; `position` is where it should stand, and is tried first (`BY_CALL`: it is the one)."""
        if in_output:
            position += self._input_length
        if item_id.startswith(BY_CALL):
            return bytes(self._items[position]) if position < len(self._items) else None
        if position < len(self._items) and _identified.decode(self._items[position]).id == item_id:
            return bytes(self._items[position])
        item = self._index().get(item_id)
        return bytes(item) if item is not None else None

    def _index(self) -> dict[str, Raw]:
        if self._by_id is None:
            self._by_id = {}
            for item in self._items:
                id = _identified.decode(item).id
                if id is not None:
                    self._by_id.setdefault(id, item)
        return self._by_id
