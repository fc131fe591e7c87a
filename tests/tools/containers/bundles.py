"""Bundles of skills for tests: zip archives, hostile ones too."""

from __future__ import annotations

import io
import stat
import zipfile

HEAD = "---\nname: {name}\ndescription: How to be rescued from a lonely island\n---\n\nWave.\n"


def manifest(name: str = "island-rescue") -> str:
    return HEAD.format(name=name)


def zipped(files: dict[str, str | bytes], mode: int = 0, **more: int) -> bytes:
    """Return a zip archive; `mode` are the bits of all its entries."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)
            entry.compress_type = more.get("method", zipfile.ZIP_DEFLATED)
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    return made.getvalue()


def island(**files: str | bytes) -> bytes:
    """Return a skill's bundle."""
    return zipped({"SKILL.md": manifest(), **files})


def linked() -> bytes:
    """Return a bundle with a symbolic link."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("SKILL.md", manifest())
        entry = zipfile.ZipInfo("secrets")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return made.getvalue()
