"""`configuration_update` items: settings that a conversation changes on its way, each in force until the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from antiphon.core.request.text_format import ResolvedText, resolve_text
from antiphon.core.request.validation import decode
from antiphon.types.items import Item, OtherItem
from antiphon.types.request import CreateResponse, ReasoningConfig, TextConfig

UPDATE = "configuration_update"


class _Effort(msgspec.Struct):
    effort: str | None = None


class _Update(msgspec.Struct):
    reasoning: _Effort | None = None
    text: TextConfig | None = None


_update = msgspec.json.Decoder(_Update)


def updated(request: CreateResponse, text: ResolvedText, items: Iterable[Item]) -> tuple[CreateResponse, ResolvedText]:
    """Return the request and its text format as the items have changed them. Raises InvalidRequest."""
    for item in items:
        if not (isinstance(item, OtherItem) and item.type == UPDATE):
            continue
        update = decode(_update, item.raw, "input")
        if update.reasoning is not None:
            reasoning = msgspec.structs.replace(request.reasoning or ReasoningConfig(), effort=update.reasoning.effort)
            request = msgspec.structs.replace(request, reasoning=reasoning)
        if update.text is not None:
            text = msgspec.structs.replace(resolve_text(update.text), verbosity=text.verbosity)
    return request, text
