"""ChosenContainer: the container in which the code or the commands of a response run.

It is the one that is declared, or for `auto` the one of an earlier call in the context while that is there, else a new one, made
with the first call, with the files and skills that the request names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Raw

from antiphon.core.citations.sources import ContainerFile
from antiphon.errors import InvalidRequest, NotFound, StoreConflict
from antiphon.stores.base import FileStore, whole_file
from antiphon.stores.item_ids import responses_of
from antiphon.stores.records import StoredContainer, StoredFile
from antiphon.tools.base import HostedRun, HostedUse, ToolServerError
from antiphon.tools.containers.base import (
    MOST_GIVEN,
    Done,
    NetworkPolicy,
    check_file_size,
    container_memory,
    kept_path,
    shown_path,
)
from antiphon.tools.containers.containers import Containers
from antiphon.tools.containers.skills import DeclaredSkill, MountedSkill, Skills, told_skills
from antiphon.types.items import OtherItem

MOST_ASKED = 8
"""Containers of earlier calls of which it is asked whether they are there still."""

MOST_NAMED = 20
"""Files that the model is told of by name."""

Memory = Literal["1g", "4g", "16g", "64g"]


class AutoContainer(msgspec.Struct, frozen=True):
    """A container that the server chooses, as a request declares it; each tool has its own name for it."""

    file_ids: list[str] = []
    memory_limit: Memory | None = None
    network_policy: NetworkPolicy | None = None
    skills: list[DeclaredSkill] = []


class EarlierEnvironment(msgspec.Struct, frozen=True):
    """Where the commands of an earlier call ran."""

    container_id: str | None = None


class EarlierCall(msgspec.Struct, frozen=True):
    """What of an earlier call says which container it was in."""

    id: str | None = None
    container_id: str | None = None
    environment: EarlierEnvironment | None = None


_earlier = msgspec.json.Decoder(EarlierCall)


def container_of(call: Raw) -> str:
    """Return the id of the container in which an earlier call ran, "" where nothing tells.

    A client may keep nothing but an item's id and what was called: a container that was made for the response has its id.
    """
    try:
        earlier = _earlier.decode(call)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    named = earlier.container_id or (earlier.environment.container_id if earlier.environment is not None else None)
    return named or next(map(_own_id, responses_of([earlier.id or ""])), "")


def _own_id(response_id: str) -> str:
    """Return the id of the container that is made for a response."""
    return f"cntr_{response_id.removeprefix('resp_')}"


class WantedContainer(msgspec.Struct, frozen=True):
    """A container that is still to be chosen: the files and skills that it is to have, and its memory."""

    files: Sequence[StoredFile]
    skills: Sequence[MountedSkill]
    memory: int


class ContainerChoice:
    """Checks which containers requests name, and what they are to have."""

    def __init__(self, containers: Containers, files: FileStore, skills: Skills) -> None:
        self.containers = containers
        self.files = files
        self.skills = skills

    async def admit(self, wanted: Sequence[tuple[str | AutoContainer, str]], owner: str) -> ChosenContainer | None:
        """Check the containers of all declarations of a tool, each with its field; None where no sandbox holds here.

        Raises APIError, with the field as `param`.
        """
        container, param = wanted[0]
        if any(other != container for other, _ in wanted):
            raise InvalidRequest("Only one container can be used in a response.", param=wanted[-1][1])
        if await self.containers.source.usable():
            return None
        if isinstance(container, str):
            found = await self.containers.find(container, owner, param)
            return ChosenContainer(found, self, owner, told_skills(await self.containers.store.skills(found.id)))
        if len(container.file_ids) > MOST_GIVEN:
            raise InvalidRequest(f"At most {MOST_GIVEN} files are allowed.", param=f"{param}.file_ids")
        most = self.containers.bounds.memory
        memory = container_memory(container.memory_limit, container.network_policy, most, param)
        given = [await self._file(id, owner, f"{param}.file_ids[{n}]") for n, id in enumerate(container.file_ids)]
        skills = await self.skills.admitted(container.skills, owner, f"{param}.skills")
        self.containers.source.warm()
        return ChosenContainer(WantedContainer(given, skills, memory), self, owner, told_skills(skills))

    async def _file(self, id: str, owner: str, param: str) -> StoredFile:
        file = await self.files.get(id, owner, self.containers.clock())
        if file is None:
            raise NotFound(f"File '{id}' not found.", param=param, code="file_not_found")
        check_file_size(file.size, param)
        return file


class ChosenContainer:
    """The container of one response; `choose` comes first. `about_skills` is what the model is told of those in it."""

    def __init__(
        self, wanted: StoredContainer | WantedContainer, choice: ContainerChoice, owner: str, about_skills: str
    ) -> None:
        self.containers = choice.containers
        self._choice = choice
        self._wanted = wanted
        self._owner = owner
        self._about_skills = about_skills
        self._container = wanted if isinstance(wanted, StoredContainer) else None
        self.id = self._container.id if self._container is not None else ""
        self._making = asyncio.Lock()

    @property
    def about(self) -> str:
        """What the model is told of the files and skills in it."""
        files = self._wanted.files[:MOST_NAMED] if isinstance(self._wanted, WantedContainer) else ()
        names = ", ".join(shown_path(kept_path(file.filename)) for file in files)
        about = f" The user's files: {names}." if names else ""
        return f"{about}\n\n{self._about_skills}" if self._about_skills else about

    async def choose(self, run: HostedRun, call: str) -> None:
        """Choose it: that of the last `call` (a type of items) which still has one, else one that is the response's own.

        The id of that follows from the response's, so that all its tools, and a server that takes the response over, choose
        the same.
        """
        if self.id:
            return
        asked: set[str] = set()
        for item in reversed(run.items):
            id = container_of(item.raw) if isinstance(item, OtherItem) and item.type == call else ""
            if id and id not in asked and len(asked) < MOST_ASKED:
                asked.add(id)
                found = await self.containers.store.get(id, self._owner, self.containers.clock())
                if found is not None:
                    self.id = found.id
                    return
        self.id = _own_id(run.response_id)

    async def there(self) -> StoredContainer:
        """Return it, made with its files and skills where it is not there yet."""
        async with self._making:
            if self._container is None:
                assert isinstance(self._wanted, WantedContainer)
                found = await self._found() or await self._made(self._wanted.memory)
                await self._add_files(found, self._wanted.files)
                await self._choice.skills.give(self.containers.store, found.id, self._wanted.skills)
                self._container = found
            return self._container

    async def _found(self) -> StoredContainer | None:
        return await self.containers.store.get(self.id, self._owner, self.containers.clock())

    async def _made(self, memory: int) -> StoredContainer:
        try:
            return await self.containers.create(self._owner, id=self.id, memory=memory)
        except StoreConflict:  # another tool of the response has made it at the same time, or it has expired
            found = await self._found()
            if found is None:
                raise ToolServerError("The container of this response has expired.") from None
            return found

    async def _add_files(self, container: StoredContainer, files: Sequence[StoredFile]) -> None:
        there = {file.path for file in await self.containers.store.files(container.id)} if files else set()
        for file in files:
            path = kept_path(file.filename)
            if path not in there:
                content = await whole_file(self._choice.files, file, self.containers.clock())
                if content is None:
                    raise ToolServerError(f"File '{file.id}' not found.")
                await self.containers.add_file(container, path, content, "user")
                there.add(path)


def cited_files(container: str, done: Done) -> list[ContainerFile]:
    """Return what a call in a container has written, as the model's answer can cite it."""
    return [
        ContainerFile(
            container_id=container, file_id=file.id, filename=file.path.rpartition("/")[2], path=shown_path(file.path)
        )
        for file in done.files
    ]


