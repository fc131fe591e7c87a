"""MemoryContainers: containers of the code interpreter, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import msgspec
from msgspec.structs import replace

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.records import StoredContainer, StoredContainerFile, StoredContainerSkill


class KeptContainer(msgspec.Struct):
    """A container, who has it until when, its files with their contents by path."""

    container: StoredContainer
    expires_at: float
    holder: str = ""
    held_until: float = 0.0
    calls: int = 0
    files: dict[str, tuple[StoredContainerFile, bytes]] = {}
    skills: dict[str, tuple[StoredContainerSkill, bytes]] = {}


class MemoryContainers:
    """Containers in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._containers: dict[str, KeptContainer] = {}
        database.expires(self._purge)

    async def put(self, container: StoredContainer) -> None:
        if container.id in self._containers:
            raise StoreConflict(container.id)
        self._containers[container.id] = KeptContainer(container, container.created_at + container.idle)

    async def get(self, id: str, owner: str, now: float) -> StoredContainer | None:
        kept = self._find(id, owner, now)
        return None if kept is None else kept.container

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
        mine = [kept.container for kept in self._containers.values() if _there(kept, owner, now)]
        if descending:
            mine.reverse()
        if after is not None:
            found = [index for index, one in enumerate(mine) if one.id == after]
            if not found:
                return None
            mine = mine[found[0] + 1 :]
        return [one for one in mine if name in (None, one.name)][:limit]

    async def count(self, owner: str, now: float) -> int:
        return sum(_there(kept, owner, now) for kept in self._containers.values())

    async def delete(self, id: str, owner: str) -> bool:
        kept = self._containers.get(id)
        if kept is None or kept.container.owner != owner:
            return False
        del self._containers[id]
        return True

    async def claim(self, id: str, owner: str, holder: str, now: float, until: float) -> int | None:
        kept = self._find(id, owner, now)
        if kept is None or (kept.held_until > now and kept.holder != holder):
            return None
        kept.holder, kept.held_until = holder, until
        self._used(kept, now, max(now, until))
        return kept.calls

    async def release(self, id: str, holder: str, now: float, calls: int) -> None:
        kept = self._containers.get(id)
        if kept is not None and kept.holder == holder:
            kept.held_until, kept.calls = 0.0, calls
            self._used(kept, now, now)

    async def touch(self, id: str, now: float) -> None:
        kept = self._containers.get(id)
        if kept is not None:
            self._used(kept, now, max(now, kept.expires_at - kept.container.idle))

    async def put_file(self, file: StoredContainerFile, content: bytes) -> StoredContainerFile:
        kept = self._containers.get(file.container)
        if kept is None:
            raise StoreUnknown(file.container)
        before = kept.files.get(file.path)
        if before is not None:
            file = replace(before[0], size=file.size, version=before[0].version + 1)
        kept.files[file.path] = (file, content)
        return file

    async def files(self, container: str) -> Sequence[StoredContainerFile]:
        kept = self._containers.get(container)
        return [] if kept is None else [file for file, _ in kept.files.values()]

    async def file_content(self, container: str, id: str) -> bytes | None:
        kept = self._containers.get(container)
        found = [content for file, content in kept.files.values() if file.id == id] if kept is not None else []
        return found[0] if found else None

    async def delete_file(self, container: str, id: str) -> bool:
        kept = self._containers.get(container)
        paths = [path for path, (file, _) in kept.files.items() if file.id == id] if kept is not None else []
        for path in paths:
            assert kept is not None
            del kept.files[path]
        return bool(paths)

    async def put_skill(self, skill: StoredContainerSkill, content: bytes) -> None:
        kept = self._containers.get(skill.container)
        if kept is None:
            raise StoreUnknown(skill.container)
        kept.skills.setdefault(skill.folder, (skill, content))

    async def skills(self, container: str) -> Sequence[StoredContainerSkill]:
        kept = self._containers.get(container)
        return [] if kept is None else [skill for skill, _ in kept.skills.values()]

    async def skill_content(self, container: str, folder: str) -> bytes | None:
        kept = self._containers.get(container)
        found = kept.skills.get(folder) if kept is not None else None
        return None if found is None else found[1]

    @staticmethod
    def _used(kept: KeptContainer, now: float, until: float) -> None:
        kept.container = replace(kept.container, last_active_at=int(now))
        kept.expires_at = ceil(until) + kept.container.idle

    def _find(self, id: str, owner: str, now: float) -> KeptContainer | None:
        kept = self._containers.get(id)
        return kept if kept is not None and _there(kept, owner, now) else None

    def _purge(self, now: int) -> int:
        expired = [id for id, kept in self._containers.items() if kept.expires_at <= now]
        for id in expired:
            del self._containers[id]
        return len(expired)


def _there(kept: KeptContainer, owner: str, now: float) -> bool:
    return kept.container.owner == owner and kept.expires_at > now
