"""Output: the items of a Response by `output_index`; allocates indexes and ids of new items."""

from __future__ import annotations

import msgspec


class Output(msgspec.Struct, eq=False):
    """`items` holds the closed items as JSON, None for one that is open."""

    _id_base: str
    items: list[bytes | None] = []

    def allocate(self, prefix: str) -> tuple[str, int]:
        """Reserve the next `output_index`; return the new item's id and that index."""
        index = len(self.items)
        self.items.append(None)
        return f"{prefix}_{self._id_base}{index:04x}", index

    def keep(self, index: int, item: bytes) -> None:
        """Take a closed item."""
        self.items[index] = item
