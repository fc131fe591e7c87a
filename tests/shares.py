"""Shares of the test files: `--share 2/4` runs the second of four shares that are of nearly one size.

Each process collects its own files alone, and tells nobody of each test: that is a third cheaper than pytest-xdist, whose
workers collect all files each. It evens out nothing while it runs; with more shares than processors the system does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

PARSES = "from tests.package_source import"

_SHARE = re.compile(r"([1-9]\d{0,2})/([1-9]\d{0,2})")


def parsed(text: str) -> tuple[int, int]:
    """Return which share of how many. Raises ValueError."""
    found = _SHARE.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError(f"--share is {text!r}; it must be NUMBER/OF, such as 2/4")
    return int(found[1]), int(found[2])


def others(files: Iterable[Path], number: int, of: int) -> set[Path]:
    """Return the files of all other shares: the largest file is dealt first, each to the share that has least by then.

    The first share gets those that read the package's source, which is parsed once in a process.
    """
    loads, found = [0] * of, set()
    parsing = {path: PARSES in path.read_text() for path in files}
    for path in sorted(parsing, key=lambda path: (not parsing[path], -path.stat().st_size, path)):
        share = 0 if parsing[path] else loads.index(min(loads))
        loads[share] += path.stat().st_size
        if share != number - 1:
            found.add(path)
    return found
