"""How another server's response ended: its last event → usage, reason, output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from antiphon.core.deltas import Delta, FinishReason, Relay, UsageReport, tier_of
from antiphon.core.relay.shapes import ENDS, Json, wrong
from antiphon.types.response import InputTokensDetails, OutputTokensDetails, Usage

MOST_TOKENS = 2**53 - 1  # what JavaScript counts without loss


class RelayedEnd(msgspec.Struct, frozen=True):
    """What counts of another server's last event. `reason`: STOP for an answer that is whole."""

    output: object
    usage: Usage | None
    reason: FinishReason
    service_tier: str = ""


def response_of(fields: Json) -> Json:
    """Return the response of a terminal event. Raises BackendError where there is none."""
    response = fields.get("response")
    if not isinstance(response, dict):
        raise wrong("it has no response")
    return response


def has_failed(type: str, response: Json) -> bool:
    """Tell whether a response failed. Where the event and its response contradict each other, the worse of the two counts."""
    return type == "response.failed" or response.get("status") in ("failed", "cancelled") or bool(response.get("error"))


def relayed_end(delta: Relay) -> RelayedEnd:
    """Read a terminal event of a response that did not fail. Raises BackendError for one without a response."""
    response = response_of(delta.fields)
    output, text = response.get("output"), response.get("output_text")
    if not output and isinstance(text, str) and text:  # what SDKs add to an answer is all that some servers give
        output = [{"type": "message", "content": text}]
    tier = tier_of(response.get("service_tier"))
    return RelayedEnd(output, usage_of(response.get("usage")), _reason(delta.type, response), tier)


def counted(deltas: Sequence[Delta]) -> Usage | None:
    """Return the token counts among Deltas of any backend, None where there are none."""
    told = [delta.usage for delta in deltas if isinstance(delta, UsageReport)]
    ends = [delta for delta in deltas if isinstance(delta, Relay) and delta.type in ENDS]
    told += [usage for end in ends if (usage := usage_of(response_of(end.fields).get("usage"))) is not None]
    return told[-1] if told else None


def _reason(type: str, response: Json) -> FinishReason:
    details = response.get("incomplete_details")
    if type != "response.incomplete" and response.get("status") != "incomplete" and not details:
        return FinishReason.STOP
    reason = details.get("reason") if isinstance(details, dict) else None
    return _REASONS.get(reason, FinishReason.LENGTH) if isinstance(reason, str) else FinishReason.LENGTH


_REASONS = {
    reason.value: reason for reason in (FinishReason.CONTENT_FILTER, FinishReason.MAX_MESSAGES, FinishReason.STEERED)
}


class _Cached(msgspec.Struct, frozen=True, gc=False):
    cached_tokens: Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)] = 0
    cache_write_tokens: Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)] = 0


class _Thought(msgspec.Struct, frozen=True, gc=False):
    reasoning_tokens: Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)] = 0


_UNTOLD, _NO_THOUGHT = _Cached(), _Thought()
_NONE_CACHED, _NO_THOUGHTS = InputTokensDetails(), OutputTokensDetails()


class Counts(msgspec.Struct, gc=False):
    """Token counts as the document has them; what some of them were used for may be left out."""

    input_tokens: Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]
    output_tokens: Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]
    input_tokens_details: _Cached | None = None
    output_tokens_details: _Thought | None = None


def usage_of(value: object) -> Usage | None:
    """Return token counts; None where they are not counts."""
    try:
        return usage_from(msgspec.convert(value, Counts))
    except (msgspec.ValidationError, TypeError):
        return _odd_usage(value)


def usage_from(told: Counts) -> Usage:
    """Return token counts that are as the document has them."""
    read, inner = told.input_tokens, told.input_tokens_details or _UNTOLD
    written, outer = told.output_tokens, told.output_tokens_details or _NO_THOUGHT
    cached, stored, thought = inner.cached_tokens, inner.cache_write_tokens, outer.reasoning_tokens
    return Usage(
        input_tokens=read,
        input_tokens_details=InputTokensDetails(min(cached, read), stored) if cached or stored else _NONE_CACHED,
        output_tokens=written,
        output_tokens_details=OutputTokensDetails(min(thought, written)) if thought else _NO_THOUGHTS,
        total_tokens=read + written,
    )


def _odd_usage(value: object) -> Usage | None:
    """Read counts with care: they may be missing, floats, or have the names of chat completions."""
    if not isinstance(value, dict):
        return None
    read, written = (
        _count(value, name if name in value else other)
        for name, other in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
    )
    if read is None or written is None:
        return None
    inner, outer = value.get("input_tokens_details"), value.get("output_tokens_details")
    cached = _count(inner, "cached_tokens") or 0
    stored = _count(inner, "cache_write_tokens") or 0
    return Usage(
        input_tokens=read,
        input_tokens_details=InputTokensDetails(min(cached, read), stored),
        output_tokens=written,
        output_tokens_details=OutputTokensDetails(min(_count(outer, "reasoning_tokens") or 0, written)),
        total_tokens=read + written,
    )


def _count(value: Any, name: str) -> int | None:
    number = value.get(name) if isinstance(value, dict) else None
    if isinstance(number, float) and number == number // 1 and abs(number) <= MOST_TOKENS:
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MOST_TOKENS:
        return None
    return number
