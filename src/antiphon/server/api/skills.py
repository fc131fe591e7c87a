"""`/v1/skills` and their versions: create, list, read, delete, download (Skills API)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from antiphon.core.request.validation import decode, missing
from antiphon.errors import InvalidRequest, NotFound
from antiphon.server.api.paging import listing, page_query
from antiphon.server.http.messages import SMALL_BODY, Reply, Request, json_reply
from antiphon.server.http.multipart import Field, read_fields
from antiphon.stores.records import StoredSkill, StoredSkillVersion
from antiphon.tools.containers.bundles import MOST_SKILL_FILES, SkillBundle, bundle_of_files, bundle_of_zip
from antiphon.tools.containers.skills import Skills, skill_not_found

FILES = ("files", "files[]")
"""Names of the fields that hold a bundle, or its files."""

ZIP = "application/zip"
_ZIP_HEAD = b"PK"


class SetDefault(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/skills/{id}`."""

    default_version: str


_set_default = msgspec.json.Decoder(SetDefault)


class SkillRoutes:
    """The handlers."""

    def __init__(self, skills: Skills) -> None:
        self._skills = skills

    async def create(self, request: Request) -> Reply:
        """POST /v1/skills: a form with `files`, a zip archive or all files of a folder."""
        bundle, _ = await _uploaded(request)
        return json_reply(skill_object(await self._skills.create(request.owner, bundle)))

    async def list(self, request: Request) -> Reply:
        """GET /v1/skills: newest first unless `order=asc`; `limit`, `after`."""
        query = page_query(request)
        found = await self._skills.store.list(
            request.owner, after=query.after, limit=query.limit + 1, descending=not query.ascending
        )
        if found is None:
            raise InvalidRequest(f"Invalid 'after': skill '{query.after}' not found.", param="after")
        shown = found[: query.limit]
        data = [skill_object(skill) for skill in shown]
        return json_reply(listing(data, [skill.id for skill in shown], len(found) > query.limit))

    async def read(self, request: Request) -> Reply:
        """GET /v1/skills/{id}."""
        return json_reply(skill_object(await self._there(request)))

    async def set_default(self, request: Request) -> Reply:
        """POST /v1/skills/{id}: which version counts where none is named."""
        skill = await self._there(request)
        body = decode(_set_default, await request.body(most=SMALL_BODY))
        version = await self._skills.find_version(skill.id, request.owner, body.default_version, "default_version")
        if not await self._skills.store.set_default(skill.id, request.owner, version.version):
            raise skill_not_found(skill.id, "skill_id")
        return json_reply(skill_object(await self._there(request)))

    async def delete(self, request: Request) -> Reply:
        """DELETE /v1/skills/{id}: with all versions. Containers keep what they have of it."""
        id = request.params["id"]
        if not await self._skills.store.delete(id, request.owner):
            raise skill_not_found(id, "skill_id")
        return json_reply({"id": id, "object": "skill.deleted", "deleted": True})

    async def content(self, request: Request) -> Reply:
        """GET /v1/skills/{id}/content: the bundle of the default version."""
        return await self._download(await self._skills.find_version(*_names(request), None, "skill_id"))

    # Versions

    async def add_version(self, request: Request) -> Reply:
        """POST /v1/skills/{id}/versions: a form as for a new skill; with `default=true` it becomes the default."""
        await self._there(request)
        bundle, default = await _uploaded(request)
        made = await self._skills.add_version(*_names(request), bundle, default=default)
        return json_reply(version_object(made))

    async def list_versions(self, request: Request) -> Reply:
        """GET /v1/skills/{id}/versions: newest first unless `order=asc`; `limit`, `after`."""
        skill = await self._there(request)
        query = page_query(request)
        after = await self._number(skill, query.after) if query.after is not None else None
        found = await self._skills.store.versions(
            skill.id, after=after, limit=query.limit + 1, descending=not query.ascending
        )
        shown = found[: query.limit]
        data = [version_object(version) for version in shown]
        return json_reply(listing(data, [version.id for version in shown], len(found) > query.limit))

    async def _number(self, skill: StoredSkill, id: str) -> int:
        """Return the number of a version that a page begins behind. Raises InvalidRequest."""
        after = None
        while versions := await self._skills.store.versions(skill.id, after=after):
            for version in versions:
                if id in (version.id, str(version.version)):
                    return version.version
            after = versions[-1].version
        raise InvalidRequest(f"Invalid 'after': version '{id}' not found.", param="after")

    async def read_version(self, request: Request) -> Reply:
        """GET /v1/skills/{id}/versions/{version}: by its number, or `latest`."""
        return json_reply(version_object(await self._version(request)))

    async def delete_version(self, request: Request) -> Reply:
        """DELETE /v1/skills/{id}/versions/{version}: not of the default one, unless it is the last: then the skill goes."""
        version = await self._version(request)
        skill = await self._there(request)
        if version.version == skill.default_version:
            if len(await self._skills.store.versions(skill.id, limit=2)) > 1:
                raise InvalidRequest(
                    f"Version {version.version} is the default of skill '{skill.id}': set another one first.",
                    param="version",
                    code="default_version",
                )
            await self._skills.store.delete(skill.id, request.owner)
        elif not await self._skills.store.delete_version(skill.id, request.owner, version.version):
            raise NotFound(
                f"Version '{version.version}' of skill '{skill.id}' not found.",
                param="version",
                code="skill_version_not_found",
            )
        return json_reply(
            {"id": version.id, "object": "skill.version.deleted", "deleted": True, "version": str(version.version)}
        )

    async def version_content(self, request: Request) -> Reply:
        """GET /v1/skills/{id}/versions/{version}/content: its bundle."""
        return await self._download(await self._version(request))

    async def _there(self, request: Request) -> StoredSkill:
        return await self._skills.find(*_names(request), "skill_id")

    async def _version(self, request: Request) -> StoredSkillVersion:
        return await self._skills.find_version(*_names(request), request.params["version"], "version")

    async def _download(self, version: StoredSkillVersion) -> Reply:
        content = await self._skills.store.content(version.skill, version.version)
        if content is None:
            raise skill_not_found(version.skill, "skill_id")
        disposition = f"attachment; filename*=UTF-8''{quote(version.name, safe='')}.zip"
        headers = ((b"content-disposition", disposition.encode()), (b"x-content-type-options", b"nosniff"))
        return Reply(content, content_type=ZIP, headers=headers)


