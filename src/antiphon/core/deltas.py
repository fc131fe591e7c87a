"""Deltas: all that a Backend can say in one Turn.

A Backend turns whatever its server speaks into these, and `ResponseStream.feed` turns these into Events.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from antiphon.core.opaque import Opaque
from antiphon.types.response import Usage

CallKind = str
"""The name of a kind of call: a row of `core.kinds`."""

AsyncTools = frozenset[tuple[CallKind, str | None, str]]
"""Kind, namespace and name of tools for whose output the model does not wait."""


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the answer. `logprobs` holds the pieces of a JSON array, without its brackets."""

    text: str
    logprobs: bytes = b""


class AnnotationDelta(msgspec.Struct, frozen=True, gc=False):
    """A citation in the text so far, as JSON: one of the Responses API's annotations."""

    annotation: bytes


class PictureDelta(msgspec.Struct, frozen=True, gc=False):
    """A picture that the model made, whole, in base64."""

    data: str


class RefusalDelta(msgspec.Struct, frozen=True, gc=False):
    text: str


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the model's raw thoughts."""

    text: str


class OpaqueDelta(msgspec.Struct, frozen=True, gc=False):
    """What only the backend can read: it goes with the open thoughts, or with a reasoning item of its own."""

    opaque: Opaque


class InputRemoved(msgspec.Struct, frozen=True, gc=False):
    """Thoughts of the input, or what was kept beside them, did not go to the backend. `reason` is OpenAI's word for why."""

    id: str
    reason: str


class CallStart(msgspec.Struct, frozen=True, gc=False):
    """A tool call begins. `key` tells its fragments from those of other calls of the Turn.

    Of a call of a server's tool (MCP) `namespace` is the server's label, and `approval_request_id` what a person agreed to.
    `opening` are fields of a hosted tool's item that are known when the call begins, `caller` the program that made the call.
    `asynchronous`: the model goes on without its output.
    """

    key: str
    call_id: str
    name: str
    kind: CallKind = "function"
    namespace: str | None = None
    approval_request_id: str | None = None
    opening: Mapping[str, object] | None = None
    caller: str = ""
    asynchronous: bool = False


class CallDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of a call's arguments (JSON text), or of a custom tool's input (raw text)."""

    key: str
    text: str


class UsageReport(msgspec.Struct, frozen=True, gc=False):
    """Token counts of the Turn so far; a later report replaces an earlier one."""

    usage: Usage


class FinishReason(StrEnum):
    """Why a Turn ended. Backends map the words of their servers to these, front ends these to the words of their clients."""

    STOP = "stop"
    """The model came to its own end."""
    TOOL_CALLS = "tool_calls"
    """The same, with calls."""
    LENGTH = "length"
    """It was cut off: too many tokens."""
    CONTENT_FILTER = "content_filter"
    """It was cut off by a filter."""
    STOP_SEQUENCE = "stop_sequence"
    """It said one of the request's stop sequences, which is named in `Finish`."""
    MAX_MESSAGES = "max_messages"
    """A backend of several agents cut it off: too many messages."""
    STEERED = "steered"
    """A backend cut it off, because its client steered it."""

    @property
    def cut(self) -> bool:
        """Tell whether the answer was cut off."""
        return self in _CUT


_CUT = frozenset((FinishReason.LENGTH, FinishReason.CONTENT_FILTER, FinishReason.MAX_MESSAGES, FinishReason.STEERED))


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The Turn ended; `stop_sequence` is the one that ended it, `service_tier` the one in which the backend says it answered."""

    reason: FinishReason
    stop_sequence: str = ""
    service_tier: str = ""


LONGEST_TIER = 64


def tier_of(value: object) -> str:
    """Return the name of a service tier, "" for anything else."""
    return value if isinstance(value, str) and len(value) <= LONGEST_TIER else ""


class RelayedText(msgspec.Struct, frozen=True, gc=False):
    """A piece of text of a backend that speaks Responses itself: `type` is one of `relay_shapes.TEXTS`.

    `item_id`, `output_index` and `part_index` are the other server's; "" and None where it sends none.
    """

    type: str
    text: str
    item_id: str = ""
    output_index: int | None = None
    part_index: int = 0
    logprobs: bytes = b""


class Relay(msgspec.Struct, frozen=True):
    """Any other event of such a backend, decoded; nothing of it is certain but that it is JSON of a bounded depth."""

    type: str
    fields: dict[str, Any]


class PlainPart(msgspec.Struct, gc=False):
    """A part of a plain message: a text that cites nothing."""

    type: Literal["output_text"]
    text: Annotated[str, Meta(min_length=1)]
    annotations: Annotated[list[Any], Meta(max_length=0)] | None = None
    logprobs: Annotated[list[Any], Meta(max_length=0)] | None = None


PlainType = Literal["message", "function_call"]
LONGEST_NAME = 512
"""Characters of an id or a name."""
ShortText = Annotated[str, Meta(max_length=LONGEST_NAME)]


class PlainItem(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """An item of such a backend in which nothing has to be mended: a message of texts, or a call of a function.

    What is null in it may as well be left out. `core.relay.plain.is_plain` tells whether it is whole. Its fields are in the
    order in which an item of ours is written.
    """

    id: ShortText | None = None
    type: PlainType
    status: str | None = None
    role: str | None = None
    content: Annotated[list[PlainPart], Meta(min_length=1, max_length=100)] | None = None
    call_id: ShortText | None = None
    name: ShortText = ""
    arguments: str = ""
    phase: None = None
    namespace: None = None
    caller: None = None


class PlainAnswer(msgspec.Struct, frozen=True):
    """An answer of such a backend that came whole, of plain items alone. `reason` is `STOP` for one that was not cut off.

    Only those get it who have said that they look at no Deltas (`core.fast_path.unwatch`); others get a `Relay`.
    """

    items: list[PlainItem]
    usage: Usage | None
    reason: FinishReason
    service_tier: str = ""


Delta = (
    TextDelta
    | AnnotationDelta
    | PictureDelta
    | RefusalDelta
    | ReasoningDelta
    | OpaqueDelta
    | InputRemoved
    | CallStart
    | CallDelta
    | UsageReport
    | Finish
    | RelayedText
    | Relay
    | PlainAnswer
)
