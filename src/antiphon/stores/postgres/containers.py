"""PostgresContainers: containers of the code interpreter, and their files."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.postgres.database import UPKEEP_PATIENCE, Row
from antiphon.stores.postgres.postgres_database import PURGE_GROUP, PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import StoredContainer, StoredContainerFile, StoredContainerSkill

SQL = queries("containers")
LAST = (1 << 63) - 1


class PostgresContainers:
    """Containers in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool
        database.expires(self._purge)

    async def put(self, container: StoredContainer) -> None:
        if await self._pool.row(SQL["insert"], **msgspec.structs.asdict(container)) is None:
            raise StoreConflict(container.id)

    async def get(self, id: str, owner: str, now: float) -> StoredContainer | None:
        row = await self._pool.row(SQL["get"], id=id, owner=owner, now=now)
        return None if row is None else _container(owner, row)

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
        start = LAST if descending else 0
        if after is not None:
            start = await self._pool.value(SQL["live_number"], id=after, owner=owner, now=now)
            if start is None:
                return None
        query = SQL["list_descending" if descending else "list"]
        rows = await self._pool.rows(query, owner=owner, now=now, name=name, after=start, limit=limit)
        return [_container(owner, row) for row in rows]

    async def count(self, owner: str, now: float) -> int:
        return int(await self._pool.value(SQL["count"], owner=owner, now=now))

    async def delete(self, id: str, owner: str) -> bool:
        return await self._pool.row(SQL["remove"], id=id, owner=owner) is not None

    async def claim(self, id: str, owner: str, holder: str, now: float, until: float) -> int | None:
        calls: int | None = await self._pool.value(
            SQL["claim"], id=id, owner=owner, holder=holder, now=now, until=until
        )
        return calls

    async def release(self, id: str, holder: str, now: float, calls: int) -> None:
        await self._pool.row(SQL["release"], id=id, holder=holder, now=now, calls=calls)

    async def touch(self, id: str, now: float) -> None:
        await self._pool.row(SQL["touch"], id=id, now=now)

    async def put_file(self, file: StoredContainerFile, content: bytes) -> StoredContainerFile:
        values = msgspec.structs.asdict(file)
        del values["version"]
        row = await self._pool.row(SQL["put_file"], UPKEEP_PATIENCE, **values, content=content)
        if row is None:
            raise StoreUnknown(file.container)
        id, created_at, source, version = row
        return replace(file, id=unescape(id), created_at=created_at, source=unescape(source), version=version)

    async def files(self, container: str) -> Sequence[StoredContainerFile]:
        return [
            StoredContainerFile(
                id=unescape(id),
                container=container,
                path=unescape(path),
                size=size,
                source=unescape(source),
                created_at=created_at,
                version=version,
            )
            for id, path, size, source, created_at, version in await self._pool.rows(SQL["files"], container=container)
        ]

    async def file_content(self, container: str, id: str) -> bytes | None:
        found: bytes | None = await self._pool.value(SQL["content"], UPKEEP_PATIENCE, container=container, file=id)
        return found

    async def delete_file(self, container: str, id: str) -> bool:
        return await self._pool.row(SQL["remove_file"], container=container, file=id) is not None

    async def put_skill(self, skill: StoredContainerSkill, content: bytes) -> None:
        values = msgspec.structs.asdict(skill)
        if not await self._pool.value(SQL["put_skill"], UPKEEP_PATIENCE, **values, content=content):
            raise StoreUnknown(skill.container)

    async def skills(self, container: str) -> Sequence[StoredContainerSkill]:
        return [
            StoredContainerSkill(
                container=container,
                folder=unescape(folder),
                name=unescape(name),
                description=unescape(description),
                size=size,
            )
            for folder, name, description, size in await self._pool.rows(SQL["skills"], container=container)
        ]

    async def skill_content(self, container: str, folder: str) -> bytes | None:
        found: bytes | None = await self._pool.value(
            SQL["skill_content"], UPKEEP_PATIENCE, container=container, folder=folder
        )
        return found

    async def _purge(self, now: int) -> int:
        return int(await self._pool.value(SQL["purge"], UPKEEP_PATIENCE, now=now, limit=PURGE_GROUP))


def _container(owner: str, row: Row) -> StoredContainer:
    id, name, memory, idle, created_at, last_active_at = row
    return StoredContainer(
        id=unescape(id),
        owner=owner,
        name=unescape(name),
        memory=memory,
        idle=idle,
        created_at=created_at,
        last_active_at=last_active_at,
    )
