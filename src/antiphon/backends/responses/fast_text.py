"""FastText: further pieces of one text, from a Responses backend's events to the client's frames, past Deltas and Events.

Most events of a stream are such pieces. The same indexes go on to the same part of the same item; what is in any way different
is left to the long way, which also joins the pieces from time to time.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.core.deltas import RelayedText
from antiphon.core.fast_path import FastPath, Straight
from antiphon.core.relay.parts import MOST_PIECES

_encode = msgspec.json.Encoder().encode


class FastText:
    """The text that Deltas `like` the last one go on with."""

    __slots__ = ("_left", "_straight", "like")

    def __init__(self, like: RelayedText, straight: Straight) -> None:
        self.like = like
        self._straight = straight
        self._left = MOST_PIECES

    @classmethod
    def of(cls, like: RelayedText, path: FastPath) -> FastText | None:
        """Return None where such a text is not open, or something has to look at its pieces."""
        straight = path.relayed(like) if like.text and not like.logprobs else None
        return cls(like, straight) if straight is not None else None

    def has_room(self, texts: Sequence[str]) -> bool:
        """Tell whether some pieces may go this way, before the next one goes the long way."""
        self._left -= len(texts)
        return self._left >= 0

    def write(self, texts: list[str]) -> bool:
        """Write pieces; False to pause."""
        if len(texts) == 1:
            return self._straight.one(texts[0], _encode(texts[0]))
        return self._straight.several(texts, [_encode(text) for text in texts])
