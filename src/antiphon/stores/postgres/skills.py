"""PostgresSkills: skills and their versions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from antiphon.errors import StoreConflict
from antiphon.stores.postgres.database import UPKEEP_PATIENCE, Row
from antiphon.stores.postgres.postgres_database import PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import StoredSkill, StoredSkillVersion

SQL = queries("skills")
LAST = (1 << 63) - 1


class PostgresSkills:
    """Skills in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool

    async def create(self, skill: StoredSkill, version: StoredSkillVersion, content: bytes) -> None:
        values = {**msgspec.structs.asdict(version), "owner": skill.owner, "content": content}
        if await self._pool.row(SQL["create"], UPKEEP_PATIENCE, **values) is None:
            raise StoreConflict(skill.id)

    async def get(self, id: str, owner: str) -> StoredSkill | None:
        row = await self._pool.row(SQL["get"], id=id, owner=owner)
        return None if row is None else _skill(owner, row)

    async def list(
        self, owner: str, *, after: str | None = None, limit: int = 100, descending: bool = False
    ) -> Sequence[StoredSkill] | None:
        start = LAST if descending else 0
        if after is not None:
            start = await self._pool.value(SQL["number"], id=after, owner=owner)
            if start is None:
                return None
        query = SQL["list_descending" if descending else "list"]
        return [_skill(owner, row) for row in await self._pool.rows(query, owner=owner, after=start, limit=limit)]

    async def count(self, owner: str) -> int:
        return int(await self._pool.value(SQL["count"], owner=owner))

    async def delete(self, id: str, owner: str) -> bool:
        return await self._pool.row(SQL["remove"], id=id, owner=owner) is not None

    async def add_version(
        self, version: StoredSkillVersion, owner: str, content: bytes, *, default: bool
    ) -> StoredSkillVersion | None:
        values = msgspec.structs.asdict(version)
        del values["version"]
        number: int | None = await self._pool.value(
            SQL["add_version"], UPKEEP_PATIENCE, **values, owner=owner, content=content, default=default
        )
        return None if number is None else replace(version, version=number)

    async def set_default(self, id: str, owner: str, version: int) -> bool:
        return await self._pool.row(SQL["set_default"], id=id, owner=owner, version=version) is not None

    async def version(self, id: str, owner: str, version: int) -> StoredSkillVersion | None:
        row = await self._pool.row(SQL["version"], id=id, owner=owner, version=version)
        return None if row is None else _version(id, row)

    async def versions(
        self, id: str, *, after: int | None = None, limit: int = 100, descending: bool = False
    ) -> Sequence[StoredSkillVersion]:
        start = after if after is not None else LAST if descending else 0
        query = SQL["versions_descending" if descending else "versions"]
        return [_version(id, row) for row in await self._pool.rows(query, id=id, after=start, limit=limit)]

    async def delete_version(self, id: str, owner: str, version: int) -> bool:
        return await self._pool.row(SQL["remove_version"], id=id, owner=owner, version=version) is not None

    async def content(self, id: str, version: int) -> bytes | None:
        found: bytes | None = await self._pool.value(SQL["content"], UPKEEP_PATIENCE, id=id, version=version)
        return found


def _skill(owner: str, row: Row) -> StoredSkill:
    id, created_at, default, latest, name, description = row
    return StoredSkill(
        id=unescape(id),
        owner=owner,
        created_at=created_at,
        name=unescape(name),
        description=unescape(description),
        default_version=default,
        latest_version=latest,
    )


def _version(skill: str, row: Row) -> StoredSkillVersion:
    id, version, created_at, name, description, digest, size = row
    return StoredSkillVersion(
        id=unescape(id),
        skill=skill,
        version=version,
        created_at=created_at,
        name=unescape(name),
        description=unescape(description),
        digest=unescape(digest),
        size=size,
    )
