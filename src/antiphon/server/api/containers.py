"""`/v1/containers` and their files: create, list, read, delete (Containers API)."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from antiphon.access.tool_limits import ToolAdmission, Unmetered
from antiphon.core.media.file_types import BINARY
from antiphon.core.request.validation import decode, missing
from antiphon.errors import APIError, InvalidRequest, NotFound
from antiphon.runtime.offload import by_size
from antiphon.server.api.files import file_not_found
from antiphon.server.api.paging import listing, page_query
from antiphon.server.http.messages import SMALL_BODY, Reply, Request, json_reply
from antiphon.server.http.multipart import read_form
from antiphon.stores.base import FileStore, whole_file
from antiphon.stores.records import StoredContainer, StoredContainerFile, StoredFile
from antiphon.tools.containers.base import (
    LONGEST_NAME,
    MOST_GIVEN,
    NetworkPolicy,
    check_file_size,
    container_memory,
    container_not_found,
    kept_path,
    memory_name,
    shown_path,
)
from antiphon.tools.containers.containers import Containers
from antiphon.tools.containers.skills import DeclaredSkill, Skills
from antiphon.types.request import Id


class IdleTime(msgspec.Struct, frozen=True, kw_only=True):
    """After how many minutes without use a container expires."""

    anchor: Literal["last_active_at"]
    minutes: Annotated[int, Meta(ge=1, le=10_000)]


class CreateContainer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/containers`."""

    name: Annotated[str, Meta(max_length=LONGEST_NAME)]
    file_ids: Annotated[list[Id], Meta(max_length=MOST_GIVEN)] = []
    expires_after: IdleTime | None = None
    memory_limit: Literal["1g", "4g", "16g", "64g"] | None = None
    network_policy: NetworkPolicy | None = None
    skills: list[DeclaredSkill] | None = None


