"""Compaction: asks the model for a summary that replaces a conversation (`/responses/compact`, `compaction_trigger`,
`context_management`)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from antiphon.backends.base import Route, read
from antiphon.core import compaction
from antiphon.core.compaction import Compacted
from antiphon.core.deltas import TextDelta, UsageReport
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import PLAIN
from antiphon.core.request.validation import decode
from antiphon.core.turn import NO_OPTIONS, Turn
from antiphon.errors import BackendError, InvalidRequest
from antiphon.responses.sealing import Sealer, SealError
from antiphon.responses.unsealing import AT_ONCE
from antiphon.types.items import Item, Message
from antiphon.types.request import Positive
from antiphon.types.response import Usage


class Summary(msgspec.Struct, frozen=True):
    """The model's summary and its token usage."""

    text: str
    usage: Usage | None


async def summarise(route: Route, turn: Turn, items: Sequence[Item]) -> Summary:
    """Ask the model for a summary of the items. Raises BackendError, also where it wrote nothing."""
    asked = [*items, Message(role="user", content=turn.options.summary_prompt or compaction.PROMPT)]
    request = msgspec.structs.replace(
        turn,
        items=asked,
        options=NO_OPTIONS,
        tools=(),
        tool_choice="auto",
        text=PLAIN,
        max_output_tokens=None,
        reasoning_effort=None,
        stream=True,
    )
    pieces: list[str] = []
    usage: Usage | None = None
    stream = await route.open(request)
    try:
        while deltas := await read(stream):
            for delta in deltas:
                if isinstance(delta, TextDelta):
                    pieces.append(delta.text)
                elif isinstance(delta, UsageReport):
                    usage = delta.usage
    finally:
        stream.abort()
    text = "".join(pieces).strip()
    if not text:
        raise BackendError(502, "The model wrote no summary of the conversation.")
    return Summary(text, usage)


async def sealed_compaction(sealer: Sealer, compacted: Compacted, owner: str) -> str:
    """Return the seal of what replaces a conversation; a large one is made in a thread. Raises InvalidRequest."""
    text = to_json(compacted).decode()
    try:
        if len(text) > AT_ONCE or not sealer.loaded:
            return await asyncio.to_thread(sealer.seal, text, "compaction", owner)
        return sealer.seal(text, "compaction", owner)
    except SealError as error:
        raise InvalidRequest(f"The rest of the conversation is too large to compact: {error}", param="input") from None


def threshold(context_management: Raw | None) -> int | None:
    """Return the token threshold of a request's `context_management`, if it asks for compaction. Raises InvalidRequest."""
    if context_management is None:
        return None
    for rule in decode(_rules, context_management, "context_management"):
        if rule.type == "compaction":
            return rule.compact_threshold or DEFAULT_THRESHOLD
    return None


DEFAULT_THRESHOLD = 100_000


class _Rule(msgspec.Struct):
    type: str
    compact_threshold: Positive | None = None


_rules = msgspec.json.Decoder(list[_Rule])
