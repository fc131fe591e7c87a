"""Items: the units of a Response's input and output (Responses API, "Item").

One struct serves both directions. Decoding is lenient: unknown keys are ignored, `id` and `status` may be null.
Fields that must be absent rather than null on the wire default to `UNSET`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import force_setattr

from antiphon.types.raw import JsonText, settle_nulls, text_or

type_tag = {"tag_field": "type", "kw_only": True, "frozen": True}

Text = str | None | UnsetType


class CacheBreakpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Behind a part with it a prompt is to be cached; `ttl`: for how long at least."""

    mode: Literal["explicit"] = "explicit"
    ttl: Literal["30m", "12h"] | None | UnsetType = UNSET


class InputText(msgspec.Struct, tag="input_text", tag_field="type", kw_only=True, frozen=True):
    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None | UnsetType = UNSET


class PlainText(msgspec.Struct, tag="text", tag_field="type", kw_only=True, frozen=True):
    """Chat completions' spelling of a text part, which some clients send."""

    text: str


_NO_ENTRIES = Raw(b"[]")


class OutputText(msgspec.Struct, tag="output_text", tag_field="type", kw_only=True, frozen=True):
    text: str
    annotations: Raw = _NO_ENTRIES
    logprobs: Raw = _NO_ENTRIES

    def __post_init__(self) -> None:
        if self.annotations is not _NO_ENTRIES or self.logprobs is not _NO_ENTRIES:
            settle_nulls(self, _NO_ENTRIES, annotations=self.annotations, logprobs=self.logprobs)


class Refusal(msgspec.Struct, tag="refusal", tag_field="type", kw_only=True, frozen=True):
    refusal: str


class ReasoningText(msgspec.Struct, tag="reasoning_text", tag_field="type", kw_only=True, frozen=True):
    text: str


class SummaryText(msgspec.Struct, tag="summary_text", tag_field="type", kw_only=True, frozen=True):
    text: str


class InputImage(msgspec.Struct, tag="input_image", tag_field="type", kw_only=True, frozen=True):
    """An image: `image_url` is an http(s) or data URL; `file_id` names an uploaded file."""

    image_url: str | None | UnsetType = UNSET
    file_id: str | None | UnsetType = UNSET
    detail: str | None = "auto"
    prompt_cache_breakpoint: CacheBreakpoint | None | UnsetType = UNSET


class InputFile(msgspec.Struct, tag="input_file", tag_field="type", kw_only=True, frozen=True):
    """A file: `file_data` is a data URL or base64, `file_url` an http(s) URL."""

    file_id: str | None | UnsetType = UNSET
    filename: str | None | UnsetType = UNSET
    file_data: str | None | UnsetType = UNSET
    file_url: str | None | UnsetType = UNSET
    prompt_cache_breakpoint: CacheBreakpoint | None | UnsetType = UNSET


class AudioData(msgspec.Struct, frozen=True):
    data: str
    format: str


class InputAudio(msgspec.Struct, tag="input_audio", tag_field="type", kw_only=True, frozen=True):
    input_audio: AudioData


Part = InputText | PlainText | OutputText | Refusal | ReasoningText | SummaryText | InputImage | InputFile | InputAudio

_said = msgspec.json.Decoder(str | list[Part])

if TYPE_CHECKING:
    Said = str | JsonText | list[Part]
else:
    Said = Raw  # `text_or` makes of it what it is
"""What a call gave: a text, as JSON where it is long and came in a request, or parts."""

Role = Literal["user", "assistant", "system", "developer"]


Agent = Raw | UnsetType
"""The agent of several that an item comes from, as it came: for backends that run several agents."""


class Message(msgspec.Struct, tag="message", tag_field="type", kw_only=True, frozen=True):
    """A message of any role; `content` is a string only in a request."""

    id: Text = UNSET
    status: Text = UNSET
    role: Role
    content: str | list[Part]
    phase: Text = UNSET
    agent: Agent = UNSET


class Reasoning(msgspec.Struct, tag="reasoning", tag_field="type", kw_only=True, frozen=True):
    """A model's thoughts: `content` raw, `summary` for people, `encrypted_content` for the server alone.

    With `signature` and `format` OpenRouter knows its own thoughts again.
    """

    id: Text = UNSET
    summary: list[SummaryText] = []
    content: list[ReasoningText | PlainText] | None | UnsetType = UNSET
    encrypted_content: Text = UNSET
    status: Text = UNSET
    signature: Text = UNSET
    format: Text = UNSET
    agent: Agent = UNSET


class ToolCaller(msgspec.Struct, frozen=True):
    """Who made a call: the model (`direct`), or a program of it (`program`) by its `call_id`."""

    type: str
    caller_id: Text = UNSET


