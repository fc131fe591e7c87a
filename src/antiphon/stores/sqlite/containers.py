"""SQLiteContainers: containers of the code interpreter, and their files. Each function runs in a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from sqlite3 import Connection
from typing import Any

import msgspec
from msgspec.structs import replace

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.records import StoredContainer, StoredContainerFile, StoredContainerSkill
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("containers")
LAST = (1 << 63) - 1


class ContainerPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an owner's containers: after the container `after`, at most `limit`, without those expired by `now`."""

    owner: str
    now: float
    name: str | None
    after: str | None
    limit: int
    descending: bool


def insert(connection: Connection, container: StoredContainer) -> None:
    """Insert a container. Raises StoreConflict if the id is taken."""
    if connection.execute(SQL["taken"], {"id": container.id}).fetchall():
        raise StoreConflict(container.id)
    connection.execute(SQL["insert"], msgspec.structs.asdict(container))


def get(connection: Connection, id: str, owner: str, now: float) -> StoredContainer | None:
    """Return a container, or None."""
    for row in connection.execute(SQL["get"], {"id": id, "owner": owner, "now": now}).fetchall():
        return _container(owner, row)
    return None


def page(connection: Connection, wanted: ContainerPage) -> list[StoredContainer] | None:
    """Return a page of containers; None if `after` is unknown."""
    start = LAST if wanted.descending else 0
    if wanted.after is not None:
        found = connection.execute(
            SQL["live_number"], {"id": wanted.after, "owner": wanted.owner, "now": wanted.now}
        ).fetchall()
        if not found:
            return None
        start = found[0][0]
    query = SQL["list_descending" if wanted.descending else "list"]
    rows = connection.execute(query, {**msgspec.structs.asdict(wanted), "after": start}).fetchall()
    return [_container(wanted.owner, row) for row in rows]


def count(connection: Connection, owner: str, now: float) -> int:
    """Return how many an owner has."""
    return int(connection.execute(SQL["count"], {"owner": owner, "now": now}).fetchall()[0][0])


def delete(connection: Connection, id: str, owner: str) -> bool:
    """Delete a container with its files."""
    rows = connection.execute(SQL["remove"], {"id": id, "owner": owner}).fetchall()
    _remove_files(connection, rows)
    return bool(rows)


def purge(connection: Connection, now: int, limit: int) -> int:
    """Delete up to `limit` expired containers; return how many."""
    rows = connection.execute(SQL["expired"], {"now": now, "limit": limit}).fetchall()
    _remove_files(connection, rows)
    return len(rows)


