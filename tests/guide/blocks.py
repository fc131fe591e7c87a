"""Code blocks of the guide's pages, with what the comment above each says of its test.

`<!-- server -->` starts a server and waits for it, `<!-- background -->` another program. `<!-- says: TEXT -->`: it is in the
output; with `<!-- retried: REASON -->` at last. `<!-- file: NAME -->`: the block is written there; `<!-- config -->`: as
antiphon.toml, which the command then reads. `<!-- env: NAME=VALUE -->` is set for the block. `<!-- keep: NAME PATTERN -->`
keeps what the output matches as a variable. `<!-- not run: REASON -->`: left out.
A block of a shell or of Python without a comment is run, and must end well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[2] / "docs"
FOLDERS = ("tutorials", "how-to", "operate")
MARKS = frozenset(("server", "background", "says", "file", "config", "env", "keep", "retried", "not run"))
RUN = frozenset(("sh", "python", "toml"))
"""Languages whose blocks are run or loaded; blocks of others are text."""

_MARK = re.compile(r"^<!-- ([^>]*) -->$")


class Block(NamedTuple):
    """A code block. `line` is where it begins."""

    language: str
    text: str
    marks: dict[str, str]
    line: int


def pages() -> list[Path]:
    """Return the pages whose blocks are run."""
    return sorted(path for folder in FOLDERS for path in (DOCS / folder).glob("*.md"))


def blocks(page: str) -> Iterator[Block]:
    """Yield a page's code blocks."""
    marks: dict[str, str] = {}
    language: str | None = None
    lines: list[str] = []
    for number, line in enumerate(page.splitlines(), 1):
        if language is not None:
            if line.strip() == "```":
                yield Block(language, "\n".join(lines) + "\n", marks, number - len(lines) - 1)
                language, lines, marks = None, [], {}
            else:
                lines.append(line)
        elif found := _MARK.match(line):
            name, _, value = found[1].partition(":")
            marks[name.strip()] = value.strip()
        elif line.startswith("```"):
            language = line.removeprefix("```").strip()
