"""Sums of token counts."""

from __future__ import annotations

from antiphon.types.response import InputTokensDetails, OutputTokensDetails, Usage


def add_usage(total: Usage | None, turn: Usage) -> Usage:
    """Return the counts of all Turns so far and one more."""
    if total is None:
        return turn
    return Usage(
        input_tokens=total.input_tokens + turn.input_tokens,
        input_tokens_details=InputTokensDetails(
            total.input_tokens_details.cached_tokens + turn.input_tokens_details.cached_tokens,
            total.input_tokens_details.cache_write_tokens + turn.input_tokens_details.cache_write_tokens,
        ),
        output_tokens=total.output_tokens + turn.output_tokens,
        output_tokens_details=OutputTokensDetails(
            total.output_tokens_details.reasoning_tokens + turn.output_tokens_details.reasoning_tokens
        ),
        total_tokens=total.total_tokens + turn.total_tokens,
    )
