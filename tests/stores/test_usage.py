"""What every Store promises about sums of usage."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from antiphon.stores.base import Store
from antiphon.stores.open import open_sqlite
from antiphon.stores.usage_records import UsageQuery, UsageSum

from .samples import ANN, BOB

ALL = UsageQuery(first=0, last=1 << 40)


def used(day: int = 1, owner: str = ANN, model: str = "m", key: str = "k", tool: str = "", **counts: float) -> UsageSum:
    given = {"requests": 1, "input_tokens": 10, "output_tokens": 5, "cost": 0.25, **counts}
    return UsageSum(day=day, owner=owner, key=key, model=model, tool=tool, **given)


async def test_sums_are_added_to(store: Store) -> None:
    await store.usage.add([used(), used(failures=1), used(day=2)])
    await store.usage.add([used(input_tokens=0)])
    await store.usage.add([])
    found = await store.usage.read(
        UsageQuery(first=1, last=1, groups=frozenset(("day", "owner", "key", "model", "tool")))
    )
    assert found == [used(requests=3, failures=1, input_tokens=20, output_tokens=15, cost=0.75)]


@pytest.mark.parametrize(
    ("groups", "rows"),
    [
        ((), [(0, "", "", "")]),
        (("owner",), [(0, ANN, "", ""), (0, BOB, "", "")]),
        (("model",), [(0, "", "", "a\0b"), (0, "", "", "m")]),
        (("day", "key"), [(1, "", "k", ""), (1, "", "l", ""), (2, "", "k", "")]),
    ],
)
async def test_sums_are_told_apart_as_wanted(store: Store, groups: tuple[str, ...], rows: list[object]) -> None:
    await store.usage.add([used(), used(owner=BOB, key="l"), used(day=2, model="a\0b")])
    found = await store.usage.read(UsageQuery(first=0, last=9, groups=frozenset(groups)))  # type: ignore[arg-type]
    assert [(one.day, one.owner, one.key, one.model) for one in found] == rows
    assert sum(one.requests for one in found) == 3


async def test_only_what_is_wanted_counts(store: Store) -> None:
    await store.usage.add(
        [used(), used(day=5), used(owner=BOB), used(key="l"), used(model="n"), used(tool="web_search", calls=2)]
    )
    for query, count in (
        (ALL, 6),
        (UsageQuery(first=2, last=9), 1),
        (UsageQuery(first=0, last=9, owner=BOB), 1),
        (UsageQuery(first=0, last=9, owner=ANN, key="l"), 1),
        (UsageQuery(first=0, last=9, model="n"), 1),
        (UsageQuery(first=0, last=9, owner="nobody"), 0),
    ):
        assert sum(one.requests for one in await store.usage.read(query)) == count
    await store.usage.drop(2)
    assert [one.requests for one in await store.usage.read(ALL)] == [1]


async def test_servers_add_at_once(store: Store) -> None:
    names = [f"m{number}" for number in range(20)]
    await asyncio.gather(
        *(store.usage.add([used(model=name) for name in order]) for order in (names, names[::-1]) * 10)
    )
    found = await store.usage.read(UsageQuery(first=0, last=9, groups=frozenset(("model",))))
    assert {one.requests for one in found} == {20} and len(found) == 20


async def test_a_file_keeps_them(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "a.db")
    await store.usage.add([used()])
    await store.close()
    again = open_sqlite(tmp_path / "a.db")
    assert [one.requests for one in await again.usage.read(ALL)] == [1]
    await again.close()
