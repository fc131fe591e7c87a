"""Tests that need a part of the machine: skipped with a reason where it is missing, failed in CI, left out on purpose by name."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.needs import FIXTURES, NEEDS, judge, left_out, needed

ROOT = Path(__file__).parents[1]


def missing(name: str) -> bool:
    """Say that nothing is here."""
    return False


@pytest.mark.parametrize("name", NEEDS)
def test_a_missing_part_skips_with_its_reason(name: str) -> None:
    with pytest.raises(pytest.skip.Exception, match=re.escape(NEEDS[name].reason)):
        judge(name, {}, missing)
    judge(name, {"CI": "true"}, lambda name: True)


@pytest.mark.parametrize("name", NEEDS)
def test_in_ci_a_missing_part_fails_unless_the_system_cannot_have_it(name: str) -> None:
    expected = pytest.skip.Exception if NEEDS[name].system else pytest.fail.Exception
    with pytest.raises(expected, match=re.escape(NEEDS[name].reason)):
        judge(name, {"CI": "true"}, missing)


def test_parts_are_left_out_by_name_in_ci_too() -> None:
    environment = {"CI": "true", "TESTS_WITHOUT": "mount, chromium"}
    assert left_out(environment) == {"mount", "chromium"}
    with pytest.raises(pytest.skip.Exception, match="left out by TESTS_WITHOUT"):
        judge("chromium", environment, lambda name: True)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(pytest.UsageError, match="not among"):
        judge("chrome", {})
    with pytest.raises(pytest.UsageError, match="not among"):
        left_out({"TESTS_WITHOUT": "chrome"})


def test_markers_and_fixtures_tell_what_a_test_needs() -> None:
    item: Any = SimpleNamespace(
        iter_markers=lambda name: iter([SimpleNamespace(args=("mcp", "linux")), SimpleNamespace(args=("mcp",))]),
        fixturenames=["tmp_path", *FIXTURES],
    )
    assert needed(item) == ["mcp", "linux", *FIXTURES.values()]


def test_every_need_is_somebodys() -> None:
    text = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__))
    marked = {name for names in re.findall(r"\.needs\(([^)]*)\)", text) for name in re.findall(r'"(\w+)"', names)}
    assert marked | set(FIXTURES.values()) == set(NEEDS)