def _names(request: Request) -> tuple[str, str]:
    return request.params["id"], request.owner


async def _uploaded(request: Request) -> tuple[SkillBundle, bool]:
    """Return the skill of a form, and whether it asks for that version to be the default. Raises InvalidRequest."""
    kind = request.header(b"content-type") or b""
    if not kind.lower().startswith(b"multipart/"):
        raise InvalidRequest("A skill is sent as a form (multipart/form-data) with its 'files'.", param="files")
    fields = await read_fields(await request.body(form=True), kind, MOST_SKILL_FILES + 8)
    files = [field for field in fields if field.name in FILES and field.filename is not None]
    if not files:
        raise missing("files")
    default = any(field.name == "default" and field.text.strip().lower() == "true" for field in fields)
    return await asyncio.to_thread(_bundle, files), default


def _bundle(files: Sequence[Field]) -> SkillBundle:
    first = files[0]
    if len(files) == 1 and first.content.startswith(_ZIP_HEAD):
        return bundle_of_zip(first.content, "files")
    return bundle_of_files(((file.path, file.content) for file in files), "files")


def skill_object(skill: StoredSkill) -> dict[str, object]:
    """Return a skill as clients see it."""
    return {
        "id": skill.id,
        "object": "skill",
        "created_at": skill.created_at,
        "name": skill.name,
        "description": skill.description,
        "default_version": str(skill.default_version),
        "latest_version": str(skill.latest_version),
    }


def version_object(version: StoredSkillVersion) -> dict[str, object]:
    """Return a version of a skill as clients see it."""
    return {
        "id": version.id,
        "object": "skill.version",
        "created_at": version.created_at,
        "skill_id": version.skill,
        "version": str(version.version),
        "name": version.name,
        "description": version.description,
    }
