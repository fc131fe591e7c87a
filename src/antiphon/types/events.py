"""Streaming events (Responses API, "Streaming events"). Deltas are written from templates by the Writers; these are the rest."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, UnsetType

from antiphon.types.items import OutputText, ReasoningText, Refusal, SummaryText


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event, encoded once: `body` is the JSON, whose `type` and `sequence_number` stand inside."""

    type: str
    body: bytes


class Numbered(msgspec.Struct, tag_field="type", kw_only=True):
    sequence_number: int = 0


class OutputItemAdded(Numbered, tag="response.output_item.added"):
    output_index: int
    item: msgspec.Struct | Raw


class OutputItemDone(Numbered, tag="response.output_item.done"):
    output_index: int
    item: Raw


class ContentPartAdded(Numbered, tag="response.content_part.added"):
    item_id: str
    output_index: int
    content_index: int
    part: OutputText | Refusal | ReasoningText


class ContentPartDone(Numbered, tag="response.content_part.done"):
    item_id: str
    output_index: int
    content_index: int
    part: OutputText | Refusal | ReasoningText


class OutputTextDone(Numbered, tag="response.output_text.done"):
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: Raw = Raw(b"[]")


class RefusalDone(Numbered, tag="response.refusal.done"):
    item_id: str
    output_index: int
    content_index: int
    refusal: str


class ReasoningTextDone(Numbered, tag="response.reasoning_text.done"):
    item_id: str
    output_index: int
    content_index: int
    text: str


class ReasoningDone(Numbered, tag="response.reasoning.done"):
    """Open Responses' name for `response.reasoning_text.done`."""

    item_id: str
    output_index: int
    content_index: int
    text: str


class SummaryPartAdded(Numbered, tag="response.reasoning_summary_part.added"):
    item_id: str
    output_index: int
    summary_index: int
    part: SummaryText


class SummaryPartDone(Numbered, tag="response.reasoning_summary_part.done"):
    item_id: str
    output_index: int
    summary_index: int
    part: SummaryText


class SummaryTextDone(Numbered, tag="response.reasoning_summary_text.done"):
    item_id: str
    output_index: int
    summary_index: int
    text: str


class ArgumentsDone(Numbered, tag="response.function_call_arguments.done"):
    item_id: str
    output_index: int
    name: str
    arguments: str


class InputDone(Numbered, tag="response.custom_tool_call_input.done"):
    item_id: str
    output_index: int
    input: str


class ShellCommandAdded(Numbered, tag="response.shell_call_command.added"):
    output_index: int
    command_index: int
    command: str


class ShellCommandDelta(Numbered, tag="response.shell_call_command.delta"):
    output_index: int
    command_index: int
    delta: str


class ShellCommandDone(Numbered, tag="response.shell_call_command.done"):
    output_index: int
    command_index: int
    command: str


class McpArgumentsDone(Numbered, tag="response.mcp_call_arguments.done"):
    item_id: str
    output_index: int
    arguments: str


class McpCallInProgress(Numbered, tag="response.mcp_call.in_progress"):
    item_id: str
    output_index: int


class McpCallCompleted(Numbered, tag="response.mcp_call.completed"):
    item_id: str
    output_index: int


class McpCallFailed(Numbered, tag="response.mcp_call.failed"):
    item_id: str
    output_index: int


class McpListToolsInProgress(Numbered, tag="response.mcp_list_tools.in_progress"):
    item_id: str
    output_index: int


class McpListToolsCompleted(Numbered, tag="response.mcp_list_tools.completed"):
    item_id: str
    output_index: int


class McpListToolsFailed(Numbered, tag="response.mcp_list_tools.failed"):
    item_id: str
    output_index: int


class Keepalive(Numbered, tag="keepalive"):
    queue_position: int | UnsetType = UNSET


class ErrorPayload(msgspec.Struct, frozen=True):
    type: str
    code: str
    message: str
    param: str


class ErrorEvent(Numbered, tag="error"):
    """Both shapes at once: the flat fields of OpenAI's document and the nested object of Open Responses'."""

    code: str
    message: str
    param: str
    error: ErrorPayload
