"""No call of a request's has so many arguments by name that CPython 3.11 passes them in a dict: that takes ten times as long."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.test_map import SOURCE

MOST = 30
"""On the stack of the interpreter: an argument takes one place, one by name takes two (`STACK_USE_GUIDELINE`)."""

RARE = frozenset(("composition/app.py", "server/api/log/shapes.py", "stores/open.py"))
"""What is called once, or for each line of a page that people look at."""


def large_calls(source: str) -> Iterator[int]:
    """Yield the lines with such calls."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and len(node.args) + 2 * len(node.keywords) > MOST:
            yield node.lineno


def test_such_a_call_is_found() -> None:
    names = ", ".join(f"a{number}=1" for number in range(15))
    assert [*large_calls(f"f(1, {names})"), *large_calls(f"f({names}, b=1)")] == [1, 1]
    assert not [*large_calls(f"f({names})")]


@pytest.mark.slow
def test_no_call_of_a_request_has_many_arguments_by_name() -> None:
    found = [
        f"{path}:{line}"
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).as_posix() not in RARE
        for line in large_calls(path.read_text())
    ]
    assert not found, "pass some of them apart (msgspec.structs.replace), or by place"
