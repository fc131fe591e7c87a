"""docs/limits.md says what the code holds: every row names a setting or a constant, and its value."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from antiphon.config import BackendConfig, CodeInterpreterConfig, Config, DecisionsConfig, FileSearchConfig
from antiphon.config.tools import ImageGenerationConfig

PAGE = Path(__file__).parent.parent / "docs" / "limits.md"
UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "ms": 0.001, "s": 1, "min": 60, "h": 3600}
HEAD = ("what", "limit", "setting or constant", "error")


def rows() -> Iterator[tuple[str, str, str, str]]:
    for line in PAGE.read_text().splitlines():
        if line.startswith("|"):
            cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
            assert len(cells) == len(HEAD), line
            if cells != HEAD and not cells[0].startswith("---"):
                yield cells


def value_of(source: str) -> object:
    """Return a setting's default, a backend's setting's default (`backends.NAME.x`), or a constant (`module:NAME`)."""
    module, colon, name = source.partition(":")
    if colon:
        return getattr(importlib.import_module(f"antiphon.{module}"), name)
    tables = {"backends.NAME": BackendConfig, "tools.file_search": FileSearchConfig, "": Config}
    tables["tools.code_interpreter"] = CodeInterpreterConfig
    tables["decisions"] = DecisionsConfig
    tables["tools.image_generation"] = ImageGenerationConfig
    path, _, name = source.rpartition(".")
    table = tables[path]
    return next(field.default for field in msgspec.structs.fields(table) if field.name == name)


def number(limit: str) -> float:
    found = re.match(r"([\d,_.]+) ?([A-Za-z]*)", limit)
    assert found, limit
    return float(found[1].replace(",", "")) * UNITS[found[2] if found[2] in UNITS else ""]


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row[0][:50])
def test_a_limit_is_what_the_code_holds(row: tuple[str, str, str, str]) -> None:
    what, limit, source, error = row
    assert what and limit and source and error
    names = re.findall(r"`([\w.:]+)`", source)
    parts = limit.split(", ") if len(names) > 1 else [limit]
    for name, one in zip(names, parts if names else (), strict=True):
        assert value_of(name) == pytest.approx(number(one)), f"{name} is {value_of(name)}"


def test_no_limit_stands_twice() -> None:
    seen = [(what, source) for what, _, source, _ in rows()]
    assert len(seen) == len(set(seen))
