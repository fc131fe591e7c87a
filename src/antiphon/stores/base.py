"""The seam to what is kept: a Store is seven nouns of one database. Every row has an owner.

A foreign owner's object is as good as absent. JSON travels as bytes: encoded once, never decoded here.
Times are Unix seconds and are given by the caller.

A write that spans nouns is one transaction, and a method of the noun whose row it writes: `responses.put` (its items join a
conversation, under the fence of its job), `responses.enqueue` (with its job and first events), `responses.delete`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from antiphon.errors import StoreError
from antiphon.stores.condition import Census, Condition, Measure
from antiphon.stores.nouns.conversations import ConversationStore
from antiphon.stores.nouns.deliveries import DeliveryStore
from antiphon.stores.nouns.files import FileStore
from antiphon.stores.nouns.jobs import JobStore
from antiphon.stores.nouns.keys import KeyStore
from antiphon.stores.nouns.limits import LimitStore
from antiphon.stores.nouns.responses import ResponseStore

__all__ = [
    "ConversationStore",
    "DeliveryStore",
    "FenceError",
    "FileStore",
    "JobStore",
    "KeyStore",
    "LimitStore",
    "ResponseStore",
    "Store",
    "StoreDatabase",
]


class FenceError(StoreError):
    """The lease was lost to another worker; what was to be written is not."""


class StoreDatabase(Protocol):
    """What belongs to a store as a whole, whichever noun is asked for.

    A store that is `remote` may be lost to this server alone, while others go on with it.
    """

    condition: Condition
    remote: bool

    async def purge(self, now: int) -> int:
        """Delete what has expired; return how many responses and files. Meters and slots go too, but are not counted."""
        ...

    async def census(self, now: float) -> Census:
        """Count what waits: background responses and deliveries."""
        ...

    def measures(self) -> Iterable[Measure]:
        """Return the store's own figures, without looking at what is stored."""
        ...

    async def close(self) -> None:
        """Finish pending writes and close."""
        ...


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """What one database keeps, by noun, and the database itself. Every method that writes returns after the commit.

    All raise APIError 503 `store_unavailable` where the store's disk, file or server fails them; `database.condition`
    tells whether it is known to.
    """

    responses: ResponseStore
    conversations: ConversationStore
    jobs: JobStore
    files: FileStore
    deliveries: DeliveryStore
    keys: KeyStore
    limits: LimitStore
    database: StoreDatabase

    async def close(self) -> None:
        """Finish pending writes and close the database."""
        await self.database.close()
