"""Skills: kept by owner, with versions; chosen by a request, or brought along with it, and put into containers."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from antiphon.errors import APIError, InvalidRequest, NotFound
from antiphon.stores.base import ContainerStore, SkillStore
from antiphon.stores.records import StoredContainerSkill, StoredSkill, StoredSkillVersion
from antiphon.tools.containers.bundles import MOST_BUNDLE, SkillBundle, bundle_of_zip, check_about
from antiphon.tools.sandbox.base import SKILLS

MOST_MOUNTED = 200
"""Skills of a container."""

MOST_MOUNTED_BYTES = 32 << 20
"""Bytes of all their bundles."""

MOST_SKILLS = 1000
"""Skills of an owner, and versions of a skill."""

LATEST = "latest"
_MOST_DIGITS = 9


class SkillReference(msgspec.Struct, frozen=True, tag="skill_reference"):
    """A skill that is kept: its default version, or the one that is named."""

    skill_id: Annotated[str, Meta(min_length=1, max_length=64)]
    version: str | int | None = None


class InlineSource(msgspec.Struct, frozen=True):
    """The bundle of a skill that comes with the request."""

    type: Literal["base64"]
    media_type: Literal["application/zip"]
    data: str


class InlineSkill(msgspec.Struct, frozen=True, tag="inline"):
    """A skill that comes with the request."""

    name: str
    description: str
    source: InlineSource


DeclaredSkill = SkillReference | InlineSkill


class MountedSkill(msgspec.Struct, frozen=True, kw_only=True):
    """A skill that a container is to have: its bundle, or the version whose bundle it is."""

    name: str
    description: str
    digest: str
    size: int
    content: bytes | None = None
    version: StoredSkillVersion | None = None

    @property
    def folder(self) -> str:
        """The name of its folder: that of the skill, and what tells it from others of that name."""
        return f"{self.name}-{self.digest}"


class Skills:
    """The skills of all owners. `most`: how many an owner may have, and how many versions one of them."""

    most = MOST_SKILLS

    def __init__(self, store: SkillStore, clock: Callable[[], float], new_id_base: Callable[[], str]) -> None:
        self.store = store
        self._clock = clock
        self._new_id_base = new_id_base

    # Kept

    async def create(self, owner: str, bundle: SkillBundle) -> StoredSkill:
        """Keep a skill. Raises APIError 429 where an owner has too many."""
        if await self.store.count(owner) >= self.most:
            raise APIError(429, f"At most {self.most} skills are allowed.", code="too_many_skills")
        id = f"skill_{self._new_id_base()}"
        version = self._version(id, bundle)
        skill = StoredSkill(
            id=id, owner=owner, created_at=version.created_at, name=bundle.name, description=bundle.description
        )
        await self.store.create(skill, version, bundle.content)
        return skill

    async def add_version(self, id: str, owner: str, bundle: SkillBundle, *, default: bool) -> StoredSkillVersion:
        """Keep a further version of a skill. Raises APIError: 404, 429 where it has too many."""
        skill = await self.find(id, owner, "skill_id")
        if skill.latest_version >= self.most:
            raise APIError(429, f"At most {self.most} versions of a skill are allowed.", code="too_many_versions")
        made = await self.store.add_version(self._version(id, bundle), owner, bundle.content, default=default)
        if made is None:
            raise skill_not_found(id, "skill_id")
        return made

    def _version(self, skill: str, bundle: SkillBundle) -> StoredSkillVersion:
        return StoredSkillVersion(
            id=f"skillver_{self._new_id_base()}",
            skill=skill,
            created_at=int(self._clock()),
            name=bundle.name,
            description=bundle.description,
            digest=bundle.digest,
            size=len(bundle.content),
        )

    async def find(self, id: str, owner: str, param: str) -> StoredSkill:
        """Return a skill. Raises NotFound."""
        skill = await self.store.get(id, owner)
        if skill is None:
            raise skill_not_found(id, param)
        return skill

    async def find_version(self, id: str, owner: str, wanted: object, param: str) -> StoredSkillVersion:
        """Return a version of a skill: by its number, `latest`, or the default for None. Raises NotFound."""
        skill = await self.find(id, owner, param)
        number = _number(wanted, skill)
        version = await self.store.version(id, owner, number) if number is not None else None
        if version is None:
            raise NotFound(
                f"Version '{str(wanted)[:20]}' of skill '{id}' not found.", param=param, code="skill_version_not_found"
            )
        return version

    # For containers

    async def admitted(self, declared: Sequence[DeclaredSkill], owner: str, param: str) -> list[MountedSkill]:
        """Return the skills that a request wants. Raises APIError, with the field as `param`."""
        if len(declared) > MOST_MOUNTED:
            raise InvalidRequest(f"At most {MOST_MOUNTED} skills are allowed.", param=param)
        found = [await self._admitted(skill, owner, f"{param}[{index}]") for index, skill in enumerate(declared)]
        found = list({skill.folder: skill for skill in found}.values())
        if sum(skill.size for skill in found) > MOST_MOUNTED_BYTES:
            raise InvalidRequest(
                f"The skills of a container have at most {MOST_MOUNTED_BYTES >> 20} MiB together.",
                param=param,
                code="skill_too_large",
            )
        return found

    async def _admitted(self, skill: DeclaredSkill, owner: str, param: str) -> MountedSkill:
        if isinstance(skill, SkillReference):
            version = await self.find_version(skill.skill_id, owner, skill.version, f"{param}.skill_id")
            return MountedSkill(
                name=version.name,
                description=version.description,
                digest=version.digest,
                size=version.size,
                version=version,
            )
        description = " ".join(skill.description.split())
        check_about(skill.name, description, param)
        bundle = await asyncio.to_thread(_inline, skill.source.data, f"{param}.source.data")
        return MountedSkill(
            name=skill.name,
            description=description,
            digest=bundle.digest,
            size=len(bundle.content),
            content=bundle.content,
        )

    async def give(self, containers: ContainerStore, container: str, skills: Sequence[MountedSkill]) -> None:
        """Give a container the skills that it does not have yet. Raises APIError."""
        there = {skill.folder for skill in await containers.skills(container)} if skills else set()
        for skill in skills:
            if skill.folder not in there:
                content = await self._content(skill)
                await containers.put_skill(_of_container(container, skill), content)

    async def _content(self, skill: MountedSkill) -> bytes:
        """Return the bundle of a skill. Raises NotFound where its version has been deleted by now."""
        if skill.content is not None:
            return skill.content
        assert skill.version is not None
        content = await self.store.content(skill.version.skill, skill.version.version)
        if content is None:
            raise skill_not_found(skill.version.skill, "skills")
        return content


def _inline(data: str, param: str) -> SkillBundle:
    if len(data) > 4 * MOST_BUNDLE // 3 + 4:
        raise InvalidRequest(
            f"A skill has at most {MOST_BUNDLE >> 20} MiB packed.", param=param, code="skill_too_large"
        )
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(
            "Invalid skill: its data is not valid base64.", param=param, code="invalid_skill"
        ) from None
    return bundle_of_zip(content, param)


def _number(wanted: object, skill: StoredSkill) -> int | None:
    if wanted is None:
        return skill.default_version
    if wanted == LATEST:
        return skill.latest_version
    digits = str(wanted)
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS else None


def _of_container(container: str, skill: MountedSkill) -> StoredContainerSkill:
    return StoredContainerSkill(
        container=container, folder=skill.folder, name=skill.name, description=skill.description, size=skill.size
    )


def told_skills(skills: Sequence[MountedSkill | StoredContainerSkill]) -> str:
    """Return what a model is told of the skills in its container: name, description and path of each; "" for none."""
    return listed_skills([(skill.name, skill.description, f"{SKILLS}/{skill.folder}") for skill in skills])


def listed_skills(skills: Sequence[tuple[str, str, str]]) -> str:
    """Return what a model is told of skills, each with name, description and folder."""
    if not skills:
        return ""
    lines = [f"- {name}: {description} (file: {folder}/SKILL.md)" for name, description, folder in skills]
    return (
        "Skills are folders with instructions for certain tasks. Before you do what a skill describes, read its SKILL.md, and"
        " follow it; files that it names lie in its folder.\n" + "\n".join(lines)
    )


def skill_not_found(id: str, param: str) -> NotFound:
    """Return the 404."""
    return NotFound(f"Skill '{id}' not found.", param=param, code="skill_not_found")
