"""SQLiteSkills: skills and their versions. Each function runs in a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

import msgspec
from msgspec.structs import replace

from antiphon.errors import StoreConflict
from antiphon.stores.records import StoredSkill, StoredSkillVersion
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("skills")
LAST = (1 << 63) - 1


def create(connection: Connection, skill: StoredSkill, version: StoredSkillVersion, content: bytes) -> None:
    """Insert a skill with its first version. Raises StoreConflict if the id is taken."""
    if connection.execute(SQL["taken"], {"id": skill.id}).fetchall():
        raise StoreConflict(skill.id)
    connection.execute(SQL["insert"], msgspec.structs.asdict(skill))
    connection.execute(SQL["insert_version"], {**msgspec.structs.asdict(version), "content": content})


def get(connection: Connection, id: str, owner: str) -> StoredSkill | None:
    """Return a skill, or None."""
    for row in connection.execute(SQL["get"], {"id": id, "owner": owner}).fetchall():
        return _skill(connection, owner, row)
    return None


def page(
    connection: Connection, owner: str, after: str | None, limit: int, descending: bool
) -> list[StoredSkill] | None:
    """Return a page of skills; None if `after` is unknown."""
    start = LAST if descending else 0
    if after is not None:
        found = connection.execute(SQL["number"], {"id": after, "owner": owner}).fetchall()
        if not found:
            return None
        start = found[0][0]
    query = SQL["list_descending" if descending else "list"]
    rows = connection.execute(query, {"owner": owner, "after": start, "limit": limit}).fetchall()
    return [_skill(connection, owner, row) for row in rows]


def count(connection: Connection, owner: str) -> int:
    """Return how many an owner has."""
    return int(connection.execute(SQL["count"], {"owner": owner}).fetchall()[0][0])


def delete(connection: Connection, id: str, owner: str) -> bool:
    """Delete a skill with all versions."""
    if not connection.execute(SQL["remove"], {"id": id, "owner": owner}).fetchall():
        return False
    connection.execute(SQL["remove_versions"], {"id": id})
    return True


def add_version(
    connection: Connection, version: StoredSkillVersion, owner: str, content: bytes, default: bool
) -> StoredSkillVersion | None:
    """Add a version; None where there is no such skill."""
    names = {"id": version.skill, "owner": owner, "default": default}
    for (number,) in connection.execute(SQL["next_version"], names).fetchall():
        version = replace(version, version=number)
        connection.execute(SQL["insert_version"], {**msgspec.structs.asdict(version), "content": content})
        return version
    return None


def find_version(connection: Connection, id: str, owner: str, version: int) -> StoredSkillVersion | None:
    """Return a version, or None."""
    for row in connection.execute(SQL["version"], {"id": id, "owner": owner, "version": version}).fetchall():
        return _version(id, row)
    return None


def version_page(
    connection: Connection, id: str, after: int | None, limit: int, descending: bool
) -> list[StoredSkillVersion]:
    """Return a page of versions."""
    start = after if after is not None else LAST if descending else 0
    query = SQL["versions_descending" if descending else "versions"]
    rows = connection.execute(query, {"id": id, "after": start, "limit": limit}).fetchall()
    return [_version(id, row) for row in rows]


def content_of(connection: Connection, id: str, version: int) -> bytes | None:
    """Return the bundle of a version, or None."""
    for (found,) in connection.execute(SQL["content"], {"id": id, "version": version}).fetchall():
        return bytes(found)
    return None


def _skill(connection: Connection, owner: str, row: tuple[Any, ...]) -> StoredSkill:
    id, created_at, default, latest = row
    ((name, description),) = connection.execute(SQL["about"], {"id": id, "version": default}).fetchall()
    return StoredSkill(
        id=id,
        owner=owner,
        created_at=created_at,
        name=name,
        description=description,
        default_version=default,
        latest_version=latest,
    )


def _version(skill: str, row: tuple[Any, ...]) -> StoredSkillVersion:
    id, version, created_at, name, description, digest, size = row
    return StoredSkillVersion(
        id=id,
        skill=skill,
        version=version,
        created_at=created_at,
        name=name,
        description=description,
        digest=digest,
        size=size,
    )


class SQLiteSkills:
    """Skills in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer

    async def create(self, skill: StoredSkill, version: StoredSkillVersion, content: bytes) -> None:
        await self._writer.submit(lambda connection: create(connection, skill, version, content))

    async def get(self, id: str, owner: str) -> StoredSkill | None:
        return self._database.read(get, id, owner)

    async def list(
        self, owner: str, *, after: str | None = None, limit: int = 100, descending: bool = False
    ) -> Sequence[StoredSkill] | None:
        return await self._database.read_long(lambda connection: page(connection, owner, after, limit, descending))

    async def count(self, owner: str) -> int:
        return self._database.read(count, owner)

    async def delete(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: delete(connection, id, owner), erases=True)

    async def add_version(
        self, version: StoredSkillVersion, owner: str, content: bytes, *, default: bool
    ) -> StoredSkillVersion | None:
        return await self._writer.submit(lambda connection: add_version(connection, version, owner, content, default))

    async def set_default(self, id: str, owner: str, version: int) -> bool:
        names = {"id": id, "owner": owner, "version": version}
        rows = await self._writer.submit(lambda connection: connection.execute(SQL["set_default"], names).fetchall())
        return bool(rows)

    async def version(self, id: str, owner: str, version: int) -> StoredSkillVersion | None:
        return self._database.read(find_version, id, owner, version)

    async def versions(
        self, id: str, *, after: int | None = None, limit: int = 100, descending: bool = False
    ) -> Sequence[StoredSkillVersion]:
        return await self._database.read_long(lambda connection: version_page(connection, id, after, limit, descending))

    async def delete_version(self, id: str, owner: str, version: int) -> bool:
        names = {"id": id, "owner": owner, "version": version}
        rows = await self._writer.submit(
            lambda connection: connection.execute(SQL["remove_version"], names).fetchall(), erases=True
        )
        return bool(rows)

    async def content(self, id: str, version: int) -> bytes | None:
        return await self._database.read_long(lambda connection: content_of(connection, id, version))
