"""Whatever the newest `openai` package names has a row in docs/compatibility.md: what is new there is looked at, not overlooked.

The fields of each type of item and tool are recorded in package_fields.json. After a look at what is new:
`python -m tests.oracle.test_surface` writes it anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests import compatibility as rows
from tests.compatibility_events import EVENTS
from tests.oracle import package

RECORDED = Path(__file__).parent / "package_fields.json"
HAND_WRITTEN = {"any other"}


def named(kinds: Iterable[rows.Kind]) -> set[str]:
    """Return the names of some rows."""
    return {name for kind in kinds for name in kind.types.split(", ")} - HAND_WRITTEN


FIELDS = {field.name for field in rows.FIELDS}
ECHOED = {field.name for field in rows.FIELDS if field.echoed}
SURFACE: dict[str, tuple[Callable[[], set[str]], set[str]]] = {
    "request fields": (package.request_fields, FIELDS | named(rows.NESTED)),
    "fields within request fields": (package.nested_request_fields, named(rows.NESTED)),
    "fields of a response": (package.response_fields, ECHOED | named(rows.ANSWERED)),
    "values of include": (package.includables, named(rows.INCLUDES)),
    "items": (lambda: set(package.by_type(*package.ITEMS)), named(rows.ITEMS)),
    "tools": (lambda: set(package.by_type(*package.TOOLS)), named(rows.TOOLS)),
    "events": (lambda: set(package.by_type(*package.EVENTS)), named(EVENTS)),
}


@pytest.mark.parametrize("what", SURFACE)
def test_all_that_the_package_names_has_a_row(what: str) -> None:
    theirs, ours = SURFACE[what][0](), SURFACE[what][1]
    assert len(theirs) > 5
    assert not theirs - ours, f"{what} of the package without a row in tests/compatibility.py"


@pytest.mark.parametrize("what", ["fields within request fields", "values of include"])
def test_no_row_names_what_is_no_more(what: str) -> None:
    theirs, ours = SURFACE[what][0](), SURFACE[what][1]
    assert not ours - theirs - package.request_fields()


def fields_of_types() -> dict[str, dict[str, list[str]]]:
    return {
        "items": package.fields_by_type(*package.ITEMS),
        "tools": package.fields_by_type(*package.TOOLS),
    }


def test_the_fields_of_items_and_tools_are_those_that_were_looked_at() -> None:
    recorded = json.loads(RECORDED.read_text())
    for what, types in fields_of_types().items():
        new = {
            f"{type}: {field}"
            for type, fields in types.items()
            for field in fields
            if field not in recorded[what].get(type, ())
        }
        assert not new, f"fields of {what} that nobody has looked at"


def test_a_field_that_is_new_is_found() -> None:
    schema = {
        "properties": {"old": {"properties": {"new": {"type": "string"}}}, "list": {"items": {"$ref": "#/$defs/A"}}}
    }
    defs = {"A": {"properties": {"deep": {"$ref": "#/$defs/A"}}}}
    assert set(package.fields_within(schema, defs)) == {"old", "old.new", "list", "list[].deep"}


def test_the_package_is_new_enough() -> None:
    from importlib.metadata import version

    assert tuple(map(int, re.findall(r"\d+", version("openai"))[:2])) >= (3, 57)


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(fields_of_types(), indent=1) + "\n")
