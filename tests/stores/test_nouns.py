"""How to add a noun to the store, done with one of the tests' own; and that no noun knows another."""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Protocol

import msgspec
import pytest

import antiphon.stores
from antiphon.stores.base import Store
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.open import open_memory, open_sqlite
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase
from antiphon.telemetry.store_timing import timed_store

from .samples import ANN, BOB

FOLDER = Path(antiphon.stores.__path__[0])
NOUNS = sorted(path.stem for path in (FOLDER / "nouns").glob("*.py") if path.stem != "__init__")
DATABASES = ("memory", "sqlite", "postgres")

# Whose writes span nouns: one transaction with an item's conversation and a run's job.
SPANS = {"responses": {"conversations", "jobs"}}

# Who knows all nouns: the field of `Store`, and the class of each database.
KNOW_ALL = {"base", "open"}


def imported_nouns(path: Path) -> set[str]:
    """Return the nouns whose modules one imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                parts = name.split(".")
                if parts[:2] == ["antiphon", "stores"] and len(parts) == 4 and parts[2] in ("nouns", *DATABASES):
                    found |= {parts[3]} & set(NOUNS)
    return found


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("folder", ["nouns", *DATABASES])
def test_a_noun_imports_no_other(folder: str, noun: str) -> None:
    others = imported_nouns(FOLDER / folder / f"{noun}.py") - {noun}
    assert others <= (SPANS.get(noun, set()) if folder != "nouns" else set())


def test_two_modules_know_all_nouns() -> None:
    knowing = {path.stem for path in FOLDER.glob("*.py") if imported_nouns(path)}
    assert knowing == KNOW_ALL
    for name in KNOW_ALL:
        assert imported_nouns(FOLDER / f"{name}.py") == set(NOUNS)


# A noun: notes


class NoteStore(Protocol):
    """Notes of owners; one that has expired is deleted when the store is purged."""

    async def put(self, owner: str, text: str, expires_at: int) -> None:
        """Insert a note."""
        ...

    async def list(self, owner: str) -> Sequence[str]:
        """Return an owner's notes."""
        ...


class MemoryNotes:
    """Notes in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._notes: list[tuple[str, str, int]] = []
        database.expires(self._purge)

    async def put(self, owner: str, text: str, expires_at: int) -> None:
        self._notes.append((owner, text, expires_at))

    async def list(self, owner: str) -> Sequence[str]:
        return [text for whose, text, _ in self._notes if whose == owner]

    def _purge(self, now: int) -> int:
        before = len(self._notes)
        self._notes = [note for note in self._notes if note[2] > now]
        return before - len(self._notes)


SCHEMA = "CREATE TABLE IF NOT EXISTS notes (owner TEXT NOT NULL, text TEXT NOT NULL, expires_at INTEGER NOT NULL)"


def insert(connection: Connection, owner: str, text: str, expires_at: int) -> None:
    connection.execute("INSERT INTO notes VALUES (?, ?, ?)", (owner, text, expires_at))


def texts(connection: Connection, owner: str) -> list[str]:
    return [row[0] for row in connection.execute("SELECT text FROM notes WHERE owner = ?", (owner,)).fetchall()]


def purge(connection: Connection, now: int, limit: int) -> int:
    statement = "DELETE FROM notes WHERE rowid IN (SELECT rowid FROM notes WHERE expires_at <= ? LIMIT ?)"
    return connection.execute(statement, (now, limit)).rowcount


class SQLiteNotes:
    """Notes of a file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer
        database.expires(purge)

    async def put(self, owner: str, text: str, expires_at: int) -> None:
        await self._writer.submit(lambda connection: insert(connection, owner, text, expires_at))

    async def list(self, owner: str) -> Sequence[str]:
        return self._database.read(texts, owner)


class NotedStore(Store, frozen=True, kw_only=True):
    """Store with one field more, as `base.py` would have it."""

    notes: NoteStore


async def noted(kind: str, folder: Path) -> NotedStore:
    """Open a store with one noun more, as `open.py` would."""
    store = open_memory() if kind == "memory" else open_sqlite(folder / "store.db")
    fields = {field: getattr(store, field) for field in store.__struct_fields__}
    if isinstance(store.database, MemoryDatabase):
        return NotedStore(**fields, notes=MemoryNotes(store.database))
    assert isinstance(store.database, SQLiteDatabase)
    await store.database.writer.submit(lambda connection: connection.execute(SCHEMA))  # as a migration does
    return NotedStore(**fields, notes=SQLiteNotes(store.database))


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_noun_is_added_without_a_change_of_another(kind: str, tmp_path: Path) -> None:
    store = await noted(kind, tmp_path)
    called: list[str] = []

    def timer(operation: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def noting(*args: Any, **kwargs: Any) -> Any:
            called.append(operation)
            return await call(*args, **kwargs)

        return noting

    timed = timed_store(store, timer)
    assert isinstance(timed, NotedStore)
    for number in range(60):
        await timed.notes.put(ANN, f"note {number}", expires_at=10 if number else 20)
    await timed.notes.put(BOB, "his", expires_at=10)
    assert len(await timed.notes.list(ANN)) == 60
    assert await timed.database.purge(10) == 60
    assert (await timed.notes.list(ANN), await timed.notes.list(BOB)) == (["note 0"], [])
    assert {"notes.put", "notes.list", "purge"} == set(called)
    assert msgspec.structs.replace(timed, notes=store.notes).notes is store.notes
    await timed.close()
