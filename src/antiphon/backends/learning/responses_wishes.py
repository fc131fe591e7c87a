"""Wishes of a request that a model of a Responses server may not honour: the Turn without them, by what was learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from antiphon.backends.learning.adaptations import NOTHING, Adaptation
from antiphon.backends.learning.efforts import nearest_effort
from antiphon.core.json_encoding import to_json
from antiphon.core.turn import Turn
from antiphon.types.tools import ToolChoice

EFFORT = "reasoning.effort"
_OF_TURN = ("temperature", "top_p")
_OF_REQUEST = (
    "parallel_tool_calls presence_penalty frequency_penalty top_logprobs prompt_cache_key prompt_cache_retention"
    " prompt_cache_options safety_identifier service_tier metadata user"
).split()


def adapted(turn: Turn, learned: Adaptation) -> tuple[Turn, tuple[str, ...]]:
    """Return the Turn as its model takes it, and the names of the wishes that it has no more, or has otherwise."""
    if learned is NOTHING:
        return turn, ()
    ignored = [name for name in (*_OF_TURN, *_OF_REQUEST) if name in learned.drop and _has(turn, name)]
    changed: dict[str, Any] = {name: None for name in _OF_TURN if name in ignored}
    of_request: dict[str, Any] = {name: None for name in _OF_REQUEST if name in ignored}
    effort = turn.reasoning_effort
    if effort is not None:
        taken = None if "reasoning_effort" in learned.drop else nearest_effort(effort, learned.efforts)
        if taken != effort:
            changed["reasoning_effort"] = taken
            ignored.append(EFFORT)
    if "reasoning_effort" in learned.drop:
        of_request["reasoning"] = None
    if "tool_choice" in learned.drop and is_forced(turn):
        changed["tool_choice"] = "auto"
        ignored.append("tool_choice")
    if learned.stream:
        changed["stream"] = learned.stream == "always"
    if learned.max_output_tokens and turn.max_output_tokens:
        changed["max_output_tokens"] = min(turn.max_output_tokens, learned.max_output_tokens)
    if of_request:
        changed["request"] = replace(turn.request, **of_request)
    return replace(turn, **changed), tuple(ignored)


def _has(turn: Turn, name: str) -> bool:
    return getattr(turn if name in _OF_TURN else turn.request, name) is not None


def is_forced(turn: Turn) -> bool:
    """Tell whether the model must call a tool that the client declares."""
    choice = turn.tool_choice
    if isinstance(choice, ToolChoice):
        return bool(turn.tools) and (isinstance(choice.name, str) or choice.mode == "required")
    return bool(turn.tools) and choice == "required"


def sent_fields(turn: Turn) -> Mapping[str, Raw]:
    """Return the wishes that a request has, as they are sent: those from which refusals can be told."""
    fields: dict[str, Any] = {name: getattr(turn, name) for name in _OF_TURN}
    fields |= {name: getattr(turn.request, name) for name in _OF_REQUEST}
    fields["tool_choice"] = turn.tool_choice if is_forced(turn) else None
    fields["reasoning"] = {"effort": turn.reasoning_effort} if turn.reasoning_effort is not None else None
    fields["stream"] = turn.stream
    return {name: Raw(to_json(value)) for name, value in fields.items() if value is not None}
