"""MemorySkills: skills and their versions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from antiphon.errors import StoreConflict
from antiphon.stores.records import StoredSkill, StoredSkillVersion


class KeptSkill(msgspec.Struct):
    """A skill, its versions with their bundles by number, and how many have been made."""

    skill: StoredSkill
    versions: dict[int, tuple[StoredSkillVersion, bytes]]
    made: int = 1


class MemorySkills:
    """Skills in memory."""

    def __init__(self) -> None:
        self._skills: dict[str, KeptSkill] = {}

    async def create(self, skill: StoredSkill, version: StoredSkillVersion, content: bytes) -> None:
        if skill.id in self._skills:
            raise StoreConflict(skill.id)
        self._skills[skill.id] = KeptSkill(skill, {version.version: (version, content)})

    async def get(self, id: str, owner: str) -> StoredSkill | None:
        kept = self._find(id, owner)
        return None if kept is None else _shown(kept)

    async def list(
        self, owner: str, *, after: str | None = None, limit: int = 100, descending: bool = False
    ) -> Sequence[StoredSkill] | None:
        mine = [_shown(kept) for kept in self._skills.values() if kept.skill.owner == owner]
        if descending:
            mine.reverse()
        if after is not None:
            found = [index for index, one in enumerate(mine) if one.id == after]
            if not found:
                return None
            mine = mine[found[0] + 1 :]
        return mine[:limit]

    async def count(self, owner: str) -> int:
        return sum(kept.skill.owner == owner for kept in self._skills.values())

    async def delete(self, id: str, owner: str) -> bool:
        if self._find(id, owner) is None:
            return False
        del self._skills[id]
        return True

    async def add_version(
        self, version: StoredSkillVersion, owner: str, content: bytes, *, default: bool
    ) -> StoredSkillVersion | None:
        kept = self._find(version.skill, owner)
        if kept is None:
            return None
        kept.made += 1
        version = replace(version, version=kept.made)
        kept.versions[version.version] = (version, content)
        if default:
            kept.skill = replace(kept.skill, default_version=version.version)
        return version

    async def set_default(self, id: str, owner: str, version: int) -> bool:
        kept = self._find(id, owner)
        if kept is None or version not in kept.versions:
            return False
        kept.skill = replace(kept.skill, default_version=version)
        return True

    async def version(self, id: str, owner: str, version: int) -> StoredSkillVersion | None:
        kept = self._find(id, owner)
        found = kept.versions.get(version) if kept is not None else None
        return None if found is None else found[0]

    async def versions(
        self, id: str, *, after: int | None = None, limit: int = 100, descending: bool = False
    ) -> Sequence[StoredSkillVersion]:
        kept = self._skills.get(id)
        found = [version for version, _ in kept.versions.values()] if kept is not None else []
        if descending:
            found.reverse()
        if after is not None:
            found = [one for one in found if (one.version < after if descending else one.version > after)]
        return found[:limit]

    async def delete_version(self, id: str, owner: str, version: int) -> bool:
        kept = self._find(id, owner)
        if kept is None or version == kept.skill.default_version:
            return False
        return kept.versions.pop(version, None) is not None

    async def content(self, id: str, version: int) -> bytes | None:
        kept = self._skills.get(id)
        found = kept.versions.get(version) if kept is not None else None
        return None if found is None else found[1]

    def _find(self, id: str, owner: str) -> KeptSkill | None:
        kept = self._skills.get(id)
        return kept if kept is not None and kept.skill.owner == owner else None


def _shown(kept: KeptSkill) -> StoredSkill:
    default, _ = kept.versions[kept.skill.default_version]
    return replace(kept.skill, name=default.name, description=default.description, latest_version=max(kept.versions))