class ContainerUse(HostedUse):
    """A tool that runs in a container, within one response; without a container, where there can be none, it offers nothing.

    `earlier` is the type of its earlier calls, `told` what the model is told beside the files, `calls` is how
    often a call may take the time of one.
    """

    earlier: str
    told: str
    calls = 1

    def __init__(self, container: ChosenContainer | None) -> None:
        self._container = container

    def instructions(self) -> str:
        """Tell of files, and how the model links to those that it makes."""
        return f"{self.told}{self._container.about}" if self._container is not None else ""

    def opening(self) -> Mapping[str, object]:
        """Return the container, which is known before the first call."""
        return {"container_id": self._container.id if self._container is not None else ""}

    async def prepare(self, run: HostedRun) -> None:
        """Choose the container."""
        if self._container is not None:
            await self._container.choose(run, self.earlier)

    def provider(self) -> str:
        """Return the kind of sandbox."""
        return self._container.containers.source.name if self._container is not None else ""

    def demand(self, name: str, arguments: str) -> Mapping[str, float]:
        """Return the seconds of a call; files that it writes are counted afterwards."""
        if self._container is None:
            return {}
        return {"code_seconds": self.calls * self._container.containers.bounds.call_seconds, "stored_bytes": 0}

    async def close(self) -> None:
        """Do nothing: the container stays until it has been idle for its time."""
