"""Offers → the tools of a chat completions request."""

from __future__ import annotations

from antiphon.core.json_encoding import to_json
from antiphon.core.tools.offers import Offer

MOST_KNOWN = 1024

_known: dict[int, tuple[Offer, bytes]] = {}


def chat_tool(offer: Offer) -> bytes:
    """Return an offer as JSON; it is encoded once where the same offer comes again and again."""
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
        _known[id(offer)] = offer, tool  # the offer is kept: while it is, no other one has its identity
    return tool
