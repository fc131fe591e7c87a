"""The map in docs/design.md names every module of the package once, in the folder where it lies."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "antiphon"
WIDEST = 120
LONGEST_FILE, LONGEST_FUNCTION = 400, 60  # lines


def _map() -> list[str]:
    text = (ROOT / "docs" / "design.md").read_text()
    start = text.index("```\nsrc/antiphon/") + len("```\n")
    return text[start : text.index("\n```", start)].splitlines()


def _modules() -> list[str]:
    """Return the modules on the map, `folder/name`. A folder's line is not indented, its modules' lines are."""
    found: list[str] = []
    folder = ""
    for line in filter(None, _map()):
        name, _, said = line.strip().partition("  ")
        if line.startswith("  "):
            assert said.strip(), f"{name}: say what it holds"
            found.append(folder + name)
        else:
            assert name.endswith("/"), line
            folder = name.removeprefix("src/antiphon/")
    return found


def test_every_module_is_on_the_map_once() -> None:
    named = _modules()
    there = {
        path.relative_to(SOURCE).with_suffix("").as_posix()
        for path in SOURCE.rglob("*.py")
        if path.name != "__init__.py"
    }
    assert sorted(set(named)) == sorted(named)
    assert there - set(named) == set(), "put them on the map in docs/design.md"
    assert set(named) - there == set(), "these are gone"


def test_a_line_of_the_map_fits_a_screen() -> None:
    assert not [line for line in _map() if len(line) > WIDEST]


def test_no_file_is_long() -> None:
    files = [
        path for folder in ("src", "tests", "bench", "demo_model", "examples") for path in (ROOT / folder).rglob("*.py")
    ]
    ours = [path for path in files if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)]
    assert not [path for path in ours if path.read_text().count("\n") > LONGEST_FILE]


def test_no_function_is_long() -> None:
    trees = {path: ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")}
    assert not [f"{path}: {node.name}" for path, tree in trees.items() for node in _functions(tree) if _is_long(node)]


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _is_long(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
