"""What every Store promises about the audit log: it is added to, read by pages, and old entries go."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from antiphon.stores.audit_records import AuditEntry, AuditQuery
from antiphon.stores.base import Store
from antiphon.stores.open import open_sqlite

from .samples import ANN, BOB, NOW


def entry(number: int, **fields: Any) -> AuditEntry:
    given = {"action": "api_key.created", "actor": ANN, "subject": f"key_{number}", "details": b'{"a":"\xc3\xa4"}'}
    return AuditEntry(id=f"audit_{number}", at=NOW + number, **{**given, **fields})


async def test_entries_are_listed_the_newest_first(store: Store) -> None:
    one, two, three = entry(1), entry(2, owner="a\0b", address="::1", request_id="r"), entry(3)
    await store.audit.add([one])
    await store.audit.add([two, three])
    await store.audit.add([])
    assert await store.audit.list(AuditQuery(limit=10)) == [three, two, one]
    assert await store.audit.list(AuditQuery(limit=1)) == [three]
    assert await store.audit.list(AuditQuery(limit=10, after=three.id)) == [two, one]
    assert await store.audit.list(AuditQuery(limit=10, after="audit_9")) is None


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"action": "object.deleted"}, [2]),
        ({"actor": BOB}, [3]),
        ({"subject": "key_1"}, [1]),
        ({"first": NOW + 2}, [3, 2]),
        ({"last": NOW + 2}, [2, 1]),
        ({"actor": ANN, "action": "object.deleted", "first": NOW + 3}, []),
    ],
)
async def test_only_what_is_wanted_is_listed(store: Store, query: dict[str, Any], numbers: list[int]) -> None:
    await store.audit.add([entry(1), entry(2, action="object.deleted"), entry(3, actor=BOB)])
    found = await store.audit.list(AuditQuery(limit=10, **query))
    assert found is not None and [one.id for one in found] == [f"audit_{number}" for number in numbers]


async def test_old_entries_are_dropped_the_oldest_first(store: Store) -> None:
    await store.audit.add([entry(number) for number in range(5)])
    assert [await store.audit.drop(NOW + 3, 2) for _ in range(3)] == [2, 1, 0]
    found = await store.audit.list(AuditQuery(limit=10))
    assert found is not None and [one.id for one in found] == ["audit_4", "audit_3"]


async def test_a_file_refuses_to_change_an_entry(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "a.db")
    await store.audit.add([entry(1)])
    await store.close()
    statement = "UPDATE audit SET actor = 'nobody'"
    with (
        closing(sqlite3.connect(tmp_path / "a.db")) as file,
        pytest.raises(sqlite3.IntegrityError, match="only added to"),
    ):
        file.execute(statement)
