"""Output: the items of a Response by `output_index`; allocates indexes and ids of new items."""

from __future__ import annotations

import msgspec

_FIRST = [f"{index:04x}" for index in range(64)]
"""The digits of the indexes that most responses have: to write them anew would take longer than all the rest."""


class Output(msgspec.Struct, eq=False):
    """`items` holds the closed items as JSON, None for one that is open."""

    _id_base: str
    items: list[bytes | None] = []

    def allocate(self, prefix: str) -> tuple[str, int]:
        """Reserve the next `output_index`; return the new item's id and that index."""
        index = len(self.items)
        self.items.append(None)
        digits = _FIRST[index] if index < len(_FIRST) else f"{index:04x}"
        return f"{prefix}_{self._id_base}{digits}", index

    def keep(self, index: int, item: bytes) -> None:
        """Take a closed item."""
        self.items[index] = item
