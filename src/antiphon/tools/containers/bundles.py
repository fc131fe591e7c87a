"""Bundles of skills: zip archives and uploaded files → the files of a skill, within bounds; its name and description.

A skill is a folder with a file SKILL.md, which begins with its name and description between two lines `---` (Agent Skills).
What comes in is hostile: each name is checked, nothing is written outside of a folder, and no more is unpacked than a bundle may
hold, whatever its directory says.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec

from antiphon.errors import InvalidRequest
from antiphon.tools.containers.front_matter import front_matter

MOST_BUNDLE = 16 << 20
"""Bytes of a bundle as it comes, and of one as it is kept."""

MOST_UNPACKED = 32 << 20
"""Bytes of all files of a skill."""

MOST_SKILL_FILES = 500
"""Files of a skill."""

MOST_DIRECTORY = 1 << 20
"""Bytes of a zip archive's directory."""

LONGEST_PATH = 256
"""Bytes of the path of a file of a skill."""

DEEPEST = 12
"""Folders in one another."""

LONGEST_NAME = 64
LONGEST_DESCRIPTION = 1024
"""Characters of a skill's name and description."""

MANIFEST = "SKILL.md"
_NAMES = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_END = b"PK\x05\x06"
_END_SIZE = 22
_LONGEST_COMMENT = 65535
_LOCATOR_64 = b"PK\x06\x07"
_PIECE = 1 << 16
_ENCRYPTED = 1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_EXECUTABLE = 0o111
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
_SKIPPED = ("__MACOSX/", ".DS_Store")  # what archives of a Mac hold beside the files


class SkillFile(msgspec.Struct, frozen=True):
    """A file of a skill, by its path in the skill's folder."""

    path: str
    content: bytes
    executable: bool = False


class SkillBundle(msgspec.Struct, frozen=True, kw_only=True):
    """A skill as it is kept: its bundle, and what stands at the head of its SKILL.md."""

    name: str
    description: str
    content: bytes
    digest: str


def bundle_of_zip(data: bytes, param: str) -> SkillBundle:
    """Return the skill in a zip archive. Raises InvalidRequest."""
    return _bundle(_in_folder(_unzipped(data, param), param), param)


def bundle_of_files(files: Iterable[tuple[str, bytes]], param: str) -> SkillBundle:
    """Return the skill that uploaded files are, each with its path. Raises InvalidRequest."""
    given = [SkillFile(_checked(path, param), content) for path, content in files]
    _check_number(len(given), param)
    if sum(len(file.content) for file in given) > MOST_UNPACKED:
        raise _too_large(param)
    return _bundle(_in_folder(given, param), param)


def unpacked(content: bytes) -> list[SkillFile]:
    """Return the files of a bundle that is kept. Raises InvalidRequest where it is none."""
    return _unzipped(content, "skills")


def _bundle(files: Sequence[SkillFile], param: str) -> SkillBundle:
    fields = front_matter(next(file.content for file in files if file.path == MANIFEST))
    if fields is None:
        raise _invalid(f"{MANIFEST} must begin with its 'name' and 'description' between two lines '---'", param)
    name, description = fields.get("name", ""), " ".join(fields.get("description", "").split())
    check_about(name, description, param)
    content = _packed(files)
    if len(content) > MOST_BUNDLE:
        raise _too_large(param)
    digest = blake2b(content, digest_size=16).hexdigest()
    return SkillBundle(name=name, description=description, content=content, digest=digest)


def check_about(name: str, description: str, param: str) -> None:
    """Check a skill's name, which becomes that of its folder, and its description. Raises InvalidRequest."""
    if not name or len(name) > LONGEST_NAME or not _NAMES.issuperset(name) or name[0] in ".-":
        raise _invalid(f"the 'name' must be 1 to {LONGEST_NAME} letters, digits and hyphens", param)
    if not description or len(description) > LONGEST_DESCRIPTION or not description.isprintable():
        raise _invalid(f"the 'description' must be a line of 1 to {LONGEST_DESCRIPTION} characters", param)


