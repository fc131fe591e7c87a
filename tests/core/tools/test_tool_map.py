"""Tool declarations ↔ functions."""

from __future__ import annotations

from json import dumps, loads
from typing import Any

import msgspec
import pytest

from antiphon.core.request.decoding import decode_items
from antiphon.core.request.tool_decoding import decode_tools
from antiphon.core.tools import tool_map
from antiphon.core.tools.choices import choose
from antiphon.core.tools.tool_map import Offer, Target, ToolMap, ignored_tools
from antiphon.errors import InvalidRequest
from antiphon.types.tools import ToolChoice

Json = dict[str, Any]


def raws(values: list[Json]) -> list[msgspec.Raw]:
    return [msgspec.Raw(dumps(value).encode()) for value in values]


def mapped(tools: list[Json], items: list[Json] | None = None, **fields: Any) -> ToolMap:
    return ToolMap(decode_tools(raws(tools)), decode_items(raws(items or [])), **fields)


def function(name: str, **fields: Any) -> Json:
    return {"type": "function", "name": name, **fields}


def test_names_are_made_fit_and_found_again() -> None:
    tools = [function("a.b"), function("a_b"), function("x" * 100), {"type": "custom", "name": "a_b"}]
    tools.append({"type": "namespace", "name": "mcp", "tools": [function("y" * 70), function("a_b")]})
    map = mapped(tools)
    names = list(map.offers)
    assert (names[0], names[5]) == ("a_b", "mcp__a_b")
    assert len(names) == 6 and all(len(name) <= 64 for name in names)
    assert [map.target(name) for name in names] == [
        Target("function", "a.b"),
        Target("function", "a_b"),
        Target("function", "x" * 100),
        Target("custom", "a_b"),
        Target("function", "y" * 70, "mcp"),
        Target("function", "a_b", "mcp"),
    ]
    assert names == list(mapped(tools).offers)


def test_a_name_that_nobody_declared() -> None:
    map = mapped([function("a")])
    assert map.target("b") == Target("function", "b")
    assert map.name_of(Target("function", "gone.tool", "ns")) == "ns__gone_tool"


def test_hosted_tools_are_dropped_visibly() -> None:
    tools = [
        {"type": "web_search"},
        {"type": "web_search"},
        {"type": "file_search", "vector_store_ids": []},
        {"type": "shell"},
    ]
    tools += [{"type": "mcp", "server_label": "s"}, {"type": "tool_search"}]
    assert (
        mapped(tools).ignored
        == ignored_tools(decode_tools(raws(tools)))
        == ["web_search", "file_search", "tool_search"]
    )


def test_a_custom_tool_takes_one_string() -> None:
    format = {"type": "grammar", "syntax": "regex", "definition": "a+"}
    (offer,) = mapped([{"type": "custom", "name": "c", "description": "Does c.", "format": format}]).offers.values()
    assert loads(bytes(offer.parameters))["required"] == ["input"]
    assert offer.description == "Does c.\n\nThe input matches this regular expression:\na+"


@pytest.mark.parametrize("choice", ["required", ToolChoice(type="allowed_tools", mode="required", tools=[])], ids=str)
@pytest.mark.parametrize("tool", [function("a"), {"type": "custom", "name": "a"}, {"type": "shell"}], ids=str)
def test_a_call_of_what_only_programs_may_call_is_not_forced(tool: Json, choice: str | ToolChoice) -> None:
    """The refusal says what was asked for, and why nothing can be called."""
    declared = decode_tools(raws([{**tool, "allowed_callers": ["programmatic"]}]))
    asked = choice if isinstance(choice, str) else choice.type
    with pytest.raises(InvalidRequest, match=f"'{asked}'.*allowed_callers") as caught:
        choose(choice, ToolMap(declared, []), declared)
    assert (caught.value.param, caught.value.code) == ("tool_choice", "tool_not_available")


