"""`context_management`: edits of a conversation before the model sees it. Pure.

Older thoughts are left out, older results of tools are cleared, and beyond a number of tokens the conversation is compacted.
Tokens are estimated: a token has about four characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.core.json_encoding import to_json
from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.types.items import FunctionCall, FunctionCallOutput, Item, Message, OtherItem, Reasoning
from antiphon.types.raw import JsonText

CLEARED = "[cleared]"
"""What the model sees of a result that was cleared."""

CLEAR_THINKING, CLEAR_TOOLS, COMPACT = "clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112"
MOST_EDITS = 16
CHARACTERS_OF_TOKEN = 4
TOKENS_OF_MEDIA = 1000
TRIGGER_TOKENS, COMPACT_TOKENS, KEPT_USES = 100_000, 150_000, 3


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """A number of something: tokens, tool uses, turns."""

    type: str = ""
    value: int = 0


class ContextEdit(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of all edits; which of them count says the type."""

    type: str
    keep: Amount | Literal["all"] | None = None
    trigger: Amount | None = None
    clear_at_least: Amount | None = None
    exclude_tools: list[str] | None = None
    clear_tool_inputs: bool | list[str] | None = None
    instructions: str | None = None
    pause_after_compaction: bool | None = None


class ContextManagement(msgspec.Struct, frozen=True, kw_only=True):
    """`context_management`."""

    edits: list[ContextEdit] | None = None


class WantedCompaction(msgspec.Struct, frozen=True):
    """When the conversation is compacted, how, and whether the answer ends with that."""

    threshold: int
    instructions: str = ""
    pauses: bool = False

    @property
    def rule(self) -> Raw:
        """The same as the Responses API has it."""
        return Raw(to_json([{"type": "compaction", "compact_threshold": self.threshold}]))


class Edited(msgspec.Struct, frozen=True):
    """Items, each with its source, the edits that were applied, and the compaction that is wanted."""

    items: list[Item]
    sources: list[Any]
    applied: list[dict[str, object]]
    compaction: WantedCompaction | None = None


_management = msgspec.json.Decoder(ContextManagement)


def edited(raw: Raw, items: list[Item], sources: list[Any], ignored: dict[str, None]) -> Edited:
    """Apply the edits of a request, in their order. Raises InvalidRequest."""
    edits = decode(_management, raw, "context_management").edits or []
    if len(edits) > MOST_EDITS:
        raise InvalidRequest(f"at most {MOST_EDITS} edits are allowed", param="context_management.edits")
    applied: list[dict[str, object]] = []
    compaction = None
    for edit in edits:
        if edit.type == CLEAR_THINKING:
            items, sources, done = _without_thoughts(edit, items, sources)
        elif edit.type == CLEAR_TOOLS:
            items, done = _with_cleared_results(edit, items)
        elif edit.type == COMPACT:
            most = edit.trigger.value if edit.trigger is not None and edit.trigger.value > 0 else COMPACT_TOKENS
            compaction = WantedCompaction(most, edit.instructions or "", edit.pause_after_compaction is True)
            continue
        else:
            ignored[f"context_management.{edit.type[:64]}"] = None
            continue
        if done:
            applied.append({"type": edit.type, **done})
    return Edited(items, sources, applied, compaction)


def _without_thoughts(
    edit: ContextEdit, items: list[Item], sources: list[Any]
) -> tuple[list[Item], list[Any], dict[str, object]]:
    """Leave out the thoughts of all but the last answers that have any. What a user says begins another answer."""
    keep = edit.keep if edit.keep is not None else Amount(type="thinking_turns", value=1)
    if not isinstance(keep, Amount) or keep.type == "all":
        return items, sources, {}
    turns: list[list[int]] = [[]]
    for index, item in enumerate(items):
        if isinstance(item, Message) and item.role == "user":
            turns.append([])
        elif isinstance(item, Reasoning):
            turns[-1].append(index)
    thinking = [turn for turn in turns if turn]
    old = thinking[: -keep.value] if keep.value > 0 else thinking
    gone = {index for turn in old for index in turn}
    if not gone:
        return items, sources, {}
    left = [index for index in range(len(items)) if index not in gone]
    tokens = sum(_tokens(items[index]) for index in gone)
    told: dict[str, object] = {"cleared_thinking_turns": len(old), "cleared_input_tokens": tokens}
    return [items[index] for index in left], [sources[index] for index in left], told


