"""What every Store promises about containers and their files."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.base import Store
from antiphon.stores.records import StoredContainer, StoredContainerFile

from .samples import ANN, BOB, NOW

IDLE = 1200


def container(number: int = 1, owner: str = ANN, name: str = "ä") -> StoredContainer:
    return StoredContainer(
        id=f"cntr_{number:03}",
        owner=owner,
        name=name,
        memory=1 << 30,
        idle=IDLE,
        created_at=int(NOW),
        last_active_at=int(NOW),
    )


def a_file(number: int = 1, path: str = "ö.csv", holder: str = "cntr_001") -> StoredContainerFile:
    return StoredContainerFile(
        id=f"cfile_{number}", container=holder, path=path, size=3, source="user", created_at=int(NOW)
    )


async def test_a_container_comes_back_as_it_was_put(store: Store) -> None:
    await store.containers.put(container())
    assert await store.containers.get("cntr_001", ANN, NOW) == container()
    assert await store.containers.count(ANN, NOW) == 1
    with pytest.raises(StoreConflict):
        await store.containers.put(container(owner=BOB))
    assert await store.containers.delete("cntr_001", ANN)
    assert not await store.containers.delete("cntr_001", ANN)
    assert await store.containers.get("cntr_001", ANN, NOW) is None


async def test_anothers_container_is_absent(store: Store) -> None:
    await store.containers.put(container())
    assert await store.containers.get("cntr_001", BOB, NOW) is None
    assert await store.containers.list(BOB, NOW) == []
    assert await store.containers.list(BOB, NOW, after="cntr_001") is None
    assert await store.containers.count(BOB, NOW) == 0
    assert await store.containers.claim("cntr_001", BOB, "x", NOW, NOW + 60) is None
    assert not await store.containers.delete("cntr_001", BOB)
    assert await store.containers.get("cntr_001", ANN, NOW) == container()


async def test_containers_in_pages(store: Store) -> None:
    for number in range(12):
        await store.containers.put(container(number, name="a" if number % 3 else "b"))
    await store.containers.put(container(99, owner=BOB))

    async def page(**arguments: object) -> list[int] | None:
        found = await store.containers.list(ANN, NOW, **arguments)  # type: ignore[arg-type]
        return None if found is None else [int(each.id[5:]) for each in found]

    assert await page() == list(range(12))
    assert await page(limit=2, descending=True) == [11, 10]
    assert await page(after="cntr_003", limit=2) == [4, 5]
    assert await page(after="cntr_003", descending=True) == [2, 1, 0]
    assert await page(name="b") == [0, 3, 6, 9]
    assert await page(after="cntr_099") is None


async def test_an_idle_container_expires_with_its_files(store: Store) -> None:
    await store.containers.put(container())
    await store.containers.put_file(a_file(), b"abc")
    assert await store.containers.get("cntr_001", ANN, NOW + IDLE - 1) is not None
    assert await store.containers.get("cntr_001", ANN, NOW + IDLE) is None
    await store.containers.touch("cntr_001", NOW + 600)
    found = await store.containers.get("cntr_001", ANN, NOW + IDLE + 599)
    assert found == replace(container(), last_active_at=int(NOW) + 600)
    assert await store.containers.claim("cntr_001", ANN, "x", NOW + IDLE + 600, NOW) is None
    assert await store.database.purge(int(NOW) + IDLE + 599) == 0
    assert await store.database.purge(int(NOW) + IDLE + 600) == 1
    assert await store.containers.files("cntr_001") == []
    assert await store.containers.file_content("cntr_001", "cfile_1") is None


async def test_one_server_at_a_time_has_a_container(store: Store) -> None:
    await store.containers.put(container())
    containers = store.containers
    assert await containers.claim("cntr_001", ANN, "one", NOW, NOW + 60) == 0
    assert await containers.claim("cntr_001", ANN, "two", NOW + 59, NOW + 120) is None
    assert await containers.claim("cntr_001", ANN, "one", NOW + 1, NOW + 60) == 0
    await containers.release("cntr_001", "two", NOW + 2, 7)
    assert await containers.claim("cntr_001", ANN, "two", NOW + 3, NOW + 60) is None
    await containers.release("cntr_001", "one", NOW + 4, 1)
    assert await containers.claim("cntr_001", ANN, "two", NOW + 5, NOW + 60) == 1
    # One that died in the midst of a call loses it with its lease.
    assert await containers.claim("cntr_001", ANN, "one", NOW + 61, NOW + 120) == 1
    assert await containers.claim("cntr_404", ANN, "one", NOW, NOW + 60) is None


async def test_files_of_a_container(store: Store) -> None:
    content = bytes(range(256)) * 5000
    containers = store.containers
    with pytest.raises(StoreUnknown):
        await containers.put_file(a_file(), b"abc")
    await containers.put(container())
    await containers.put(container(2))
    assert await containers.put_file(a_file(), content) == a_file()
    await containers.put_file(a_file(2, "folder/b"), b"")
    await containers.put_file(a_file(3, holder="cntr_002"), b"other")
    assert await containers.files("cntr_001") == [a_file(), a_file(2, "folder/b")]
    assert await containers.file_content("cntr_001", "cfile_1") == content
    assert await containers.file_content("cntr_001", "cfile_2") == b""
    assert await containers.file_content("cntr_001", "cfile_3") is None
    new = replace(a_file(4), size=5, source="assistant")
    kept = await containers.put_file(new, b"12345")
    assert kept == replace(a_file(), size=5, version=2)
    assert await containers.file_content("cntr_001", "cfile_1") == b"12345"
    assert not await containers.delete_file("cntr_002", "cfile_1")
    assert await containers.delete_file("cntr_001", "cfile_1")
    assert not await containers.delete_file("cntr_001", "cfile_1")
    assert await containers.files("cntr_001") == [a_file(2, "folder/b")]
    await containers.delete("cntr_001", ANN)
    assert await containers.files("cntr_001") == []
    assert await containers.file_content("cntr_002", "cfile_3") == b"other"
