"""Containers: made, given files, used by one call at a time; what a call changed is in the store before the call has ended.

A container is a row and its files. Its sandbox is made from them when it is needed: in another server, after a restart, or after
its end, so that files stay and variables do not.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from msgspec.structs import replace

from antiphon.errors import APIError, StoreUnknown
from antiphon.stores.base import ContainerStore
from antiphon.stores.records import StoredContainer, StoredContainerFile
from antiphon.tools.containers.base import (
    MOST_CHANGES,
    MOST_FILE,
    ContainerBounds,
    Done,
    ProgramLeft,
    container_not_found,
)
from antiphon.tools.containers.bench import Bench, HeldSandbox
from antiphon.tools.containers.bundles import unpacked
from antiphon.tools.containers.claims import ContainerClaims
from antiphon.tools.sandbox.base import Ended, Output, Sandbox, SandboxError, SandboxFileError, SandboxSource

PROGRAM_GIVEN, PROGRAM_LEFT = ".program.json", ".left.json"  # below the folder, as `sandbox.inside.program` has them
Perform = Callable[[Sandbox], Awaitable[Ended]]


class Containers:
    """The containers of all owners."""

    def __init__(
        self,
        store: ContainerStore,
        source: SandboxSource,
        bounds: ContainerBounds,
        clock: Callable[[], float],
        new_id_base: Callable[[], str],
    ) -> None:
        self.bounds = bounds
        self.store = store
        self.source = source
        self.clock = clock
        self.seconds = 0.0
        self.bench = Bench(source, bounds, time.monotonic)
        self._new_id_base = new_id_base
        self._claims = ContainerClaims(store, clock, new_id_base(), bounds.lease)
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def new_id(self) -> str:
        """Return an id for a container."""
        return f"cntr_{self._new_id_base()}"

    async def create(
        self, owner: str, *, id: str | None = None, name: str = "", memory: int | None = None, idle: int | None = None
    ) -> StoredContainer:
        """Make a container. Raises APIError 429 where an owner has too many."""
        now = self.clock()
        if await self.store.count(owner, now) >= self.bounds.stored:
            raise APIError(
                429, f"At most {self.bounds.stored} containers are allowed at a time.", code="too_many_containers"
            )
        container = StoredContainer(
            id=id or self.new_id(),
            owner=owner,
            name=name,
            memory=self.bounds.memory if memory is None else memory,
            idle=self.bounds.idle if idle is None else min(idle, self.bounds.idle),
            created_at=int(now),
            last_active_at=int(now),
        )
        await self.store.put(container)
        return container

    async def find(self, id: str, owner: str, param: str) -> StoredContainer:
        """Return a container. Raises NotFound."""
        container = await self.store.get(id, owner, self.clock())
        if container is None:
            raise container_not_found(id, param)
        return container

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a container with its files, and end its sandbox; tell whether it was there."""
        if not await self.store.delete(id, owner):
            return False
        await self.bench.drop(id)
        return True

    async def add_file(self, container: StoredContainer, path: str, content: bytes, source: str) -> StoredContainerFile:
        """Put a file into a container; the next call finds it. Raises NotFound."""
        now = self.clock()
        file = StoredContainerFile(
            id=f"cfile_{self._new_id_base()}",
            container=container.id,
            path=path,
            size=len(content),
            source=source,
            created_at=int(now),
        )
        try:
            kept = await self.store.put_file(file, content)
        except StoreUnknown:
            raise container_not_found(container.id, "id") from None
        await self.store.touch(container.id, now)
        return kept

    # Calls

    async def run(self, container: StoredContainer, code: str, seconds: float, output: Output) -> Done:
        """Run Python in a container. Raises SandboxError, APIError."""
        return await self._call(
            container, seconds, lambda sandbox: sandbox.run(code, seconds, output, memory=container.memory)
        )

    async def shell(
        self, container: StoredContainer, command: str, seconds: float, output: Output, *, most: int | None = None
    ) -> Done:
        """Run a command in a container. Raises SandboxError, APIError."""
        return await self._call(container, seconds, lambda sandbox: sandbox.shell(command, seconds, output, most=most))

    async def program(self, owner: str, given: bytes, code: str, *, most: int) -> ProgramLeft:
        """Run Python in a sandbox of its own, with a file that it reads; it leaves one of at most so many bytes."""
        id = f"program_{self._new_id_base()}"
        held = await self.bench.start(id, owner)
        held.busy = True
        began = time.monotonic()
        try:
            await held.sandbox.write(PROGRAM_GIVEN, given)
            ended = await held.sandbox.run(code, self.bounds.call_seconds, lambda *_: None, memory=self.bounds.memory)
            content = b""
            with contextlib.suppress(SandboxFileError):
                content = await held.sandbox.read(PROGRAM_LEFT, most)
            return ProgramLeft(ended=ended, content=content)
        finally:
            self.seconds += time.monotonic() - began
            await self.bench.drop(id)

    async def _call(self, container: StoredContainer, seconds: float, perform: Perform) -> Done:
        async with self._alone(container.id), self._claims.claimed(container) as claimed:
            held, fresh = await self._sandbox(container, claimed)
            held.busy = True
            began = time.monotonic()
            try:
                await self._install(held, container.id)
                await self._bring(held, container.id)
                started = time.monotonic()
                ended = await perform(held.sandbox)
                seconds = time.monotonic() - started
                held.calls = claimed + 1
                files, left_out = await self._take(held, container.id, ended)
            except BaseException:
                held.calls = -1  # what it holds may be neither the store's nor that of the next call on another server
                raise
            finally:
                held.busy = False
                held.used = time.monotonic()
                self.seconds += held.used - began
                if not held.sandbox.alive:
                    await self.bench.drop(container.id)
            if fresh and not ended.fresh:
                ended = _as_fresh(ended)
            return Done(ended=ended, files=files, left_out=left_out, seconds=seconds)

    async def _sandbox(self, container: StoredContainer, calls: int) -> tuple[HeldSandbox, bool]:
        """Return a sandbox for a container that has had so many calls, and whether variables of those are lost."""
        held = self.bench.find(container.id)
        if held is not None and held.calls == calls and await held.sandbox.answers():
            return held, False
        return await self.bench.start(container.id, container.owner), calls > 0

    @contextlib.asynccontextmanager
    async def _alone(self, id: str) -> AsyncIterator[None]:
        """Let the calls of a container wait for each other, in the order in which they came."""
        lock, users = self._locks.get(id, (asyncio.Lock(), 0))
        self._locks[id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(id)
            if users > 1:
                self._locks[id] = (lock, users - 1)

    # Files

    async def _bring(self, held: HeldSandbox, id: str) -> None:
        """Bring into a sandbox what the store has, and take out what it has no longer."""
        files = {file.path: file for file in await self.store.files(id)}
        for path in [path for path in held.known if path not in files]:
            del held.known[path]
            with contextlib.suppress(SandboxFileError):
                await held.sandbox.remove(path)
        for path, file in files.items():
            if held.known.get(path) == (file.id, file.version):
                continue
            content = await self.store.file_content(id, file.id)
            if content is not None:
                try:
                    await held.sandbox.write(path, content)
                except SandboxFileError as error:
                    raise SandboxError(f"The file cannot be put into the container: {error}.") from None
                held.known[path] = (file.id, file.version)

    async def _install(self, held: HeldSandbox, id: str) -> None:
        """Put into a sandbox the skills of its container that it does not have yet."""
        for skill in await self.store.skills(id):
            if skill.folder in held.skills:
                continue
            content = await self.store.skill_content(id, skill.folder)
            files = await asyncio.to_thread(unpacked, content) if content is not None else ()
            try:
                for file in files:
                    await held.sandbox.install(f"{skill.folder}/{file.path}", file.content, executable=file.executable)
            except SandboxFileError as error:
                raise SandboxError(f"The skill '{skill.name}' cannot be put into the container: {error}.") from None
            held.skills.add(skill.folder)

    async def _take(self, held: HeldSandbox, id: str, ended: Ended) -> tuple[list[StoredContainerFile], Sequence[str]]:
        """Write back to the store what a call has changed; return the files, and why others are not kept."""
        kept: list[StoredContainerFile] = []
        left_out: list[str] = []
        for path, size in ended.changed:
            if len(kept) >= MOST_CHANGES:
                left_out.append(f"'{path}': more than {MOST_CHANGES} files of one call")
                continue
            if size > MOST_FILE:
                left_out.append(f"'{path}': has more than {MOST_FILE >> 20} MiB")
                continue
            try:
                content = await held.sandbox.read(path, MOST_FILE)
            except SandboxFileError as error:
                left_out.append(str(error))
                continue
            file = StoredContainerFile(
                id=f"cfile_{self._new_id_base()}",
                container=id,
                path=path,
                size=len(content),
                source="assistant",
                created_at=int(self.clock()),
            )
            try:
                stored = await self.store.put_file(file, content)
            except StoreUnknown:
                raise container_not_found(id, "container") from None
            held.known[path] = (stored.id, stored.version)
            kept.append(stored)
        for path in ended.gone:
            known = held.known.pop(path, None)
            if known is not None:
                await self.store.delete_file(id, known[0])
        if ended.odd:
            left_out.append(f"{ended.odd} entries that are no plain files, or too many")
        return kept, left_out[:MOST_CHANGES]

    async def close(self) -> None:
        """End all sandboxes."""
        await self.bench.close()


def _as_fresh(ended: Ended) -> Ended:
    return replace(ended, fresh=True)