def _with_cleared_results(edit: ContextEdit, items: list[Item]) -> tuple[list[Item], dict[str, object]]:
    """Clear the results of all but the last tool uses, once the conversation has grown so large."""
    names = {item.call_id: item.name for item in items if isinstance(item, FunctionCall)}
    uses = [index for index, item in enumerate(items) if _holds_result(item)]
    if not _triggered(edit.trigger, len(uses), items):
        return items, {}
    keep = edit.keep.value if isinstance(edit.keep, Amount) else KEPT_USES
    excluded = frozenset(edit.exclude_tools or ())
    cleared = [
        index
        for index in (uses[:-keep] if keep > 0 else uses)
        if names.get(_call_id(items[index])) not in excluded
        and _tokens(items[index]) > 0
        and not _is_cleared(items[index])
    ]
    ids = {_call_id(items[index]) for index in cleared}
    inputs = edit.clear_tool_inputs
    wiped = {
        index
        for index, item in enumerate(items)
        if isinstance(item, FunctionCall)
        and item.call_id in ids
        and (inputs is True or (isinstance(inputs, list) and item.name in inputs))
    }
    tokens = sum(_tokens(items[index]) for index in (*cleared, *wiped))
    least = edit.clear_at_least.value if edit.clear_at_least is not None else 0
    if not cleared or tokens < least:
        return items, {}
    edited = list(items)
    for index in cleared:
        edited[index] = _cleared(items[index])
    for index in wiped:
        item = items[index]
        edited[index] = replace(item, arguments="{}") if isinstance(item, FunctionCall) else item
    return edited, {"cleared_tool_uses": len(cleared), "cleared_input_tokens": tokens}


def _triggered(trigger: Amount | None, uses: int, items: Sequence[Item]) -> bool:
    if trigger is not None and trigger.type == "tool_uses":
        return uses > trigger.value
    most = trigger.value if trigger is not None else TRIGGER_TOKENS
    return sum(map(_tokens, items)) > most


def _cleared(item: Item) -> Item:
    if isinstance(item, OtherItem):
        return replace(item, seen=(CLEARED,))
    return replace(item, output=CLEARED) if isinstance(item, FunctionCallOutput) else item


def _holds_result(item: Item) -> bool:
    """Tell whether an item is the result of a client's tool, or a call of a server's with its own."""
    return isinstance(item, FunctionCallOutput) or (isinstance(item, OtherItem) and bool(item.seen))


def _call_id(item: Item) -> str:
    return item.call_id if isinstance(item, FunctionCallOutput) else ""


def _is_cleared(item: Item) -> bool:
    if isinstance(item, OtherItem):
        return item.seen == (CLEARED,)
    return isinstance(item, FunctionCallOutput) and item.output == CLEARED


def _tokens(item: Item) -> int:
    """Estimate the tokens of an item."""
    media = 0
    match item:
        case Message():
            size, media = _size(item.content)
        case FunctionCallOutput():
            size, media = _size(item.output)
        case FunctionCall():
            size = len(item.name) + len(item.arguments)
        case Reasoning():
            sealed = item.encrypted_content
            texts = sum(len(part.text) for part in item.content or ())
            size = texts or (len(sealed) if isinstance(sealed, str) else 0)
        case OtherItem():
            size = len(bytes(item.raw)) + sum(map(len, item.seen))
        case _:
            size = 0
    return size // CHARACTERS_OF_TOKEN + media * TOKENS_OF_MEDIA


def _size(content: str | JsonText | Sequence[Any]) -> tuple[int, int]:
    if isinstance(content, str | JsonText):
        return len(str(content)), 0
    texts = [text for part in content if isinstance(text := getattr(part, "text", None), str)]
    return sum(map(len, texts)), len(content) - len(texts)
