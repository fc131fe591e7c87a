"""WebhookEndpointStore: the operations on webhook endpoints of owners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.records import ListPage
from antiphon.stores.webhook_records import StoredWebhook


class WebhookEndpointStore(Protocol):
    """Webhook endpoints."""

    async def create(self, endpoint: StoredWebhook, most: int) -> bool:
        """Insert an endpoint; False where its owner has `most`. Raises StoreConflict if the id is taken."""
        ...

    async def get(self, id: str, owner: str) -> StoredWebhook | None:
        """Return an endpoint, or None."""
        ...

    async def list(self, owner: str, page: ListPage) -> Sequence[StoredWebhook] | None:
        """Return a page of endpoints; None if where it begins or ends is unknown."""
        ...

    async def update(self, endpoint: StoredWebhook) -> bool:
        """Replace what can change of an endpoint; tell whether it was there."""
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete an endpoint; tell whether it was there."""
        ...
