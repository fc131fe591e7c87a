"""ChatStore: the operations on stored chat completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.stores.records import StoredChat


class ChatFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which completions are wanted: those of a model, and those whose metadata have all of these pairs. None of both: all."""

    model: str | None = None
    metadata: Mapping[str, str] = {}


EVERY = ChatFilter()


class ChatStore(Protocol):
    """Stored chat completions. One that has expired by `now` is reported as missing."""

    async def put(self, chat: StoredChat) -> None:
        """Insert a completion. Raises StoreConflict if the id is taken."""
        ...

    async def get(self, id: str, owner: str, now: float) -> StoredChat | None:
        """Return a completion, or None."""
        ...

    async def list(
        self,
        owner: str,
        now: float,
        wanted: ChatFilter = EVERY,
        *,
        after: str | None = None,
        limit: int = 20,
        descending: bool = False,
        most: int = 1 << 24,
    ) -> Sequence[StoredChat] | None:
        """Return completions without their messages, in the order of their insertion, behind `after`; None if that is unknown.

        There is at least one of those that are left, and then as many as have `most` bytes.
        """
        ...

    async def update(self, id: str, owner: str, now: float, metadata: bytes) -> StoredChat | None:
        """Replace the metadata; return the completion, or None."""
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a completion; tell whether it was there."""
        ...


_metadata = msgspec.json.Decoder(dict[str, str])


def pairs_of(metadata: bytes | Mapping[str, str]) -> list[str]:
    """Return metadata as JSON texts, one for each pair, which a database can compare."""
    pairs = _metadata.decode(metadata) if isinstance(metadata, bytes) else metadata
    return [to_json(pair).decode() for pair in pairs.items()]
