"""The output of a Response: its items by `output_index`, and the ids of the next ones."""

from __future__ import annotations


class Output:
    """`items` holds the closed items as JSON, None in the place of one that is open."""

    __slots__ = ("_id_base", "items")

    def __init__(self, id_base: str) -> None:
        self.items: list[bytes | None] = []
        self._id_base = id_base

    def place(self, prefix: str) -> tuple[str, int]:
        """Return the id and `output_index` of the next item."""
        index = len(self.items)
        self.items.append(None)
        return f"{prefix}_{self._id_base}{index:04x}", index

    def keep(self, index: int, item: bytes) -> None:
        """Take a closed item."""
        self.items[index] = item