def _remove_files(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    for (id,) in rows:
        connection.execute(SQL["remove_contents"], {"container": id})
        connection.execute(SQL["remove_files"], {"container": id})
        connection.execute(SQL["remove_skills"], {"container": id})


def put_file(connection: Connection, file: StoredContainerFile, content: bytes) -> StoredContainerFile:
    """Insert a file, or replace its content. Raises StoreUnknown."""
    if not connection.execute(SQL["taken"], {"id": file.container}).fetchall():
        raise StoreUnknown(file.container)
    row = connection.execute(SQL["put_file"], msgspec.structs.asdict(file)).fetchall()[0]
    number, id, created_at, source, version = row
    connection.execute(SQL["put_content"], {"file": number, "content": content})
    return replace(file, id=id, created_at=created_at, source=source, version=version)


def files(connection: Connection, container: str) -> list[StoredContainerFile]:
    """Return the files of a container."""
    rows = connection.execute(SQL["files"], {"container": container}).fetchall()
    return [
        StoredContainerFile(
            id=id, container=container, path=path, size=size, source=source, created_at=created_at, version=version
        )
        for id, path, size, source, created_at, version in rows
    ]


def file_content(connection: Connection, container: str, id: str) -> bytes | None:
    """Return a file's content, or None."""
    for (found,) in connection.execute(SQL["content"], {"container": container, "file": id}).fetchall():
        return bytes(found)
    return None


def delete_file(connection: Connection, container: str, id: str) -> bool:
    """Delete a file."""
    names = {"container": container, "file": id}
    connection.execute(SQL["remove_content"], names)
    return bool(connection.execute(SQL["remove_file"], names).fetchall())


def put_skill(connection: Connection, skill: StoredContainerSkill, content: bytes) -> None:
    """Give a container a skill that it does not have yet. Raises StoreUnknown."""
    if not connection.execute(SQL["taken"], {"id": skill.container}).fetchall():
        raise StoreUnknown(skill.container)
    connection.execute(SQL["put_skill"], {**msgspec.structs.asdict(skill), "content": content})


def skills(connection: Connection, container: str) -> list[StoredContainerSkill]:
    """Return the skills of a container."""
    rows = connection.execute(SQL["skills"], {"container": container}).fetchall()
    return [
        StoredContainerSkill(container=container, folder=folder, name=name, description=description, size=size)
        for folder, name, description, size in rows
    ]


def skill_content(connection: Connection, container: str, folder: str) -> bytes | None:
    """Return the bundle of a skill, or None."""
    for (found,) in connection.execute(SQL["skill_content"], {"container": container, "folder": folder}).fetchall():
        return bytes(found)
    return None


def _container(owner: str, row: tuple[Any, ...]) -> StoredContainer:
    id, name, memory, idle, created_at, last_active_at = row
    return StoredContainer(
        id=id, owner=owner, name=name, memory=memory, idle=idle, created_at=created_at, last_active_at=last_active_at
    )


class SQLiteContainers:
    """Containers in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer
        database.expires(purge)

    async def put(self, container: StoredContainer) -> None:
        await self._writer.submit(lambda connection: insert(connection, container))

    async def get(self, id: str, owner: str, now: float) -> StoredContainer | None:
        return self._database.read(get, id, owner, now)

    async def list(
        self,
        owner: str,
        now: float,
        *,
        name: str | None = None,
        after: str | None = None,
        limit: int = 100,
        descending: bool = False,
    ) -> Sequence[StoredContainer] | None:
        wanted = ContainerPage(owner=owner, now=now, name=name, after=after, limit=limit, descending=descending)
        return await self._database.read_long(lambda connection: page(connection, wanted))

    async def count(self, owner: str, now: float) -> int:
        return self._database.read(count, owner, now)

    async def delete(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: delete(connection, id, owner), erases=True)

    async def claim(self, id: str, owner: str, holder: str, now: float, until: float) -> int | None:
        names = {"id": id, "owner": owner, "holder": holder, "now": ceil(now), "until": ceil(until)}
        rows = await self._writer.submit(lambda connection: connection.execute(SQL["claim"], names).fetchall())
        return rows[0][0] if rows else None

    async def release(self, id: str, holder: str, now: float, calls: int) -> None:
        names = {"id": id, "holder": holder, "now": ceil(now), "calls": calls}
        await self._writer.submit(lambda connection: connection.execute(SQL["release"], names))

    async def touch(self, id: str, now: float) -> None:
        names = {"id": id, "now": ceil(now)}
        await self._writer.submit(lambda connection: connection.execute(SQL["touch"], names))

    async def put_file(self, file: StoredContainerFile, content: bytes) -> StoredContainerFile:
        return await self._writer.submit(lambda connection: put_file(connection, file, content))

    async def files(self, container: str) -> Sequence[StoredContainerFile]:
        return self._database.read(files, container)

    async def file_content(self, container: str, id: str) -> bytes | None:
        return await self._database.read_long(lambda connection: file_content(connection, container, id))

    async def delete_file(self, container: str, id: str) -> bool:
        return await self._writer.submit(lambda connection: delete_file(connection, container, id), erases=True)

    async def put_skill(self, skill: StoredContainerSkill, content: bytes) -> None:
        await self._writer.submit(lambda connection: put_skill(connection, skill, content))

    async def skills(self, container: str) -> Sequence[StoredContainerSkill]:
        return self._database.read(skills, container)

    async def skill_content(self, container: str, folder: str) -> bytes | None:
        return await self._database.read_long(lambda connection: skill_content(connection, container, folder))