def _packed(files: Sequence[SkillFile]) -> bytes:
    """Return files as a zip archive, which is the same for the same files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files, key=lambda file: file.path):
            entry = zipfile.ZipInfo(file.path)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | (0o755 if file.executable else 0o644)) << 16
            archive.writestr(entry, file.content)
    return made.getvalue()


def _in_folder(files: Sequence[SkillFile], param: str) -> list[SkillFile]:
    """Return files by their paths in the skill's folder, which may be the only one of all files."""
    tops = {file.path.partition("/")[0] for file in files}
    if len(tops) == 1 and not any(file.path == MANIFEST for file in files):
        files = [msgspec.structs.replace(file, path=file.path.partition("/")[2]) for file in files]
    paths = [file.path for file in files]
    if len(set(paths)) < len(paths) or any(f"{path}/" in _folders(paths) for path in paths):
        raise _invalid("two files have one path", param)
    if MANIFEST not in paths:
        raise _invalid(f"there is no {MANIFEST}, neither at its top nor in its only folder", param)
    return list(files)


def _folders(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(path[: index + 1] for path in paths for index, one in enumerate(path) if one == "/")


def _checked(path: str, param: str) -> str:
    """Return a path that leads to a file below the folder. Raises InvalidRequest for any other."""
    parts = path.split("/")
    plain = not any(part in ("", ".", "..") for part in parts) and path.isprintable()
    if not plain or "\\" in path or ":" in parts[0] or len(parts) > DEEPEST:
        raise _invalid(f"'{path[:80]}' is no path of a file in a skill", param)
    if len(path.encode(errors="replace")) > LONGEST_PATH:
        raise _invalid(f"the path '{path[:80]}…' is longer than {LONGEST_PATH} bytes", param)
    return path


# Zip archives


def _unzipped(data: bytes, param: str) -> list[SkillFile]:
    if len(data) > MOST_BUNDLE:
        raise _too_large(param)
    _check_directory(data, param)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not _passed_over(entry.filename)]
            _check_number(len(entries), param)
            return _files(archive, entries, param)
    except _BROKEN:
        raise _invalid("it is no zip archive that can be read", param) from None


def _check_directory(data: bytes, param: str) -> None:
    """Check what an archive says of its directory before that is read: it would be read whole."""
    offset = data.rfind(_END, max(0, len(data) - _LONGEST_COMMENT - _END_SIZE))
    if offset < 0 or len(data) < offset + _END_SIZE:
        raise _invalid("it is no zip archive", param)
    size = int.from_bytes(data[offset + 12 : offset + 16], "little")
    if size > MOST_DIRECTORY or data[max(0, offset - 20) : offset].startswith(_LOCATOR_64):
        raise _invalid(f"its directory has more than {MOST_DIRECTORY} bytes", param)


def _files(archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], param: str) -> list[SkillFile]:
    files: list[SkillFile] = []
    room = MOST_UNPACKED
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _invalid(f"'{entry.filename[:80]}' is no plain file: links are not taken", param)
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
            raise _invalid(f"'{entry.filename[:80]}' is encrypted, or packed in a way that is not known", param)
        path = _checked(entry.filename, param)
        content = _content(archive, entry, room)
        if content is None:
            raise _too_large(param)
        room -= len(content)
        files.append(SkillFile(path, content, bool((entry.external_attr >> 16) & _EXECUTABLE)))
    return files


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, room: int) -> bytes | None:
    """Unpack an entry; None where it has more bytes than there is room for, whatever it says of itself."""
    pieces = bytearray()
    with archive.open(entry) as file:
        while piece := file.read(_PIECE):
            pieces += piece
            if len(pieces) > room:
                return None
    return bytes(pieces)


def _passed_over(name: str) -> bool:
    return name.endswith("/") or name.startswith(_SKIPPED[0]) or name.rpartition("/")[2] == _SKIPPED[1]


def _check_number(number: int, param: str) -> None:
    if not 0 < number <= MOST_SKILL_FILES:
        raise _invalid(f"it must have 1 to {MOST_SKILL_FILES} files", param)


def _too_large(param: str) -> InvalidRequest:
    return InvalidRequest(
        f"A skill has at most {MOST_BUNDLE >> 20} MiB packed, and {MOST_UNPACKED >> 20} MiB in all.",
        param=param,
        code="skill_too_large",
    )


def _invalid(why: str, param: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid skill: {why}.", param=param, code="invalid_skill")
