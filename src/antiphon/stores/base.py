"""Store: the seam to databases; sixteen nouns, one Protocol each. Every row has an owner.

An object of another owner is reported as missing. JSON is passed as bytes and is not decoded here.
Times are Unix seconds, given by the caller.

A write that spans nouns is one transaction, and a method of the noun whose row it writes: `responses.put` (its items join a
conversation, under the fence of its job), `responses.enqueue` (with its job and first events), `responses.delete`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from antiphon.errors import StoreError
from antiphon.stores.condition import Census, Condition, Measure
from antiphon.stores.nouns.audit import AuditStore
from antiphon.stores.nouns.batches import BatchStore
from antiphon.stores.nouns.chats import ChatFilter, ChatStore
from antiphon.stores.nouns.containers import ContainerStore
from antiphon.stores.nouns.conversations import ConversationStore
from antiphon.stores.nouns.deliveries import DeliveryStore
from antiphon.stores.nouns.files import FileStore
from antiphon.stores.nouns.jobs import JobStore
from antiphon.stores.nouns.keys import KeyStore
from antiphon.stores.nouns.limits import LimitStore
from antiphon.stores.nouns.responses import ResponseStore
from antiphon.stores.nouns.skills import SkillStore
from antiphon.stores.nouns.uploads import UploadStore
from antiphon.stores.nouns.usage import UsageStore
from antiphon.stores.nouns.vector_stores import VectorStoreStore
from antiphon.stores.nouns.webhook_endpoints import WebhookEndpointStore
from antiphon.stores.records import StoredFile

__all__ = [
    "AuditStore",
    "BatchStore",
    "ChatFilter",
    "ChatStore",
    "ContainerStore",
    "ConversationStore",
    "DeliveryStore",
    "FenceError",
    "FileStore",
    "JobStore",
    "KeyStore",
    "LimitStore",
    "ResponseStore",
    "SkillStore",
    "Store",
    "StoreDatabase",
    "UploadStore",
    "UsageStore",
    "VectorStoreStore",
    "WebhookEndpointStore",
    "whole_file",
]


class FenceError(StoreError):
    """The lease on a job or a file was lost to another worker; nothing was written."""


class StoreDatabase(Protocol):
    """The database behind all nouns: its condition, expiry, figures, end.

    `remote`: this server alone may lose the connection, while others keep theirs.
    """

    condition: Condition
    remote: bool

    async def purge(self, now: int) -> int:
        """Delete what has expired; return how many responses and files. Meters and slots go too, but are not counted."""
        ...

    async def census(self, now: float) -> Census:
        """Return the numbers of waiting background responses and deliveries."""
        ...

    def measures(self) -> Iterable[Measure]:
        """Return the store's own figures for `/metrics`, without reading stored rows."""
        ...

    async def close(self) -> None:
        """Finish pending writes and close."""
        ...


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """The nouns of one database, and the database. Every method that writes returns after the commit.

    All raise APIError 503 `store_unavailable` where the store's disk, file or server fails them; `database.condition`
    tells whether it is known to.
    """

    responses: ResponseStore
    audit: AuditStore
    batches: BatchStore
    conversations: ConversationStore
    jobs: JobStore
    files: FileStore
    deliveries: DeliveryStore
    chats: ChatStore
    containers: ContainerStore
    keys: KeyStore
    limits: LimitStore
    skills: SkillStore
    uploads: UploadStore
    usage: UsageStore
    vector_stores: VectorStoreStore
    webhook_endpoints: WebhookEndpointStore
    database: StoreDatabase

    async def close(self) -> None:
        """Finish pending writes and close the database."""
        await self.database.close()


async def whole_file(files: FileStore, file: StoredFile, now: float) -> bytes | None:
    """Return the whole content of a file whose size the caller has bounded; None where it is not there."""
    rows: list[bytes] = []
    size = 0
    while size < file.size or not rows:
        row = await files.content(file.id, file.owner, now, size)
        if row is None or (not row and size < file.size):
            return None
        rows.append(row)
        size += len(row)
    return rows[0] if len(rows) == 1 else b"".join(rows)
