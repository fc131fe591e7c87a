"""The map in docs/design.md names every module of the package once, in the folder where it lies."""

from __future__ import annotations

import ast
import re
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


def _ours() -> Iterator[Path]:
    """Yield all files of Python that are ours: those of the package, of tests and of what is beside them."""
    for folder in ("src", "tests", "bench", "demo_model", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            if not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
                yield path


def test_no_file_is_long() -> None:
    assert not [path for path in _ours() if path.read_text().count("\n") > LONGEST_FILE]


def test_no_function_is_long() -> None:
    assert not [f"{path}: {name}" for path in _ours() for name in _long_functions(path.read_text())]


DEFINITION = re.compile(r"^( *)(async def|def|class|@)", re.MULTILINE)


def _long_functions(source: str) -> Iterator[str]:
    """Yield the functions that are too long. A file is parsed only where definitions are so far apart that one may be."""
    if _may_be_long(source):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_long(node):
                yield node.name


def _is_long(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION


def _may_be_long(source: str) -> bool:
    """Tell whether a definition and the next one that is not inside it are that far apart."""
    within: list[tuple[int, int]] = []  # indentation and line of those that have not ended
    for line, found in _definitions(source):
        while within and within[-1][0] >= found:
            if line - within.pop()[1] >= LONGEST_FUNCTION:
                return True
        within.append((found, line))
    return False


def _definitions(source: str) -> Iterator[tuple[int, int]]:
    """Yield the line and indentation of each definition, and of the end."""
    at, line = 0, 1
    for found in DEFINITION.finditer(source):
        line += source.count("\n", at, found.start())
        at = found.start()
        yield line, len(found[1])
    yield line + source.count("\n", at), 0


def test_long_functions_are_found_wherever_they_are() -> None:
    body = "        pass\n" * LONGEST_FUNCTION
    assert list(_long_functions(f"class A:\n    def f(self):\n{body}")) == ["f"]
    assert list(_long_functions(f"class A:\n    def f(self):\n{body[13:]}\n\nx = 1\n")) == []
    inner = "        def g():\n            pass\n" * (LONGEST_FUNCTION // 2)
    assert list(_long_functions(f"class A:\n    @b\n    async def f(self):\n{inner}")) == ["f"]