class FunctionCall(msgspec.Struct, tag="function_call", tag_field="type", kw_only=True, frozen=True):
    """A call of the client's function; `arguments` is JSON text. `asynchronous`: the model went on without its output."""

    id: Text = UNSET
    call_id: str
    name: str
    arguments: str
    status: Text = UNSET
    namespace: Text = UNSET
    caller: ToolCaller | None | UnsetType = UNSET
    agent: Agent = UNSET
    asynchronous: bool | UnsetType = msgspec.field(default=UNSET, name="async")


class FunctionCallOutput(msgspec.Struct, tag="function_call_output", tag_field="type", kw_only=True, frozen=True):
    id: Text = UNSET
    call_id: str
    output: Said
    status: Text = UNSET
    caller: ToolCaller | None | UnsetType = UNSET
    agent: Agent = UNSET

    def __post_init__(self) -> None:
        if type(json := self.output) is Raw:  # type: ignore[comparison-overlap]  # see Said
            force_setattr(self, "output", text_or(_said, json, "output"))


class UnnamedOutput(FunctionCallOutput, tag="function_call_output", tag_field="type", kw_only=True, frozen=True):
    """An output that names no call, but perhaps the function; its call is found where a request is taken in."""

    call_id: str = ""
    name: Text = UNSET
    namespace: Text = UNSET


class CustomToolCall(msgspec.Struct, tag="custom_tool_call", tag_field="type", kw_only=True, frozen=True):
    """A call of a custom (freeform) tool; `input` is raw text."""

    id: Text = UNSET
    call_id: str
    name: str
    input: str
    status: Text = UNSET
    namespace: Text = UNSET
    caller: ToolCaller | None | UnsetType = UNSET
    agent: Agent = UNSET
    asynchronous: bool | UnsetType = msgspec.field(default=UNSET, name="async")


class CustomToolCallOutput(msgspec.Struct, tag="custom_tool_call_output", tag_field="type", kw_only=True, frozen=True):
    id: Text = UNSET
    call_id: str
    output: Said
    status: Text = UNSET
    caller: ToolCaller | None | UnsetType = UNSET
    agent: Agent = UNSET

    def __post_init__(self) -> None:
        if type(json := self.output) is Raw:  # type: ignore[comparison-overlap]  # see Said
            force_setattr(self, "output", text_or(_said, json, "output"))


class ItemReference(msgspec.Struct, tag="item_reference", tag_field="type", kw_only=True, frozen=True):
    """Stands for the stored item of that id."""

    id: str


class OtherItem(msgspec.Struct, frozen=True):
    """An item of a type that has no struct of its own; kept as it came. `core.kinds` says how each type is read.

    `model_text` is what the model sees of it where the item itself does not say it; it goes to no client. `seen` are the parts
    of that as the client of another front end brought them: seals, which are opened with others, and texts.
    """

    type: str
    raw: Raw
    id: Text = UNSET
    model_text: Text = UNSET
    seen: tuple[str, ...] = ()


KnownItem = (
    Message | Reasoning | FunctionCall | FunctionCallOutput | CustomToolCall | CustomToolCallOutput | ItemReference
)
Item = KnownItem | OtherItem
Call = FunctionCall | CustomToolCall
CallOutput = FunctionCallOutput | CustomToolCallOutput


def release_body(items: Sequence[Item]) -> None:
    """Copy the JSON in items, which is a part of the body that they were read from: else whoever keeps one keeps all of that.

    The items are the same ones, and say the same.
    """
    for item in items:
        kind = type(item)
        if kind is OtherItem:
            force_setattr(item, "raw", item.raw.copy())  # type: ignore[union-attr]  # `type` narrows nothing
            continue
        if kind is Message and type(item.content) is list:  # type: ignore[union-attr]  # as above
            _release_parts(item.content)  # type: ignore[union-attr]  # as above
        elif kind is FunctionCallOutput or kind is CustomToolCallOutput:
            said = item.output  # type: ignore[union-attr]  # as above
            if type(said) is JsonText:
                said.json = said.json.copy()
            elif type(said) is list:
                _release_parts(said)
        if type(agent := getattr(item, "agent", UNSET)) is Raw:
            force_setattr(item, "agent", agent.copy())


def _release_parts(parts: Sequence[Part]) -> None:
    for part in parts:
        if type(part) is OutputText:
            for name in ("annotations", "logprobs"):
                json: Raw = getattr(part, name)
                if json is not _NO_ENTRIES:
                    force_setattr(part, name, json.copy() if len(json) > 2 else _NO_ENTRIES)
