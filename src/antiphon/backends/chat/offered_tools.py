"""Offers → the tools of a chat completions request."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.core.json_encoding import to_json
from antiphon.core.tools.offers import Offer
from antiphon.core.tools.schema_subsets import Subset
from antiphon.core.tools.schemas import parameters

MOST_LISTS = 32
LONGEST_LIST = 128 * 1024
"""Bytes of a list of tools that is kept."""

# What is kept holds its offers: while it does, no other ones have their identities.
_lists: dict[tuple[int, int, Subset], tuple[list[Offer], bytes]] = {}


def chat_tools(offers: Iterable[Offer], subset: Subset = "auto") -> bytes:
    """Return offers as a JSON array. Clients send the same tools with every request: those are encoded once."""
    listed = list(offers)
    key = id(listed[0]) if listed else 0, len(listed), subset
    known = _lists.get(key)
    if known is not None and known[0] == listed:
        return known[1]
    tools = b"[%b]" % b",".join([chat_tool(offer, subset) for offer in listed])
    if len(tools) <= LONGEST_LIST and all(offer.forms is not None for offer in listed):
        if len(_lists) >= MOST_LISTS:
            _lists.clear()
        _lists[key] = listed, tools
    return tools


def chat_tool(offer: Offer, subset: Subset = "auto") -> bytes:
    """Return an offer as JSON; the same offer keeps it. Its parameters are in the subset of JSON Schema."""
    tool = offer.forms.get(subset) if offer.forms is not None else None
    if tool is None:
        tool = b'{"type":"function","function":{"name":%b,"description":%b,"parameters":%b%b}}' % (
            to_json(offer.name),
            to_json(offer.description),
            parameters(offer.parameters, subset),
            b',"strict":true' if offer.strict else b"",
        )
        if offer.forms is not None:
            offer.forms[subset] = tool
    return tool
