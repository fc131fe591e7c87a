"""Offers → the tools of a chat completions request."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.core.json_encoding import to_json
from antiphon.core.tools.offers import Offer

MOST_KNOWN = 1024
MOST_LISTS = 32
LONGEST_LIST = 128 * 1024
"""Bytes of a list of tools that is kept."""

# What is kept holds its offers: while it does, no other ones have their identities.
_known: dict[int, tuple[Offer, bytes]] = {}
_lists: dict[tuple[int, int], tuple[list[Offer], bytes]] = {}


def chat_tools(offers: Iterable[Offer]) -> bytes:
    """Return offers as a JSON array. Clients send the same tools with every request: those are encoded once."""
    listed = list(offers)
    key = id(listed[0]) if listed else 0, len(listed)
    known = _lists.get(key)
    if known is not None and known[0] == listed:
        return known[1]
    tools = b"[%b]" % b",".join([chat_tool(offer) for offer in listed])
    if len(tools) <= LONGEST_LIST and all(offer.lasting for offer in listed):
        if len(_lists) >= MOST_LISTS:
            _lists.clear()
        _lists[key] = listed, tools
    return tools


def chat_tool(offer: Offer) -> bytes:
    """Return an offer as JSON, and keep that where the same offer comes again."""
    known = _known.get(id(offer))
    if known is not None and known[0] is offer:
        return known[1]
    tool = b'{"type":"function","function":{"name":%b,"description":%b,"parameters":%b%b}}' % (
        to_json(offer.name),
        to_json(offer.description),
        bytes(offer.parameters),
        b',"strict":true' if offer.strict else b"",
    )
    if offer.lasting:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[id(offer)] = offer, tool
    return tool
