"""The Message that a client gets: its usage, why it ended, and the object as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Raw

from antiphon.core.deltas import Finish, FinishReason
from antiphon.core.json_encoding import to_json
from antiphon.types.response import Response, Usage

DIRECT = {"type": "direct"}
"""Who called a tool: the model itself, not code that it wrote."""

REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.TOOL_CALLS: "end_turn",  # without a call of the client's
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.MAX_MESSAGES: "max_tokens",
    FinishReason.STEERED: "end_turn",
    FinishReason.STOP_SEQUENCE: "stop_sequence",
}

CONTAINER_SECONDS = 1200


class AnswerTerms:
    """What of a request its answer needs: the model as it was asked for, whether thoughts are wanted and shown, and the window.

    `estimate` gives the input's tokens as far as they can be told before the first token; `warm`: only the cache is wanted.
    `lists`: the client knows listings of MCP servers. `seal` seals what a search found.
    `container` is the one that code ran in; `edits` are those of the context that were made, `transformations` the thoughts
    that were left out, for clients that know them.
    """

    __slots__ = (
        "beta",
        "container",
        "edits",
        "estimate",
        "lists",
        "model",
        "request_id",
        "seal",
        "shows_thoughts",
        "thinks",
        "transformations",
        "warm",
        "window",
    )

    def __init__(self) -> None:
        self.model = ""
        self.request_id = ""
        self.beta = False
        self.shows_thoughts = True
        self.thinks = False
        self.lists = False
        self.transformations: list[dict[str, str]] | None = None
        self.warm = False
        self.estimate: Callable[[], int] = lambda: 1
        self.window: int | None = None
        self.seal: Callable[[str], str | None] | None = None
        self.container = ""
        self.edits: list[dict[str, object]] | None = None


def message_id(response: Response) -> str:
    """Return the id of a Message."""
    return f"msg_{response.id.removeprefix('resp_')}"


def usage_of(usage: Usage | None, told: AnswerTerms, said: int, searches: int = 0, fetches: int = 0) -> dict[str, Any]:
    """Return the counts. Cached tokens are not among `input_tokens`. Without a report they are estimated."""
    served = {"web_search_requests": searches, "web_fetch_requests": fetches} if searches or fetches else None
    if usage is None:
        usage = Usage(input_tokens=told.estimate(), output_tokens=said)
    read, written = usage.input_tokens_details.cached_tokens, usage.input_tokens_details.cache_write_tokens
    counts = {
        "input_tokens": max(usage.input_tokens - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 0 if told.warm else usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.output_tokens_details.reasoning_tokens},
        "server_tool_use": served,
        "service_tier": "standard",
        "inference_geo": None,
    }
    return {**counts, **OF_BETAS} if told.beta else counts


OF_BETAS: Mapping[str, None] = dict.fromkeys(("fallback_credit", "iterations", "speed"))
"""Counts of features that this server does not have, which `?beta=true` asks for."""

AT_THE_END = (
    "input_tokens cache_creation_input_tokens cache_read_input_tokens output_tokens output_tokens_details server_tool_use"
    " fallback_credit iterations"
).split()


def counted_at_the_end(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts that `message_delta` has: the others stand in `message_start`."""
    return {name: usage[name] for name in AT_THE_END if name in usage}


def stop_reason(finish: Finish | None, response: Response, told: AnswerTerms, *, called: bool, refused: bool) -> str:
    """Return why a Message ended."""
    reason = finish.reason if finish is not None else FinishReason.STOP
    if told.warm:
        return "max_tokens"
    if reason is FinishReason.LENGTH:
        total = response.usage.total_tokens if response.usage is not None else 0
        full = told.window is not None and total >= told.window
        return "model_context_window_exceeded" if full else "max_tokens"
    if called and reason in (FinishReason.STOP, FinishReason.TOOL_CALLS):
        return "tool_use"
    return "refusal" if refused else REASONS.get(reason, "end_turn")


def message_json(
    response: Response,
    told: AnswerTerms,
    content: list[bytes],
    usage: dict[str, Any],
    stop: str | None = None,
    sequence: str | None = None,
) -> bytes:
    """Return a Message with all its keys."""
    fields: dict[str, Any] = {
        "id": message_id(response),
        "type": "message",
        "role": "assistant",
        "model": told.model,
        "content": [Raw(block) for block in content],
        "stop_reason": stop,
        "stop_sequence": sequence,
        "stop_details": details(stop),
        "container": container_of(response, told),
        "usage": usage,
    }
    if told.beta:
        fields |= {"context_management": context_of(told), "diagnostics": None}
    if told.transformations is not None:
        fields["input_transformations"] = told.transformations
    return to_json(fields)


def container_of(response: Response, told: AnswerTerms) -> dict[str, Any] | None:
    """Return the container that code ran in; it is there for some time after its last use."""
    if not told.container:
        return None
    end = datetime.fromtimestamp(response.created_at + CONTAINER_SECONDS, UTC)
    return {"id": told.container, "expires_at": end.strftime("%Y-%m-%dT%H:%M:%SZ"), "skills": None}


def context_of(told: AnswerTerms) -> dict[str, Any] | None:
    """Return which edits of the context were made, None where none were asked for."""
    return None if told.edits is None else {"applied_edits": told.edits}


def details(stop: str | None) -> dict[str, Any] | None:
    """Return the details of a refusal."""
    return {"type": "refusal", "category": None, "explanation": None} if stop == "refusal" else None
