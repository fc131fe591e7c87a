"""EncodedTexts: JSON of long texts that are written twice: to the backend and into the store, or by several requests."""

from __future__ import annotations

from antiphon.core.text.input_pieces import SharedInput
from antiphon.core.text.pieces import text_json

SHORTEST = 512
"""Characters from which on it is kept: a shorter one is encoded as fast."""


class EncodedTexts:
    """Encodes the long texts of one input once each. They are known by identity: texts of items are passed on as they are."""

    __slots__ = ("_known", "messages", "sent", "shared")

    def __init__(self, shared: SharedInput | None = None) -> None:
        """`shared`: what is stored of the input, where further requests may go on from it."""
        self.shared = shared
        # What codecs keep of what they have made of the items, for the next request: of messages, of items.
        self.messages: object = None
        self.sent: object = None
        self._known: dict[int, tuple[str, bytes]] = {}  # the text is kept, so that no other one has its identity

    def json_of(self, text: str) -> bytes:
        """Return a text as JSON."""
        if len(text) < SHORTEST:
            return text_json(text)
        known = self._known.get(id(text))
        if known is None:
            known = self._known[id(text)] = text, text_json(text)
        return known[1]
