"""The version of a release: set in all places, checked in what was built.

`python -m tests.acceptance.version 1.2.3`, or `--check DIST`.
"""

from __future__ import annotations

import datetime
import email
import json
import re
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSION = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,4}(?:(?:a|b|rc)\d{1,3})?")
PLACES = (
    ("pyproject.toml", 'version = "{}"'),
    ("src/antiphon/__init__.py", '__version__ = "{}"'),
    ("sbom.cdx.json", '"name": "antiphon",\n      "type": "application",\n      "version": "{}"'),
    ("deploy/helm/antiphon/values.yaml", "tag: {}"),
    ("deploy/helm/antiphon/Chart.yaml", "\nversion: {}"),
    ("deploy/helm/antiphon/Chart.yaml", 'appVersion: "{}"'),
)
"""Files and how each writes the version; Helm's charts have semantic versions, 1.2.3-rc1 for 1.2.3rc1."""

UNRELEASED = "## [Unreleased]\n"
LARGEST = 10_000_000
"""Bytes that a wheel has at most: most of it is the demo model."""


def current() -> str:
    """Return the version of the checkout."""
    found = re.search(r'^version = "([^"]+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def spelled(name: str, form: str, version: str) -> str:
    """Return a version as a place writes it."""
    return form.format(re.sub(r"(?=[abr])", "-", version, count=1) if name.endswith("Chart.yaml") else version)


def set_version(root: Path, old: str, new: str, today: datetime.date) -> None:
    """Write a version into all places, and date the changelog. Raises ValueError."""
    if not VERSION.fullmatch(new):
        raise ValueError(f"{new} is not a version such as 1.2.3 or 1.2.3rc1")
    for name, form in PLACES:
        path = root / name
        text = path.read_text()
        said, says = spelled(name, form, old), spelled(name, form, new)
        if text.count(said) != 1:
            raise ValueError(f"{name} does not say {said} once")
        path.write_text(text.replace(said, says))
    log = root / "CHANGELOG.md"
    text = log.read_text()
    head, mark, rest = text.partition(UNRELEASED)
    if not mark or not rest.lstrip().startswith("### "):
        raise ValueError("CHANGELOG.md has nothing under [Unreleased]")
    log.write_text(f"{head}{UNRELEASED}\n## [{new}] - {today.isoformat()}\n{rest}")


def faults(dist: Path, version: str) -> list[str]:
    """Return what is wrong with what was built, by its metadata and its contents."""
    wheels, sources = list(dist.glob("*.whl")), list(dist.glob("*.tar.gz"))
    if [len(wheels), len(sources)] != [1, 1]:
        return [f"one wheel and one source distribution are wanted, there are {len(wheels)} and {len(sources)}"]
    found = []
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = wheel.namelist()
        meta = email.message_from_bytes(wheel.read(_one(names, ".dist-info/METADATA")))
        found += _wrong_metadata(meta, version)
        found += [
            f"the wheel has no {part}" for part in ("py.typed", "sbom.cdx.json", "LICENSE") if not _one(names, part)
        ]
        bill = json.loads(wheel.read(_one(names, "sbom.cdx.json")) if _one(names, "sbom.cdx.json") else "{}")
        told = bill.get("metadata", {}).get("component", {}).get("version")
        if told != version:
            found.append(f"the bill of materials is of {told!r}, not {version!r}")
        found += [f"{name} does not belong into the wheel" for name in names if name.startswith(("tests/", "bench/"))]
    if wheels[0].stat().st_size > LARGEST:
        found.append(f"the wheel has {wheels[0].stat().st_size} bytes, over {LARGEST}")
    with tarfile.open(sources[0]) as archive:
        kept = {name.partition("/")[2] for name in archive.getnames()}
        found += [
            f"the source distribution has no {name}"
            for name in ("README.md", "CHANGELOG.md", "LICENSE")
            if name not in kept
        ]
    return found


def _wrong_metadata(meta: Message, version: str) -> list[str]:
    wanted = {"Name": "antiphon", "Version": version, "Requires-Python": ">=3.11", "License-Expression": "Apache-2.0"}
    found = [f"{name} is {meta[name]!r}, not {value!r}" for name, value in wanted.items() if meta[name] != value]
    extras = set(meta.get_all("Provides-Extra") or ())
    found += [f"there is no extra '{name}'" for name in ("all", "mcp", "postgres", "tokenizers") if name not in extras]
    if meta["Description-Content-Type"] != "text/markdown":
        found.append(f"the description is {meta['Description-Content-Type']!r}, not text/markdown")
    return found


def _one(names: list[str], ending: str) -> str:
    return next((name for name in names if name.endswith(ending)), "")


def main(arguments: list[str]) -> int:
    """Set the version, or check what was built."""
    match arguments:
        case ["--check", dist]:
            found = faults(Path(dist), current())
            print(
                "\n".join(found) or f"metadata of {current()}: as it should be",
                file=sys.stderr if found else sys.stdout,
            )
            return 1 if found else 0
        case [version]:
            try:
                set_version(ROOT, current(), version, datetime.datetime.now(datetime.UTC).date())
            except ValueError as error:
                print(error, file=sys.stderr)
                return 1
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
