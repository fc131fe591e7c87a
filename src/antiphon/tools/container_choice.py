"""ChosenContainer: the container in which the code or the commands of a response run.

It is the one that is declared, or for `auto` the one of an earlier call in the context while that is there, else a new one, made
with the first call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from antiphon.containers.base import (
    MOST_GIVEN,
    Done,
    NetworkPolicy,
    check_file_size,
    container_memory,
    kept_path,
    shown_path,
)
from antiphon.containers.containers import Containers
from antiphon.core.citations.sources import ContainerFile
from antiphon.errors import InvalidRequest, NotFound
from antiphon.stores.base import FileStore, whole_file
from antiphon.stores.records import StoredContainer, StoredFile
from antiphon.tools.base import ToolServerError
from antiphon.types.items import Item, OtherItem

MOST_ASKED = 8
"""Containers of earlier calls of which it is asked whether they are there still."""

MOST_NAMED = 20
"""Files that the model is told of by name."""

Memory = Literal["1g", "4g", "16g", "64g"]
ContainerOf = Callable[[OtherItem], str]
"""Gives the id of the container in which an earlier call of a tool ran; "" for other items."""


class AutoContainer(msgspec.Struct, frozen=True):
    """A container that the server chooses, as a request declares it; each tool has its own name for it."""

    file_ids: list[str] = []
    memory_limit: Memory | None = None
    network_policy: NetworkPolicy | None = None


class WantedContainer(msgspec.Struct, frozen=True):
    """A container that is still to be chosen: the files that it is to have, and its memory."""

    files: Sequence[StoredFile]
    memory: int


class ChosenContainer:
    """The container of one response; `choose` comes first."""

    def __init__(
        self, wanted: StoredContainer | WantedContainer, containers: Containers, files: FileStore, owner: str
    ) -> None:
        self.containers = containers
        self._wanted = wanted
        self._files = files
        self._owner = owner
        self._container = wanted if isinstance(wanted, StoredContainer) else None
        self.id = self._container.id if self._container is not None else ""
        self._making = asyncio.Lock()

    @property
    def about(self) -> str:
        """What the model is told of the files in it."""
        if not isinstance(self._wanted, WantedContainer) or not self._wanted.files:
            return ""
        names = ", ".join(shown_path(kept_path(file.filename)) for file in self._wanted.files[:MOST_NAMED])
        return f" The user's files: {names}."

    async def choose(self, items: Sequence[Item], container_of: ContainerOf) -> None:
        """Choose it: that of the last call which still has one, else a new one."""
        if self.id:
            return
        asked: set[str] = set()
        for item in reversed(items):
            id = container_of(item) if isinstance(item, OtherItem) else ""
            if id and id not in asked and len(asked) < MOST_ASKED:
                asked.add(id)
                found = await self.containers.store.get(id, self._owner, self.containers.clock())
                if found is not None:
                    self.id = found.id
                    return
        self.id = self.containers.new_id()

    async def there(self) -> StoredContainer:
        """Return it, made with its files where it is not there yet."""
        async with self._making:
            if self._container is None:
                found = await self.containers.store.get(self.id, self._owner, self.containers.clock())
                assert isinstance(self._wanted, WantedContainer)
                if found is None:
                    found = await self.containers.create(self._owner, id=self.id, memory=self._wanted.memory)
                await self._add_files(found, self._wanted.files)
                self._container = found
            return self._container

    async def _add_files(self, container: StoredContainer, files: Sequence[StoredFile]) -> None:
        there = {file.path for file in await self.containers.store.files(container.id)} if files else set()
        for file in files:
            path = kept_path(file.filename)
            if path not in there:
                content = await whole_file(self._files, file, self.containers.clock())
                if content is None:
                    raise ToolServerError(f"File '{file.id}' not found.")
                await self.containers.add_file(container, path, content, "user")
                there.add(path)


async def admitted_container(
    wanted: Sequence[tuple[str | AutoContainer, str]], containers: Containers, files: FileStore, owner: str
) -> ChosenContainer | None:
    """Check the containers of all declarations of a tool, each with its field; None where no sandbox holds on this machine.

    Raises APIError, with the field as `param`.
    """
    container, param = wanted[0]
    if any(other != container for other, _ in wanted):
        raise InvalidRequest("Only one container can be used in a response.", param=wanted[-1][1])
    if await containers.source.usable():
        return None
    if isinstance(container, str):
        return ChosenContainer(await containers.find(container, owner, param), containers, files, owner)
    if len(container.file_ids) > MOST_GIVEN:
        raise InvalidRequest(f"At most {MOST_GIVEN} files are allowed.", param=f"{param}.file_ids")
    most = containers.bounds.memory
    memory = container_memory(container.memory_limit, container.network_policy, most, param)
    given = [
        await _file(id, owner, f"{param}.file_ids[{n}]", containers, files) for n, id in enumerate(container.file_ids)
    ]
    containers.source.warm()
    return ChosenContainer(WantedContainer(given, memory), containers, files, owner)


async def _file(id: str, owner: str, param: str, containers: Containers, files: FileStore) -> StoredFile:
    file = await files.get(id, owner, containers.clock())
    if file is None:
        raise NotFound(f"File '{id}' not found.", param=param, code="file_not_found")
    check_file_size(file.size, param)
    return file


def cited_files(container: str, done: Done) -> list[ContainerFile]:
    """Return what a call in a container has written, as the model's answer can cite it."""
    return [
        ContainerFile(
            container_id=container, file_id=file.id, filename=file.path.rpartition("/")[2], path=shown_path(file.path)
        )
        for file in done.files
    ]
