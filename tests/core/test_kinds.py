"""The one table of kinds: what it says is whole, and nothing else says it again."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

import pytest

from antiphon.core import kinds
from antiphon.core.kind import ItemType, Kind
from antiphon.core.kinds import BY_NAME, ITEM_TYPES, KINDS, register
from antiphon.types.items import KnownItem
from antiphon.types.tools import KnownTool
from tests.package_source import modules, nodes, shown

TABLE = "core/kinds.py"

TYPES = {type for kind in KINDS for type in (*kind.declared, kind.owes, *(item.type for item in kind.items))} - {""}
TYPES |= {item.type for item in ITEM_TYPES}

# Modules that list types for a reason of their own.
OTHERS = {
    "core/tools/declared_defaults.py": "fields that a declaration may leave out, type by type",
    "backends/responses/items.py": "which fields OpenAI's document requires of an item",
    "server/messages/server_blocks.py": "how the calls of each kind look in another API",
    "server/pages/fields.py": "fields of a tool choice, in words",
    "core/relay/shapes.py": "what the items of another server have to hold, field by field",
}


def literals(tree: Sequence[ast.AST]) -> Iterator[tuple[int, set[str]]]:
    """Yield the strings that stand together in a set, a dict's keys, a list, a tuple, a match or a text of words."""
    hints = {id(node.slice) for node in tree if isinstance(node, ast.Subscript)}  # Literal["a", "b"]
    hints |= {id(node.value) for node in tree if isinstance(node, ast.Assign) and _is_slots(node)}
    for node in tree:
        found: list[ast.AST | None] = []
        if isinstance(node, ast.Set | ast.List | ast.Tuple) and id(node) not in hints:
            found = list(node.elts)
        elif isinstance(node, ast.Dict):
            found = list(node.keys)
        elif isinstance(node, ast.Match):
            patterns = [part for case in node.cases for part in ast.walk(case.pattern)]
            found = [part.value for part in patterns if isinstance(part, ast.MatchValue)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and set(node.value.split()) <= TYPES:
            yield node.lineno, set(node.value.split())
        strings = {one.value for one in found if isinstance(one, ast.Constant) and isinstance(one.value, str)}
        if strings:
            yield getattr(node, "lineno", 0), strings


def _is_slots(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "__slots__" for target in node.targets)


def test_no_other_module_holds_a_table_of_kinds() -> None:
    found = []
    for module in modules():
        name = shown(module)
        if name == TABLE or name in OTHERS:
            continue
        found += [
            f"{name}:{line}: {sorted(strings & TYPES)}"
            for line, strings in literals(nodes(module))
            if len(strings & TYPES) > 1
        ]
    assert not found, "ask core/kinds.py instead"


def test_mcp_is_spelled_in_its_row_and_its_folder() -> None:
    row = BY_NAME[kinds.MCP]
    types = {*row.declared, row.name, row.owes, *(item.type for item in row.items)}
    spelled = {}
    for module in modules():
        name = shown(module)
        constants = [node for node in nodes(module) if isinstance(node, ast.Constant)]
        if any(isinstance(node.value, str) and node.value in types for node in constants):
            spelled[name] = types
    allowed = {
        TABLE,
        *OTHERS,
        "types/tool_items.py",  # tags of the structs
        "tools/base.py",  # the same, of the declaration
        "config/tables.py",  # a kind of configured server
        "config/tools.py",  # what runs code: a tool of such a server
        "config/web_search.py",  # a provider: a tool of such a server
        "config/rules.py",  # the same
        "tools/web/search.py",  # the same
        "telemetry/log.py",  # a library's logger
    }
    assert {name for name in spelled if not name.startswith("tools/mcp/")} <= allowed


def test_the_table_knows_the_structs() -> None:
    def tags(union: object) -> set[str]:
        return {str(one.__struct_config__.tag) for one in union.__args__}  # type: ignore[attr-defined]

    assert {type for kind in KINDS if kind.own_struct for type in kind.declared} == tags(KnownTool)
    assert {item.type for item in kinds.ITEMS.values() if item.own} == tags(KnownItem)


def test_no_type_and_no_prefix_stands_twice() -> None:
    items = [*ITEM_TYPES, *(item for kind in KINDS for item in kind.items)]
    declared = [type for kind in KINDS for type in kind.declared]
    prefixes = [item.prefix for item in items if item.prefix]
    for names in ([item.type for item in items], declared, prefixes, [kind.name for kind in KINDS]):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_row_is_whole(kind: Kind) -> None:
    types = {item.type for item in kind.items}
    assert kind.call in types or not types
    assert not kind.owes or kind.owes in types
    assert kind.offer is None or kind.write is not None, "what a client runs and a model is offered has a writer"
    assert kind.runs != "server" or kind.serve is not None
    assert not (kind.write and kind.serve)
    if kind.write or kind.serve:
        assert kind.prefix
    if (kind.write or kind.serve) and not kind.own_struct:
        assert kind.call in kinds.READERS, "a model that made a call sees it again"


@pytest.mark.parametrize(
    "row",
    [
        Kind(name="shell"),
        Kind(name="other", declared=("web_search",)),
        Kind(name="other", items=(ItemType(type="message"),)),
    ],
)
def test_a_row_that_clashes_is_not_registered(row: Kind) -> None:
    with pytest.raises(ValueError, match="is there already"):
        register(row)
    assert "other" not in BY_NAME


def test_a_row_may_be_registered_again() -> None:
    register(BY_NAME["shell"])
