"""Offers → the tools of a chat completions request."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.core.json_encoding import to_json
from antiphon.core.tools.offers import Offer

MOST_KNOWN = 1024

_known: dict[int, tuple[Offer, bytes]] = {}


def chat_tools(offers: Iterable[Offer]) -> bytes:
    """Return offers as a JSON array. One is encoded once where the same offer comes again and again."""
    find = _known.get
    tools = [
        known[1] if (known := find(id(offer))) is not None and known[0] is offer else chat_tool(offer)
        for offer in offers
    ]
    return b"[%b]" % b",".join(tools)


def chat_tool(offer: Offer) -> bytes:
    """Return an offer as JSON, and keep that where the same offer comes again."""
    tool = b'{"type":"function","function":{"name":%b,"description":%b,"parameters":%b%b}}' % (
        to_json(offer.name),
        to_json(offer.description),
        bytes(offer.parameters),
        b',"strict":true' if offer.strict else b"",
    )
    if offer.lasting:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[id(offer)] = offer, tool  # the offer is kept: while it is, no other one has its identity
    return tool
