"""Every regular expression in the package takes time linear in its input.

Each one of the source is named in `tests/regex_table`. Those that see input from outside are tried with inputs that would be
dear if they backtracked.
"""

from __future__ import annotations

import ast
import importlib
import re
import re._parser as _parser  # type: ignore[import-not-found]
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.growth import assert_linear, cpu_time
from tests.regex_table import INSIDE, OUTSIDE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent / "src" / "antiphon"
COMPILING = frozenset("compile match fullmatch search sub subn split findall finditer".split())
SIZE = 2500
MOST_FRAGMENTS = 6

Hostile = Callable[[int], str]


def expressions() -> Iterator[tuple[str, ast.Call]]:
    """Yield `module:name` of each expression; for those that are no constant, of the function that it stands in."""
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield from _in(ast.parse(path.read_text()), module, "")


def _in(node: ast.AST, module: str, name: str) -> Iterator[tuple[str, ast.Call]]:
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner = f"{name}.{child.name}".strip(".")
        elif isinstance(child, (ast.Assign, ast.AnnAssign)) and not _in_function(node):
            target = child.targets[0] if isinstance(child, ast.Assign) else child.target
            if isinstance(target, ast.Name):
                inner = f"{name}.{target.id}".strip(".")
        if isinstance(child, ast.Call) and _compiles(child.func):
            yield f"{module}:{inner}", child
        yield from _in(child, module, inner)


def _in_function(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def _compiles(function: ast.AST) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in COMPILING
        and isinstance(function.value, ast.Name)
        and function.value.id == "re"
    )


def fragments(pattern: re.Pattern[str] | re.Pattern[bytes]) -> list[str]:
    """Return texts that the parts of an expression fit: its literals, and one character of each class."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    found: list[str] = []
    _collect(
        list(_parser.parse(source, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else 0)), found
    )
    whole = "".join(found)
    return list(dict.fromkeys([whole, *(text for text in found if text), " ", "a", "\n"]))[:MOST_FRAGMENTS]


def _collect(parts: list[Any], found: list[str]) -> None:
    run = ""
    for kind, value in parts:
        name = str(kind)
        if name == "LITERAL":
            run += chr(value)
            continue
        found.append(run)
        run = ""
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _collect(list(value[2]), found)
        elif name == "SUBPATTERN":
            _collect(list(value[3]), found)
        elif name in ("ASSERT", "ASSERT_NOT"):
            _collect(list(value[1]), found)
        elif name == "ATOMIC_GROUP":
            _collect(list(value), found)
        elif name == "BRANCH":
            for branch in value[1]:
                _collect(list(branch), found)
        elif name in ("IN", "ANY", "NOT_LITERAL"):
            found.append(_member(kind, value))
    found.append(run)


def _member(kind: Any, value: Any) -> str:
    """Return a character of a class."""
    test = re.compile(r".", re.DOTALL) if str(kind) != "IN" else None
    for character in 'a0 \n:._-\\"/{}[]<>|=@%+*AZ~':
        if test is not None or _is_in(value, character):
            return character
    return "a"


def _is_in(items: Any, character: str) -> bool:
    inside = negated = False
    for kind, value in items:
        name = str(kind)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            inside |= ord(character) == value
        elif name == "RANGE":
            inside |= value[0] <= ord(character) <= value[1]
        elif name == "CATEGORY":
            inside |= re.match(CATEGORIES[str(value)], character) is not None
    return inside != negated


CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


def hostile(pattern: re.Pattern[str] | re.Pattern[bytes]) -> Iterator[Hostile]:
    """Yield inputs that repeat what an expression's parts fit, alone, in pairs, and behind and before others."""
    texts = fragments(pattern)
    for one in texts:
        yield lambda n, one=one: one * (n // len(one))
        for other in texts:
            yield lambda n, one=one, other=other: other + one * (n // len(one))
            yield lambda n, one=one, other=other: one * (n // len(one)) + other
            yield lambda n, one=one, other=other: (one + other) * (n // len(one + other))


def test_every_expression_is_named() -> None:
    found = {name for name, _ in expressions()}
    named = OUTSIDE.keys() | INSIDE
    assert found - named == set(), "name them in OUTSIDE, with hostile input, or in INSIDE"
    assert named - found == set(), "these are gone"


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_expression_is_linear(name: str) -> None:
    found = patterns(name)
    assert found
    for pattern in found:
        measure(pattern, OUTSIDE[name])


def measure(pattern: re.Pattern[str] | re.Pattern[bytes], use: str, tries: int = 3) -> None:
    """Make sure that an expression is linear in all hostile inputs."""
    for make in hostile(pattern):
        assert_linear(lambda size, make=make: cost(pattern, make(size), use), SIZE, tries=tries)


def patterns(name: str) -> list[re.Pattern[str] | re.Pattern[bytes]]:
    """Return the compiled expressions of a name."""
    module, _, path = name.partition(":")
    value: Any = importlib.import_module(f"antiphon.{module}")
    for step in path.split("."):
        value = getattr(value, step)
    return list(_compiled(value))


def _compiled(value: Any) -> Iterator[re.Pattern[str] | re.Pattern[bytes]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _compiled(one)


def cost(pattern: re.Pattern[str] | re.Pattern[bytes], text: str, use: str) -> float:
    """Return the CPU seconds that an expression takes for a text."""
    given: Any = text.encode("utf-8") if isinstance(pattern.pattern, bytes) else text
    if use == "match":
        return cpu_time(lambda: pattern.match(given))
    if use == "fullmatch":
        return cpu_time(lambda: pattern.fullmatch(given))
    return cpu_time(lambda: sum(1 for _ in pattern.finditer(given)))


@pytest.mark.parametrize("bad", [r"\s+$", r"<a[^>]+>", r"a.*?b"])
def test_a_bad_expression_would_be_found(bad: str) -> None:
    pattern = re.compile(bad, re.DOTALL)
    with pytest.raises(AssertionError):
        measure(pattern, "search", tries=1)
