"""MemoryWebhookEndpoints: webhook endpoints of owners."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.errors import StoreConflict
from antiphon.stores.records import ListPage
from antiphon.stores.webhook_records import StoredWebhook


class MemoryWebhookEndpoints:
    """Endpoints in memory."""

    def __init__(self) -> None:
        self._endpoints: dict[str, StoredWebhook] = {}

    async def create(self, endpoint: StoredWebhook, most: int) -> bool:
        if endpoint.id in self._endpoints:
            raise StoreConflict(endpoint.id)
        if sum(one.owner == endpoint.owner for one in self._endpoints.values()) >= most:
            return False
        self._endpoints[endpoint.id] = endpoint
        return True

    async def get(self, id: str, owner: str) -> StoredWebhook | None:
        one = self._endpoints.get(id)
        return one if one is not None and one.owner == owner else None

    async def list(self, owner: str, page: ListPage) -> Sequence[StoredWebhook] | None:
        all_of = [one for one in self._endpoints.values() if one.owner == owner]
        if page.descending:
            all_of.reverse()
        ids = [one.id for one in all_of]
        if any(end is not None and end not in ids for end in (page.after, page.before)):
            return None
        begin = 0 if page.after is None else ids.index(page.after) + 1
        end = len(ids) if page.before is None else ids.index(page.before)
        return all_of[begin:end][: page.limit]

    async def update(self, endpoint: StoredWebhook) -> bool:
        if await self.get(endpoint.id, endpoint.owner) is None:
            return False
        self._endpoints[endpoint.id] = endpoint
        return True

    async def delete(self, id: str, owner: str) -> bool:
        if await self.get(id, owner) is None:
            return False
        del self._endpoints[id]
        return True
