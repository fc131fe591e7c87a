"""Why a prompt cache was not used: the prompts of two responses compared. Pure.

A prefix cache is used as far as a prompt begins as an earlier one did: settings and tools stand in front of all items. What a
model sees of two items decides whether they are the same: ids, states and spellings of the API reach no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from antiphon.core.compaction import is_summary
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import BRINGERS
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    OtherItem,
    OutputText,
    Part,
    PlainText,
    Reasoning,
)
from antiphon.types.raw import JsonText
from antiphon.types.response import CacheDiagnostics, CacheHit, CacheMiss

BYTES_PER_TOKEN = 4

COMPACTED, CHANGED = "context_compacted", "input_changed"


class _EchoedText(msgspec.Struct):
    """`text` of a response."""

    format: Raw = Raw(b"")
    verbosity: str | None = None


_text_of = msgspec.json.Decoder(_EchoedText)


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """What decides which cached prefix a request can use. `tools` and `text` are JSON as a response repeats them, `tokens` those
    of the input, 0 where they are not known.

    `brought`: tools that items bring along stand in front as well. `compacted`: before the model is asked a summary takes the
    place of older items.
    """

    model: str
    key: str | None = None
    tier: str = ""
    tools: bytes | Raw = b"[]"
    text: bytes | Raw = b"{}"
    effort: str | None = None
    instructions: str | None = None
    items: Sequence[Item] = ()
    tokens: int = 0
    compacted: bool = False
    brought: bool = False


def diagnose(before: Prompt, now: Prompt) -> CacheDiagnostics:
    """Tell what kept a request from using the prefix that is cached of an earlier one; one difference, the first."""
    sizes = [len(bytes(before.tools)), *map(len, _pieces(before))]
    tokens = before.tokens or -(-sum(sizes) // BYTES_PER_TOKEN)
    settings = _settings(now)
    for reason, value in _settings(before).items():
        if value != settings[reason]:
            return CacheMiss(reason=reason, cache_missed_tokens=tokens, comparison_reusable_tokens=tokens)
    same, differs = _common(before, now)
    compacted = now.compacted or (differs and _summaries(now.items) > _summaries(before.items))
    if not differs and not compacted:
        return CacheHit()
    shared = sum(sizes[: same + 1])
    return CacheMiss(
        reason=COMPACTED if compacted else CHANGED,
        cache_missed_tokens=-(-tokens * (sum(sizes) - shared) // max(sum(sizes), 1)),
        comparison_reusable_tokens=tokens,
    )


def _settings(prompt: Prompt) -> dict[str, object]:
    """Return what stands before all items or decides where they are cached, by what a change of it is called."""
    text = _text_of.decode(prompt.text)
    return {
        "model_changed": prompt.model,
        "prompt_cache_key_changed": prompt.key,
        "service_tier_changed": prompt.tier,
        "tools_changed": (bytes(prompt.tools), _bringers(prompt) if prompt.brought else 0),
        "text_format_changed": bytes(text.format),
        "reasoning_effort_changed": prompt.effort,
        "verbosity_changed": text.verbosity,
    }


def _bringers(prompt: Prompt) -> int:
    return sum([type(item) is OtherItem and item.type in BRINGERS for item in prompt.items])


def _common(before: Prompt, now: Prompt) -> tuple[int, bool]:
    """Return how many pieces two prompts have in common at their beginning, and whether they differ behind these.

    Where one of them ends there, it is the beginning of the other.
    """
    same = 0
    for one, other in zip(_pieces(before), _pieces(now), strict=False):
        if one != other:
            return same, True
        same += 1
    return same, False


def _pieces(prompt: Prompt) -> Iterator[bytes]:
    """Yield what a model sees: the instructions, and then of each item. Thoughts do not count: most templates drop old ones."""
    yield _text(prompt.instructions or "")
    for item in prompt.items:
        if not isinstance(item, Reasoning):
            yield _seen(item)


def _summaries(items: Sequence[Item]) -> int:
    return sum([isinstance(item, Message) and item.role == "user" and is_summary(item) for item in items])


def _seen(item: Item) -> bytes:
    match item:
        case Message():
            return b"%b:%b" % (item.role.encode(), _content(item.content))
        case FunctionCall():
            return b"call:%b:%b" % (_text(item.name), _text(item.arguments))
        case CustomToolCall():
            return b"call:%b:%b" % (_text(item.name), _text(item.input))
        case FunctionCallOutput() | CustomToolCallOutput():
            return b"output:%b" % _content(item.output)
        case OtherItem():
            fields: dict[str, Any] = msgspec.json.decode(item.raw, type=dict[str, Raw])
            return to_json({name: value for name, value in fields.items() if name not in ("id", "status")})
    return to_json(item)


def _content(content: str | JsonText | Sequence[Part]) -> bytes:
    if isinstance(content, str | JsonText):
        return _text(str(content))
    texts = (InputText, OutputText, PlainText)
    return b"\x1f".join([_text(part.text) if isinstance(part, texts) else to_json(_unmarked(part)) for part in content])


def _unmarked(part: Part) -> Part:
    """Return a part without a breakpoint: where it stands reaches no model."""
    marked = isinstance(part, InputImage | InputFile) and part.prompt_cache_breakpoint is not UNSET
    return msgspec.structs.replace(part, prompt_cache_breakpoint=UNSET) if marked else part


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
