"""ContainerStore: the operations on containers of the code interpreter and on their files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.records import StoredContainer, StoredContainerFile, StoredContainerSkill


class ContainerStore(Protocol):
    """Containers and their files. One that has not been used for its `idle` seconds is reported as missing."""

    async def put(self, container: StoredContainer) -> None:
        """Insert a container. Raises StoreConflict if the id is taken."""
        ...

    async def get(self, id: str, owner: str, now: float) -> StoredContainer | None:
        """Return a container, or None."""
        ...

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
        """Return containers in the order of their insertion, beginning behind `after`; None if that is unknown."""
        ...

    async def count(self, owner: str, now: float) -> int:
        """Return how many an owner has."""
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a container with its files; tell whether it was there."""
        ...

    async def claim(self, id: str, owner: str, holder: str, now: float, until: float) -> int | None:
        """Take a container for one call, where nobody else has it; return how many calls it has had.

        None: another server has it, or it is not there.
        """
        ...

    async def release(self, id: str, holder: str, now: float, calls: int) -> None:
        """Give a container back, after so many calls."""
        ...

    async def touch(self, id: str, now: float) -> None:
        """Note that a container is in use."""
        ...

    async def put_file(self, file: StoredContainerFile, content: bytes) -> StoredContainerFile:
        """Insert a file, or replace the content of the one of this path, which keeps its id. Raises StoreUnknown."""
        ...

    async def files(self, container: str) -> Sequence[StoredContainerFile]:
        """Return the files of a container, in the order of their insertion."""
        ...

    async def file_content(self, container: str, id: str) -> bytes | None:
        """Return a file's content, or None."""
        ...

    async def delete_file(self, container: str, id: str) -> bool:
        """Delete a file; tell whether it was there."""
        ...

    async def put_skill(self, skill: StoredContainerSkill, content: bytes) -> None:
        """Give a container a skill; one that it has in that folder stays as it is. Raises StoreUnknown."""
        ...

    async def skills(self, container: str) -> Sequence[StoredContainerSkill]:
        """Return the skills of a container, in the order of their insertion."""
        ...

    async def skill_content(self, container: str, folder: str) -> bytes | None:
        """Return the bundle of a skill, or None."""
        ...
