"""Shares of the test files: `--share 2/4` runs each fourth file, from the second on, of those that are sorted by size.

Each process collects its own files alone, and tells nobody of each test: that is a third cheaper than pytest-xdist, whose
workers collect all files each. It evens out nothing while it runs; with more shares than processors the system does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_SHARE = re.compile(r"([1-9]\d{0,2})/([1-9]\d{0,2})")


def parsed(text: str) -> tuple[int, int]:
    """Return which share of how many. Raises ValueError."""
    found = _SHARE.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError(f"--share is {text!r}; it must be NUMBER/OF, such as 2/4")
    return int(found[1]), int(found[2])


def others(files: Iterable[Path], number: int, of: int) -> set[Path]:
    """Return the files of all other shares. Sizes even out: the shares are dealt forward and back by turns."""
    found = set()
    for place, path in enumerate(sorted(files, key=lambda path: (-path.stat().st_size, path))):
        turn, position = divmod(place, of)
        if (position if turn % 2 == 0 else of - 1 - position) != number - 1:
            found.add(path)
    return found
