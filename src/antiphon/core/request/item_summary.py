"""ItemSummary: what intake has to know of all items of a request, found in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.types.items import (
    CustomToolCallOutput,
    FunctionCallOutput,
    InputAudio,
    InputFile,
    InputImage,
    Item,
    Message,
)
from antiphon.types.raw import JsonText

MEDIA = frozenset((InputImage, InputFile, InputAudio))
"""The kinds of parts that are no text."""

_OUTPUTS = frozenset((FunctionCallOutput, CustomToolCallOutput))


class ItemSummary(msgspec.Struct, frozen=True):
    """Items at a glance: their `kinds`, the indexes of those whose content has media, the bytes of their long outputs' JSON."""

    kinds: frozenset[type]
    media: tuple[int, ...] = ()
    long: int = 0

    def with_more(self, items: Sequence[Item], first: int) -> ItemSummary:
        """Return the summary of these items and of further ones, of which the first has the index `first`."""
        more = summary_of(items, first)
        return ItemSummary(self.kinds | more.kinds, self.media + more.media, self.long + more.long)


ONE_TEXT = ItemSummary(frozenset((Message,)))
"""The summary of an input that is a string."""


def summary_of(items: Sequence[Item], first: int = 0) -> ItemSummary:
    """Return the summary of items, of which the first has the index `first`."""
    media: list[int] = []
    long = 0
    for index, item in enumerate(items, first):
        kind = type(item)
        if kind is Message:
            said = item.content  # type: ignore[union-attr]  # `type` narrows nothing, `isinstance` costs more
        elif kind in _OUTPUTS:
            said = item.output  # type: ignore[union-attr]  # as above
        else:
            continue
        if type(said) is JsonText:
            long += len(said.json)
        elif type(said) is list and not MEDIA.isdisjoint(map(type, said)):
            media.append(index)
    return ItemSummary(frozenset(map(type, items)), tuple(media), long)
