"""Tokens of answers, as the APIs spell them."""

from __future__ import annotations

import msgspec


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Answered(msgspec.Struct):
    usage: _Usage | None = None


_answered = msgspec.json.Decoder(_Answered)
MOST = 2**40  # of one answer: the sum of all fits into a column


def tokens_of(body: bytes) -> dict[str, int]:
    """Return the tokens that an answer tells of, by the names of LineResult; none where it tells nothing that can be read."""
    try:
        usage = _answered.decode(body).usage
    except (ValueError, RecursionError):
        usage = None
    if usage is None:
        return {}
    inputs, outputs = usage.input_tokens_details or usage.prompt_tokens_details, usage.output_tokens_details
    outputs = outputs or usage.completion_tokens_details
    # The Messages API leaves what the cache has out of its input tokens.
    read = usage.cache_read_input_tokens or 0
    cached = read or (inputs.cached_tokens if inputs is not None else 0)
    counts = {
        "input_tokens": (usage.input_tokens or usage.prompt_tokens or 0)
        + read
        + (usage.cache_creation_input_tokens or 0),
        "cached_tokens": cached,
        "output_tokens": usage.output_tokens or usage.completion_tokens or 0,
        "reasoning_tokens": outputs.reasoning_tokens if outputs is not None else 0,
    }
    return {name: min(max(count or 0, 0), MOST) for name, count in counts.items()}