class CopyFile(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/containers/{id}/files` that names an uploaded file."""

    file_id: Id


_create = msgspec.json.Decoder(CreateContainer)
_copy = msgspec.json.Decoder(CopyFile)


class ContainerRoutes:
    """The handlers."""

    def __init__(
        self, containers: Containers, files: FileStore, skills: Skills, meters: ToolAdmission | None = None
    ) -> None:
        """`meters` count the bytes that containers are given."""
        self._containers = containers
        self._skills = skills
        self._files = files
        self._meters = meters or Unmetered()

    async def create(self, request: Request) -> Reply:
        """POST /v1/containers."""
        text = await request.body()  # skills may stand in it
        body = await by_size(len(text), decode, _create, text)
        reason = await self._containers.source.usable()
        if reason:
            raise APIError(501, f"This server runs no code: {reason}", code="code_interpreter_off")
        memory = container_memory(body.memory_limit, body.network_policy, self._containers.bounds.memory, "")
        files = [await self._file(id, request.owner, f"file_ids[{n}]") for n, id in enumerate(body.file_ids)]
        skills = await self._skills.admitted(body.skills or (), request.owner, "skills")
        idle = None if body.expires_after is None else body.expires_after.minutes * 60
        told = await self._meters.store(request.caller, sum(file.size for file in files)) if files else ()
        container = await self._containers.create(request.owner, name=body.name, memory=memory, idle=idle)
        for file in files:
            await self._add(container, file)
        await self._skills.give(self._containers.store, container.id, skills)
        return json_reply(container_object(container), headers=told)

    async def list(self, request: Request) -> Reply:
        """GET /v1/containers: newest first unless `order=asc`; `limit`, `after`, `name`."""
        query = page_query(request)
        names = request.query.get("name")
        found = await self._containers.store.list(
            request.owner,
            self._containers.clock(),
            name=names[-1] if names else None,
            after=query.after,
            limit=query.limit + 1,
            descending=not query.ascending,
        )
        if found is None:
            raise InvalidRequest(f"Invalid 'after': container '{query.after}' not found.", param="after")
        shown = found[: query.limit]
        data = [container_object(container) for container in shown]
        return json_reply(listing(data, [container.id for container in shown], len(found) > query.limit))

    async def read(self, request: Request) -> Reply:
        """GET /v1/containers/{id}."""
        return json_reply(container_object(await self._there(request)))

    async def delete(self, request: Request) -> Reply:
        """DELETE /v1/containers/{id}: with its files; code that runs in it ends."""
        id = request.params["id"]
        if not await self._containers.delete(id, request.owner):
            raise container_not_found(id, "id")
        return json_reply({"id": id, "object": "container.deleted", "deleted": True})

    # Files

    async def add_file(self, request: Request) -> Reply:
        """POST /v1/containers/{id}/files: a form with `file`, or JSON with the `file_id` of an uploaded one."""
        container = await self._there(request)
        kind = request.header(b"content-type") or b""
        if kind.lower().startswith(b"multipart/"):
            form = await read_form(await request.body(form=True), kind)
            if "file_id" in form:
                file = await self._file(form["file_id"].text, request.owner, "file_id")
                return await self._copied(request, container, file)
            upload = form.get("file")
            if upload is None or upload.filename is None:
                raise missing("file")
            content = bytes(upload.content)
            check_file_size(len(content), "file")
            told = await self._meters.store(request.caller, len(content))
            kept = await self._containers.add_file(container, kept_path(upload.filename), content, "user")
            return json_reply(file_object(kept), headers=told)
        body = decode(_copy, await request.body(most=SMALL_BODY))
        return await self._copied(request, container, await self._file(body.file_id, request.owner, "file_id"))

    async def _copied(self, request: Request, container: StoredContainer, file: StoredFile) -> Reply:
        told = await self._meters.store(request.caller, file.size)
        return json_reply(file_object(await self._add(container, file)), headers=told)

    async def list_files(self, request: Request) -> Reply:
        """GET /v1/containers/{id}/files: newest first unless `order=asc`; `limit`, `after`."""
        container = await self._there(request)
        query = page_query(request)
        files = list(await self._containers.store.files(container.id))
        if not query.ascending:
            files.reverse()
        if query.after is not None:
            indexes = [index for index, file in enumerate(files) if file.id == query.after]
            if not indexes:
                raise InvalidRequest(f"Invalid 'after': file '{query.after}' not found.", param="after")
            files = files[indexes[0] + 1 :]
        shown = files[: query.limit]
        data = [file_object(file) for file in shown]
        return json_reply(listing(data, [file.id for file in shown], len(files) > query.limit))

    async def read_file(self, request: Request) -> Reply:
        """GET /v1/containers/{id}/files/{file_id}."""
        return json_reply(file_object(await self._file_there(request)))

    async def file_content(self, request: Request) -> Reply:
        """GET /v1/containers/{id}/files/{file_id}/content: the bytes, as a download: browsers are to run nothing of it."""
        file = await self._file_there(request)
        content = await self._containers.store.file_content(file.container, file.id)
        if content is None:
            raise _no_file(file.id)
        disposition = f"attachment; filename*=UTF-8''{quote(file.path.rpartition('/')[2], safe='')}"
        headers = ((b"content-disposition", disposition.encode()), (b"x-content-type-options", b"nosniff"))
        return Reply(content, content_type=BINARY, headers=headers)

    async def delete_file(self, request: Request) -> Reply:
        """DELETE /v1/containers/{id}/files/{file_id}: the next call does not find it any more."""
        file = await self._file_there(request)
        await self._containers.store.delete_file(file.container, file.id)
        return json_reply({"id": file.id, "object": "container.file.deleted", "deleted": True})

    async def _there(self, request: Request) -> StoredContainer:
        return await self._containers.find(request.params["id"], request.owner, "id")

    async def _file_there(self, request: Request) -> StoredContainerFile:
        container = await self._there(request)
        id = request.params["file_id"]
        for file in await self._containers.store.files(container.id):
            if file.id == id:
                return file
        raise _no_file(id)

    async def _file(self, id: str, owner: str, param: str) -> StoredFile:
        file = await self._files.get(id, owner, self._containers.clock())
        if file is None:
            raise file_not_found(id, param)
        check_file_size(file.size, param)
        return file

    async def _add(self, container: StoredContainer, file: StoredFile) -> StoredContainerFile:
        content = await whole_file(self._files, file, self._containers.clock())
        if content is None:
            raise file_not_found(file.id, "file_id")
        return await self._containers.add_file(container, kept_path(file.filename), content, "user")


def container_object(container: StoredContainer) -> dict[str, object]:
    """Return a container as clients see it."""
    return {
        "id": container.id,
        "object": "container",
        "created_at": container.created_at,
        "status": "running",
        "expires_after": {"anchor": "last_active_at", "minutes": max(1, container.idle // 60)},
        "last_active_at": container.last_active_at,
        "memory_limit": memory_name(container.memory),
        "name": container.name,
        "network_policy": {"type": "disabled"},
    }


def file_object(file: StoredContainerFile) -> dict[str, object]:
    """Return a file of a container as clients see it."""
    return {
        "id": file.id,
        "object": "container.file",
        "container_id": file.container,
        "created_at": file.created_at,
        "bytes": file.size,
        "path": shown_path(file.path),
        "source": file.source,
    }


def _no_file(id: str) -> NotFound:
    return NotFound(f"File '{id}' not found in this container.", param="file_id", code="file_not_found")
