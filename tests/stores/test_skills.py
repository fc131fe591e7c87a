"""What every Store promises about skills, their versions, and the skills of containers."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.base import Store
from antiphon.stores.records import StoredContainerSkill, StoredSkill, StoredSkillVersion

from .samples import ANN, BOB, NOW
from .test_containers import IDLE, container


def skill(number: int = 1, owner: str = ANN) -> StoredSkill:
    return StoredSkill(
        id=f"skill_{number:03}", owner=owner, created_at=int(NOW), name=f"nähen-{number}", description="Wie man näht"
    )


def version(number: int = 1, of: int = 1, name: str = "") -> StoredSkillVersion:
    made = skill(of)
    return StoredSkillVersion(
        id=f"skillver_{of}_{number}",
        skill=made.id,
        created_at=int(NOW),
        name=name or made.name,
        description=made.description,
        digest="d",
        size=3,
        version=number,
    )


async def put(store: Store, number: int = 1, owner: str = ANN) -> StoredSkill:
    await store.skills.create(skill(number, owner), version(of=number), b"zip")
    return skill(number, owner)


async def test_a_skill_comes_back_as_it_was_put(store: Store) -> None:
    made = await put(store)
    assert await store.skills.get(made.id, ANN) == made
    assert await store.skills.count(ANN) == 1
    assert await store.skills.version(made.id, ANN, 1) == version()
    assert await store.skills.content(made.id, 1) == b"zip"
    with pytest.raises(StoreConflict):
        await store.skills.create(replace(made, owner=BOB), version(), b"other")
    assert await store.skills.delete(made.id, ANN)
    assert not await store.skills.delete(made.id, ANN)
    assert await store.skills.get(made.id, ANN) is None
    assert await store.skills.content(made.id, 1) is None
    assert await store.skills.versions(made.id) == []


async def test_anothers_skill_is_absent(store: Store) -> None:
    made = await put(store)
    await store.skills.add_version(version(2), ANN, b"2", default=False)
    assert await store.skills.get(made.id, BOB) is None
    assert await store.skills.list(BOB) == []
    assert await store.skills.list(BOB, after=made.id) is None
    assert await store.skills.count(BOB) == 0
    assert await store.skills.version(made.id, BOB, 1) is None
    assert await store.skills.add_version(version(2), BOB, b"", default=True) is None
    assert not await store.skills.set_default(made.id, BOB, 2)
    assert not await store.skills.delete_version(made.id, BOB, 2)
    assert not await store.skills.delete(made.id, BOB)
    assert await store.skills.get(made.id, ANN) == replace(made, latest_version=2)


async def test_skills_in_pages(store: Store) -> None:
    for number in range(12):
        await put(store, number)
    await put(store, 99, BOB)

    async def page(**fields: object) -> list[int]:
        found = await store.skills.list(ANN, **fields)  # type: ignore[arg-type]
        assert found is not None
        return [int(one.id.removeprefix("skill_")) for one in found]

    assert await page() == list(range(12))
    assert await page(after="skill_008") == [9, 10, 11]
    assert await page(descending=True, limit=3) == [11, 10, 9]
    assert await page(descending=True, after="skill_002") == [1, 0]


async def test_versions_are_numbered_once(store: Store) -> None:
    made = await put(store)
    second = await store.skills.add_version(version(2, name="zwei"), ANN, b"2", default=False)
    assert second is not None and (second.version, second.name) == (2, "zwei")
    assert (await store.skills.get(made.id, ANN)) == replace(made, latest_version=2)
    assert await store.skills.set_default(made.id, ANN, 2)
    assert await store.skills.get(made.id, ANN) == replace(made, name="zwei", default_version=2, latest_version=2)
    assert not await store.skills.set_default(made.id, ANN, 3)
    assert not await store.skills.delete_version(made.id, ANN, 2), "it is the default"
    third = await store.skills.add_version(replace(version(), id="skillver_3"), ANN, b"3", default=True)
    assert third is not None and third.version == 3
    assert await store.skills.delete_version(made.id, ANN, 2)
    assert not await store.skills.delete_version(made.id, ANN, 2)
    fourth = await store.skills.add_version(replace(version(), id="skillver_4"), ANN, b"4", default=False)
    assert fourth is not None and fourth.version == 4
    assert await store.skills.delete_version(made.id, ANN, 4)
    fifth = await store.skills.add_version(replace(version(), id="skillver_5"), ANN, b"5", default=False)
    assert fifth is not None and fifth.version == 5, "no number is given twice"

    async def numbers(**fields: object) -> list[int]:
        return [one.version for one in await store.skills.versions(made.id, **fields)]  # type: ignore[arg-type]

    assert await numbers() == [1, 3, 5]
    assert await numbers(descending=True, limit=2) == [5, 3]
    assert await numbers(after=1) == [3, 5]
    assert await numbers(after=3, descending=True) == [1]
    assert [await store.skills.content(made.id, number) for number in (1, 2, 3)] == [b"zip", None, b"3"]


async def test_versions_that_are_added_at_once_have_their_own_numbers(store: Store) -> None:
    made = await put(store)
    added = await asyncio.gather(
        *(
            store.skills.add_version(replace(version(), id=f"skillver_x{n}"), ANN, b"%d" % n, default=n % 2 == 0)
            for n in range(8)
        )
    )
    assert sorted(one.version for one in added if one is not None) == list(range(2, 10))
    found = await store.skills.get(made.id, ANN)
    assert found is not None and found.latest_version == 9


async def test_a_container_keeps_its_skills_until_it_is_gone(store: Store) -> None:
    await store.containers.put(container())
    given = StoredContainerSkill(container="cntr_001", folder="a-1", name="ä", description="b", size=3)
    await store.containers.put_skill(given, b"zip")
    await store.containers.put_skill(replace(given, description="other"), b"other")
    await store.containers.put_skill(replace(given, folder="b-1"), b"b")
    with pytest.raises(StoreUnknown):
        await store.containers.put_skill(replace(given, container="cntr_404"), b"")
    assert await store.containers.skills("cntr_001") == [given, replace(given, folder="b-1")]
    assert await store.containers.skill_content("cntr_001", "a-1") == b"zip"
    assert await store.containers.skill_content("cntr_001", "c") is None
    assert await store.containers.skills("cntr_404") == []
    await store.containers.put(container(2))
    await store.containers.put_skill(replace(given, container="cntr_002"), b"zip")
    assert await store.containers.delete("cntr_001", ANN)
    assert await store.containers.skills("cntr_001") == []
    await store.database.purge(int(NOW) + IDLE + 1)
    assert await store.containers.skills("cntr_002") == []
