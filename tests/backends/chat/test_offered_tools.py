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

SCHEMA = Raw(b'{"type":"object","properties":{}}')
OFFER = Offer(target=Target("function", "a"), name="a", description='Does "a".', parameters=SCHEMA)


def test_an_offer_as_json() -> None:
    function = {"name": "a", "description": 'Does "a".', "parameters": {"type": "object", "properties": {}}}
    assert loads(chat_tool(OFFER)) == {"type": "function", "function": function}
    assert loads(chat_tool(replace(OFFER, strict=True)))["function"]["strict"] is True


def test_what_comes_again_is_encoded_once() -> None:
    tool = decode_tool(b'{"type":"function","name":"again","parameters":{"type":"object","$schema":"s"}}')
    first, second = (ToolMap([tool]).offers["again"] for _ in range(2))
    assert first is second and first.forms is not None
    assert loads(chat_tools([first, OFFER, second])) == [loads(chat_tool(one)) for one in (first, OFFER, second)]
    assert chat_tool(first) is chat_tool(second)
    assert chat_tool(first, "keep") != chat_tool(first, "tidy"), "each subset has a form of its own"
    assert list(first.forms) == ["auto", "keep", "tidy"]
    assert OFFER.forms is None, "one that is made for a single request keeps nothing"
    assert chat_tools([first]) is chat_tools([second])
    assert chat_tools([first]) is not chat_tools([second], "keep")
    assert chat_tools([]) == b"[]"
    other = replace(first, description="Another.", forms={})
    assert chat_tools([other]) != chat_tools([first])


def test_the_memory_of_tools_is_bounded() -> None:
    for number in range(offered_tools.MOST_LISTS + 10):
        chat_tools([replace(OFFER, name=f"n{number}", forms={})])
    assert len(offered_tools._lists) <= offered_tools.MOST_LISTS
