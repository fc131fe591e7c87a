"""Offers as chat completions say them."""

from __future__ import annotations

from json import loads

from msgspec import Raw
from msgspec.structs import replace

from antiphon.backends.chat import offered_tools
from antiphon.backends.chat.offered_tools import chat_tool, chat_tools
from antiphon.core.request.tool_decoding import decode_tool
from antiphon.core.tools.offers import Offer, Target
from antiphon.core.tools.tool_map import ToolMap

OFFER = Offer(target=Target("function", "a"), name="a", description='Does "a".', parameters=Raw(b'{"type":"object"}'))


def test_an_offer_as_json() -> None:
    function = {"name": "a", "description": 'Does "a".', "parameters": {"type": "object"}}
    assert loads(chat_tool(OFFER)) == {"type": "function", "function": function}
    assert loads(chat_tool(replace(OFFER, strict=True)))["function"]["strict"] is True


def test_what_comes_again_is_encoded_once() -> None:
    tool = decode_tool(b'{"type":"function","name":"again","parameters":{"type":"object"}}')
    first, second = (ToolMap([tool]).offers["again"] for _ in range(2))
    assert first is second and first.lasting
    assert loads(chat_tools([first, OFFER, second])) == [loads(chat_tool(one)) for one in (first, OFFER, second)]
    assert offered_tools._known[id(first)][0] is first
    assert id(OFFER) not in offered_tools._known, "one that is made for a single request is not kept"
    assert chat_tools([first]) is chat_tools([second])
    assert chat_tools([]) == b"[]"
    other = replace(first, description="Another.")
    assert chat_tools([other]) != chat_tools([first])


def test_the_memory_of_tools_is_bounded() -> None:
    for number in range(offered_tools.MOST_KNOWN + 10):
        chat_tool(replace(OFFER, name=f"n{number}", lasting=True))
        chat_tools([replace(OFFER, name=f"n{number}", lasting=True)])
    assert len(offered_tools._known) <= offered_tools.MOST_KNOWN
    assert len(offered_tools._lists) <= offered_tools.MOST_LISTS
