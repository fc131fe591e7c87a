"""docs/design.md names modules that are there, and its recipes are held to what follows them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.package_source import modules
from tests.test_layers import imports

ROOT = Path(__file__).parents[1]
DESIGN = (ROOT / "docs" / "design.md").read_text()
NAMED = re.compile(r"`((?:[a-z_]+/)+[a-z_]+)(?:\.[A-Z]\w+)?`")


def section(title: str, end: str = "\n## ") -> str:
    start = DESIGN.index(title) + len(title)
    return DESIGN[start : DESIGN.index(end, start)]


def named(text: str) -> set[str]:
    """Return the modules that a text names, as `antiphon` imports them."""
    return {
        name.replace("/", ".")
        for name in NAMED.findall(text)
        if not name.startswith(("tests/", "examples/", "scripts/"))
    }


@pytest.mark.parametrize("title", ["\n## One streamed request, in order\n", "\n## How to add …\n"])
def test_modules_that_are_named_are_there(title: str) -> None:
    assert not named(section(title)) - modules().keys()


def test_a_front_end_needs_what_its_recipe_names() -> None:
    recipe = named(section("**another front end**", "\n**an item**"))
    tree = ast.parse((ROOT / "tests" / "server" / "say_front_end.py").read_text())
    used = {
        name.rpartition(".")[0].removeprefix("antiphon.")
        for name in imports(ast.walk(tree))
        if name.startswith("antiphon.")
    }
    vocabulary = {
        "composition.app",
        "errors",
        "core.deltas",
        "core.json_encoding",
        "core.stream.terms",
        "server.http.messages",
    }
    hints = {"server.api.routing_hints"}
    assert recipe <= used
    assert {name for name in used - recipe if not name.startswith("types.")} <= vocabulary | hints


def test_the_count_of_changed_files_is_that_of_the_files_named() -> None:
    table = section("| added | existing files | which | counted by |\n|---|---|---|---|\n", "\n\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert len(rows) == 6
    for added, count, which, counted_by in rows:
        files = re.findall(r"`([\w/]+\.py)`", which)
        assert len(files) == int(count) <= 3, added
        for file in files:
            assert (ROOT / "src" / "antiphon" / file).is_file(), file
        for file in re.findall(r"`((?:tests|examples)/[\w/]+\.py)`", counted_by):
            assert (ROOT / file).is_file(), file