@pytest.mark.parametrize(
    "tools",
    [
        [function(f"f{number}") for number in range(20)],
        [function("a"), function("a")],
        [function("a"), function("a", description="another")],
        [function("a b"), function("a_b")],
        [function("a", allowed_callers=["programmatic"]), function("b")],
        [function("a", defer_loading=True), function("b")],
        [function("a"), {"type": "custom", "name": "c"}],
    ],
    ids=str,
)
def test_a_list_that_comes_again_is_offered_as_before(tools) -> None:
    """What one request restricts, asks for or is brought by its items is not the next one's."""

    def seen(made: ToolMap) -> object:
        return list(made.offers.items()), made._targets, made.ignored

    tool_map._known_lists.clear()
    first = seen(mapped(tools))
    for strict in (True, False, True):
        alone = mapped(tools, strict=strict)
        tool_map._known_lists.clear()
        assert seen(alone) == seen(mapped(tools, strict=strict)) == seen(mapped(tools, strict=strict))
    again = mapped(tools)
    again.restrict(list(again.offers.values())[:1])
    again.offers.clear()
    again._targets.clear()
    assert seen(mapped(tools)) == first
    assert len(tool_map._known_lists) <= tool_map.MOST_LISTS


def test_missing_parameters_and_strictness() -> None:
    tools = [function("a", strict=True), function("b", parameters=None)]
    offers = mapped(tools).offers.values()
    assert [loads(bytes(offer.parameters)) for offer in offers] == [{"type": "object", "properties": {}}] * 2
    assert [offer.strict for offer in offers] == [True, False]
    assert not mapped(tools, strict=False).offers["a"].strict


def test_a_namespace_is_described_once() -> None:
    inner = [function("a", description="A."), function("b", description="B.")]
    offers = mapped([{"type": "namespace", "name": "n", "description": "About n.", "tools": inner}]).offers
    assert [offer.description for offer in offers.values()] == [
        "(n: About n.)\nA.",
        "B.",
    ]


SEARCH = {"type": "tool_search", "execution": "client", "description": "Find."}
DEFERRED = function("late", defer_loading=True)


def test_deferred_tools_wait_until_they_are_found() -> None:
    assert list(mapped([DEFERRED, SEARCH]).offers) == ["tool_search"]
    found = {"type": "tool_search_output", "call_id": "c", "tools": [DEFERRED]}
    assert list(mapped([DEFERRED, SEARCH], [found]).offers) == ["tool_search", "late"]
    assert list(mapped([DEFERRED]).offers) == ["late"], "with nobody to search, they are offered at once"


def test_tools_that_come_as_items() -> None:
    item = {"type": "additional_tools", "role": "developer", "tools": [function("a"), {"type": "shell"}]}
    map = mapped([function("a")], [item])
    assert list(map.offers) == ["a", "shell"] and map.target("shell").kind == "shell"


def test_tools_of_servers() -> None:
    map = mapped([], served=[Offer(target=Target("mcp", "do.it", "my server"), description="D")])
    assert list(map.offers) == ["my_server__do_it"]
    assert map.target("my_server__do_it") == Target("mcp", "do.it", "my server")


def test_offers_are_found_and_restricted() -> None:
    map = mapped(
        [function("a"), {"type": "custom", "name": "b"}, {"type": "namespace", "name": "n", "tools": [function("c")]}]
    )
    by_name = map.find("c")
    assert by_name is not None and by_name.name == "n__c"
    assert map.find("a", "custom") is None and map.find("c", "function", "other") is None
    map.restrict([by_name])
    assert list(map.offers) == ["n__c"] and map.name_of(Target("custom", "b")) == "b"


def test_lists_of_tools_that_are_known_have_a_number() -> None:
    """By it two maps are known to give the same names; what else is offered, or left out, takes it away."""
    same = [function(f"known_{number}") for number in range(3)]
    first, second, third = (mapped(same) for _ in range(3))
    assert first.list_number == second.list_number != 0
    others = mapped(same[:2]), mapped(same, strict=False)
    assert len({first.list_number, *[one.list_number for one in others]}) == 3
    third.restrict(list(third.offers.values())[:1])
    found = {"type": "tool_search_output", "call_id": "c", "tools": [function("later")]}
    assert third.list_number == mapped(same, [found]).list_number == mapped([]).list_number == 0
