"""What every Store promises about webhook endpoints of owners."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from antiphon.errors import StoreConflict
from antiphon.stores.base import Store
from antiphon.stores.records import Delivery, ListPage
from antiphon.stores.webhook_records import StoredWebhook

from .samples import ANN, BOB, NOW


def endpoint(number: int = 1, **fields: object) -> StoredWebhook:
    row = StoredWebhook(
        id=f"whe_{number}",
        owner=ANN,
        name="a\0b",
        url="https://example.com/hook",
        event_types=b'["batch.completed"]',
        secret="sealed",
        hint="whsec_…abcd",
        created_at=int(NOW),
        updated_at=int(NOW),
    )
    return replace(row, **fields)


async def test_an_endpoint_comes_back_and_changes(store: Store) -> None:
    assert await store.webhook_endpoints.create(endpoint(), 5)
    with pytest.raises(StoreConflict):
        await store.webhook_endpoints.create(endpoint(), 5)
    assert await store.webhook_endpoints.get("whe_1", ANN) == endpoint()
    changed = endpoint(name="c", url="u", secret="x", hint="y", updated_at=9, old_secret="sealed", old_until=99)
    assert await store.webhook_endpoints.update(changed)
    assert await store.webhook_endpoints.get("whe_1", ANN) == changed
    assert await store.webhook_endpoints.delete("whe_1", ANN)
    assert not await store.webhook_endpoints.delete("whe_1", ANN)
    assert not await store.webhook_endpoints.update(changed)


async def test_anothers_endpoint_is_absent(store: Store) -> None:
    await store.webhook_endpoints.create(endpoint(), 5)
    assert await store.webhook_endpoints.get("whe_1", BOB) is None
    assert not await store.webhook_endpoints.update(endpoint(owner=BOB))
    assert not await store.webhook_endpoints.delete("whe_1", BOB)
    assert await store.webhook_endpoints.list(BOB, ListPage()) == []
    assert await store.webhook_endpoints.list(BOB, ListPage(after="whe_1")) is None
    assert await store.webhook_endpoints.get("whe_1", ANN) == endpoint()


async def test_an_owner_has_so_many(store: Store) -> None:
    made = [await store.webhook_endpoints.create(endpoint(number), 2) for number in range(3)]
    assert made == [True, True, False]
    assert await store.webhook_endpoints.create(endpoint(9, owner=BOB), 2)


async def test_lists_are_pages(store: Store) -> None:
    for number in range(1, 5):
        await store.webhook_endpoints.create(endpoint(number), 5)

    async def ids(page: ListPage) -> list[str]:
        found = await store.webhook_endpoints.list(ANN, page)
        assert found is not None
        return [one.id.removeprefix("whe_") for one in found]

    assert await ids(ListPage(limit=3)) == ["4", "3", "2"]
    assert await ids(ListPage(after="whe_3")) == ["2", "1"]
    assert await ids(ListPage(before="whe_2")) == ["4", "3"]
    assert await ids(ListPage(descending=False, after="whe_1", limit=2)) == ["2", "3"]


async def test_deliveries_of_crowded_owners_are_passed_over(store: Store) -> None:
    for owner in (ANN, BOB):
        await store.deliveries.put([Delivery(id=f"evt_{owner}", url="whe_1", owner=owner, body=b"{}", due=NOW)])
    taken = await store.deliveries.claim(NOW, 60.0, [ANN])
    assert taken is not None and taken.owner == BOB
    assert await store.deliveries.claim(NOW, 60.0, [ANN]) is None
    taken = await store.deliveries.claim(NOW, 60.0)
    assert taken is not None and taken.owner == ANN
