"""What every Store promises about uploads in parts."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.base import Store
from antiphon.stores.records import StoredPart, StoredUpload

from .samples import ANN, BOB, NOW


def upload(number: int = 1, **fields: object) -> StoredUpload:
    row = StoredUpload(
        id=f"upload_{number}",
        owner=ANN,
        filename="a\0b.txt",
        purpose="assistants",
        media_type="text/plain",
        size=10,
        created_at=int(NOW),
        expires_at=int(NOW) + 3600,
        file_id=f"file-{number}",
    )
    return replace(row, **fields)


def part(number: int = 1, of: int = 1) -> StoredPart:
    return StoredPart(id=f"part_{of}_{number}", upload=f"upload_{of}", created_at=int(NOW), size=number, content=number)


async def test_an_upload_and_its_parts_come_back(store: Store) -> None:
    await store.uploads.put(upload(file_seconds=3600))
    with pytest.raises(StoreConflict):
        await store.uploads.put(upload())
    assert await store.uploads.get("upload_1", ANN, NOW) == upload(file_seconds=3600)
    for number in (3, 1, 2):
        await store.uploads.add(part(number), 3)
    assert await store.uploads.parts("upload_1") == [part(3), part(1), part(2)]
    with pytest.raises(StoreConflict):
        await store.uploads.add(part(4), 3)
    assert await store.uploads.parts("upload_2") == []


async def test_anothers_upload_is_absent(store: Store) -> None:
    await store.uploads.put(upload())
    assert await store.uploads.get("upload_1", BOB, NOW) is None
    assert not await store.uploads.end("upload_1", BOB, "cancelled")
    assert (await store.uploads.pending(ANN, NOW), await store.uploads.pending(BOB, NOW)) == (1, 0)


async def test_an_upload_ends_once(store: Store) -> None:
    await store.uploads.put(upload())
    assert await store.uploads.end("upload_1", ANN, "completed")
    assert await store.uploads.end("upload_1", ANN, "completed")
    assert not await store.uploads.end("upload_1", ANN, "cancelled")
    assert await store.uploads.get("upload_1", ANN, NOW) == upload(status="completed")
    assert await store.uploads.pending(ANN, NOW) == 0
    for id in ("upload_1", "upload_9"):
        with pytest.raises(StoreUnknown):
            await store.uploads.add(replace(part(), upload=id), 3)


async def test_an_expired_upload_is_absent_and_purged(store: Store) -> None:
    await store.uploads.put(upload())
    await store.uploads.put(upload(2, expires_at=int(NOW) + 7200))
    await store.uploads.add(part(), 3)
    await store.uploads.add(part(2, of=2), 3)
    assert await store.uploads.get("upload_1", ANN, NOW + 3600) is None
    assert await store.uploads.pending(ANN, NOW + 3600) == 1
    await store.database.purge(int(NOW) + 3600)
    assert await store.uploads.parts("upload_1") == []
    assert await store.uploads.parts("upload_2") == [part(2, of=2)]
    assert await store.uploads.get("upload_1", ANN, NOW) is None


async def test_no_more_parts_than_are_allowed_at_the_same_time(store: Store) -> None:
    await store.uploads.put(upload())
    added = await asyncio.gather(*(store.uploads.add(part(n), 5) for n in range(20)), return_exceptions=True)
    assert added.count(None) == 5
    assert len(await store.uploads.parts("upload_1")) == 5
