"""Pages of the store's file: 16 kB in new files; in older ones once they are vacuumed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from antiphon.stores.open import open_sqlite
from antiphon.stores.sqlite import database
from antiphon.stores.sqlite.disk import upkeep

from .samples import ANN, response


def pages(path: Path) -> tuple[int, str]:
    """Return the size of the file's pages and its journal."""
    with closing(sqlite3.connect(path)) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        return int(size), str(connection.execute("PRAGMA journal_mode").fetchone()[0])


async def filled(path: Path) -> None:
    store = open_sqlite(path)
    for number in range(20):
        await store.responses.put(response(number))
    await store.close()


async def holds_all(path: Path) -> bool:
    store = open_sqlite(path)
    found = [await store.responses.get(response(number).id, ANN) == response(number) for number in range(20)]
    await store.close()
    return all(found)


async def test_a_new_file(tmp_path: Path) -> None:
    await filled(tmp_path / "store.db")
    assert pages(tmp_path / "store.db") == (database.PAGE_SIZE, "wal")


@pytest.mark.parametrize("in_use", [False, True])
async def test_an_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_use: bool) -> None:
    path = tmp_path / "store.db"
    with monkeypatch.context() as older:
        older.setattr(database, "PAGE_SIZE", 4096)
        await filled(path)
    assert await holds_all(path)
    assert pages(path) == (4096, "wal")
    with closing(sqlite3.connect(path)) as other:
        if in_use:
            assert other.execute("SELECT count(*) FROM responses").fetchone() == (20,)
        upkeep.vacuum(path)
    assert pages(path) == (4096 if in_use else database.PAGE_SIZE, "wal")
    assert await holds_all(path)
