"""SkillStore: the operations on skills and on their versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.records import StoredSkill, StoredSkillVersion


class SkillStore(Protocol):
    """Skills and their versions. A version's number is given to no other one of its skill again."""

    async def create(self, skill: StoredSkill, version: StoredSkillVersion, content: bytes) -> None:
        """Insert a skill with its first version. Raises StoreConflict if the id is taken."""
        ...

    async def get(self, id: str, owner: str) -> StoredSkill | None:
        """Return a skill, or None."""
        ...

    async def list(
        self, owner: str, *, after: str | None = None, limit: int = 100, descending: bool = False
    ) -> Sequence[StoredSkill] | None:
        """Return skills in the order of their insertion, beginning behind `after`; None if that is unknown."""
        ...

    async def count(self, owner: str) -> int:
        """Return how many an owner has."""
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a skill with all versions; tell whether it was there."""
        ...

    async def add_version(
        self, version: StoredSkillVersion, owner: str, content: bytes, *, default: bool
    ) -> StoredSkillVersion | None:
        """Add a version, and return it with its number; `default`: it becomes that. None where there is no such skill."""
        ...

    async def set_default(self, id: str, owner: str, version: int) -> bool:
        """Make a version the default; tell whether it is there."""
        ...

    async def version(self, id: str, owner: str, version: int) -> StoredSkillVersion | None:
        """Return a version, or None."""
        ...

    async def versions(
        self, id: str, *, after: int | None = None, limit: int = 100, descending: bool = False
    ) -> Sequence[StoredSkillVersion]:
        """Return the versions of a skill by number, beyond the number `after`."""
        ...

    async def delete_version(self, id: str, owner: str, version: int) -> bool:
        """Delete a version that is not the default; tell whether there was such a one."""
        ...

    async def content(self, id: str, version: int) -> bytes | None:
        """Return the bundle of a version, or None."""
        ...
