"""The head of a SKILL.md: the lines between two `---`, as far as YAML is needed for names and descriptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from json import loads

MOST_HEAD = 64 * 1024
"""Bytes in which the head has to end."""

_FENCE = "---"


def front_matter(content: bytes) -> dict[str, str] | None:
    """Return the texts of a file's head by their names; None where it has no head. Linear in its size."""
    lines = content[:MOST_HEAD].decode("utf-8-sig", errors="replace").splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        return None
    ends = [index for index, line in enumerate(lines) if index and line.rstrip() == _FENCE]
    if not ends:
        return None
    return dict(_fields(lines[1 : ends[0]]))


def _fields(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each name that stands at the beginning of a line with its text, which may go on in lines that are indented."""
    index = 0
    while index < len(lines):
        name, colon, first = lines[index].partition(":")
        index += 1
        more: list[str] = []
        while index < len(lines) and (not lines[index].strip() or lines[index][0] in " \t"):
            more.append(lines[index].strip())
            index += 1
        if colon and name and name[0] not in " \t#-":
            yield name.strip().strip("\"'"), _text(first.strip(), more)


def _text(first: str, more: Sequence[str]) -> str:
    if first[:1] in ("|", ">"):
        return ("\n" if first[0] == "|" else " ").join(more).strip()
    if first[:1] == '"':
        return _quoted(" ".join([first, *more]).strip())
    if first[:1] == "'":
        whole = " ".join([first, *more]).strip()
        return whole[1:].removesuffix("'").replace("''", "'")
    plain = [line.partition(" #")[0].strip() for line in (first, *more)]
    return " ".join(part for part in plain if part and not part.startswith("#"))


def _quoted(text: str) -> str:
    try:
        found = loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, str) else text.strip('"')
