"""Sums of token counts."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from antiphon.types.response import InputTokensDetails, OutputTokensDetails, SearchUsage, ToolUsage, Usage


class _Action(msgspec.Struct):
    type: str = ""


class _CalledItem(msgspec.Struct):
    type: str = ""
    status: str = ""
    action: _Action | None = None


_call = msgspec.json.Decoder(_CalledItem)


def tool_usage(output: Iterable[bytes]) -> ToolUsage:
    """Return what hosted tools have used: searches that were made; pages that were opened are none."""
    searches = 0
    for item in output:
        call = _call.decode(item)
        searches += (
            call.type == "web_search_call"
            and call.status == "completed"
            and call.action is not None
            and call.action.type == "search"
        )
    return ToolUsage(web_search=SearchUsage(searches))


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
