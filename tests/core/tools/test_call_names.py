"""Names that models make up: each is taken for the one offer that it can mean, or left as it is."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.core.tools.call_names import CallNames
from antiphon.core.tools.offers import Offer, Target
from antiphon.core.tools.tool_map import ToolMap
from tests.core.tools.test_tool_map import function, mapped
from tests.growth import assert_linear, cpu_time

TOOLS: list[dict[str, Any]] = [
    function("read"),
    function("write_file"),
    function("Shell"),
    function("mcp__db__run_query"),
    function("Toolbox_execute_script"),
    function("dry_run"),
    function("analysis"),
    function("fs.list"),
    {"type": "custom", "name": "apply_patch"},
    {"type": "namespace", "name": "mcp__web", "tools": [function("search"), function("fetch")]},
    {"type": "namespace", "name": "mcp__mail", "tools": [function("search"), function("send")]},
]


@pytest.fixture(scope="module")
def tools() -> ToolMap:
    return mapped(TOOLS)


SPELLINGS = {
    "a token of the template behind it": ("read<|channel|>commentary", "read"),
    "an end that is no token": ("read<arg_key>path", "read"),
    "a token cut in the middle": ("read<|chan", "read"),
    "tokens before it": ("<|start|>assistant<|channel|>commentary to=functions.read", "read"),
    "the header's words": ("commentary to=functions.write_file json", "write_file"),
    "a prefix": ("functions.read", "read"),
    "prefixes": ("default_api.functions.read", "read"),
    "another mark behind the prefix": ("default_api:write_file", "write_file"),
    "an underscore behind the prefix": ("functions_read", "read"),
    "a number": ("read:0", "read"),
    "a prefix, a number": ("functions.read:301", "read"),
    "a prefix, a number, a token": ("functions.read:0<|tool_call_argument_begin|>{}", "read"),
    "blanks": (" read\n", "read"),
    "quotes": ('"read"', "read"),
    "a call in code": ("print(default_api.write_file(path", "write_file"),
    "parentheses": ("read()", "read"),
    "capitals": ("READ", "read"),
    "humps": ("WriteFile", "write_file"),
    "small letters": ("shell", "Shell"),
    "hyphens": ("write-file", "write_file"),
    "a custom tool": ("functions.apply_patch", "apply_patch"),
    "the declared name": ("fs.list", "fs_list"),
    "a word that is a name too": ("analysis", "analysis"),
    "the name without its toolbox": ("execute_script", "Toolbox_execute_script"),
    "the name without its server": ("run_query", "mcp__db__run_query"),
    "a part of the server's name": ("db.run_query", "mcp__db__run_query"),
    "a bare name of a namespace": ("fetch", "mcp__web__fetch"),
    "a point behind the namespace": ("mcp__web.fetch", "mcp__web__fetch"),
    "a hyphen behind the namespace": ("mcp__web-fetch", "mcp__web__fetch"),
    "a slash behind the namespace": ("mcp__web/fetch", "mcp__web__fetch"),
    "one underscore everywhere": ("mcp_web_fetch", "mcp__web__fetch"),
    "the end of the namespace": ("web__fetch", "mcp__web__fetch"),
    "all at once": ("functions.mcp__web.fetch:12<|channel|>commentary", "mcp__web__fetch"),
    "two namespaces, but only one of them meant": ("mail.search", "mcp__mail__search"),
}


@pytest.mark.parametrize(("called", "meant"), SPELLINGS.values(), ids=SPELLINGS)
def test_a_name_is_taken_for_the_offer_that_is_meant(tools: ToolMap, called: str, meant: str) -> None:
    offer = tools.meant(called)
    assert offer is tools.offers[meant] and tools.target(called) == offer.target


UNKNOWN = {
    "nothing like it": "delete",
    "two namespaces have it": "search",
    "one word at the end of a name": "run",
    "another namespace": "calendar.fetch",
    "a longer name": "reader",
    "a channel without a name": "<|channel|>commentary",
    "blanks alone": " ",
    "nothing": "",
    "a token alone": "<|x|>",
    "too long": "read" + "<" * 600,
}


@pytest.mark.parametrize("called", UNKNOWN.values(), ids=UNKNOWN)
def test_what_nobody_can_have_meant_stays_as_it_is(tools: ToolMap, called: str) -> None:
    assert tools.meant(called) is None
    assert tools.target(called) == Target("function", called)


def test_an_offer_that_is_named_as_it_was_offered_comes_first() -> None:
    tools = mapped([function("functions.read"), function("read"), function("READ"), function("read:0")])
    assert [tools.target(name).name for name in tools.offers] == ["functions.read", "read", "READ", "read:0"]
    assert tools.target("read:0").name == "read:0" and tools.target("functions.read").name == "functions.read"
    assert tools.meant("Read") is None, "two are spelled so"


@pytest.mark.parametrize(
    "called", ["do.it", "do_it", "my server.do.it", "functions.my_server__do_it:0", "my-server-do-it"]
)
def test_a_tool_of_a_server_is_meant_too(called: str) -> None:
    tools = mapped([function("other")], served=[Offer(target=Target("mcp", "do.it", "my server"))])
    assert tools.target(called) == Target("mcp", "do.it", "my server")


def test_only_what_is_offered_can_be_meant() -> None:
    tools = mapped(TOOLS)
    assert tools.meant("functions.read") is not None
    tools.restrict([tools.offers["write_file"]])
    assert tools.meant("functions.read") is None and tools.meant("functions.write_file") is not None
    assert mapped([]).meant("functions.read") is None


def test_a_history_shows_names_that_are_offered(tools: ToolMap) -> None:
    def shown(name: str, namespace: str | None = None) -> str:
        return tools.name_of(Target("function", name, namespace))

    assert shown("read<|channel|>commentary") == "read" and shown("functions.read:0") == "read"
    assert shown("mcp__web__fetch") == shown("mcp__web.fetch") == shown("fetch", "mcp__web") == "mcp__web__fetch"
    assert shown("fetch") == "fetch", "a tool that was there earlier keeps its name"
    assert shown("gone.tool") == "gone_tool"
    assert tools.name_of(Target("shell", "read:0")) == "read_0", "a tool of another kind is another one"


def test_many_offers_and_many_unknown_names_are_cheap() -> None:
    def cost(size: int) -> float:
        words = [f"get_some_{number}_thing_for_you" for number in range(size)]
        offers = [Offer(target=Target("function", name, "mcp__server"), name=f"mcp__server__{name}") for name in words]
        hostile = [f"functions.functions.a_b<|x|>to=to=to=c_d {number}" * 8 for number in range(size)]

        def work() -> None:
            names = CallNames(offers)
            assert not any(map(names.find, hostile))

        return cpu_time(work)

    assert_linear(cost, 250)
