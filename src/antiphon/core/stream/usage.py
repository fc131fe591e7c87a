"""Sums of token counts."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from antiphon.types.response import (
    ImageTokens,
    InputTokensDetails,
    OutputTokensDetails,
    PictureUsage,
    SearchUsage,
    ToolUsage,
    Usage,
)


class _Action(msgspec.Struct):
    type: str = ""


class _CalledItem(msgspec.Struct):
    type: str = ""
    status: str = ""
    action: Raw = Raw(b"null")


_action = msgspec.json.Decoder(_Action | None)
_call = msgspec.json.Decoder(_CalledItem)


def tool_usage(output: Iterable[bytes], pictures: PictureUsage) -> ToolUsage:
    """Return what hosted tools have used: pictures, searches that were made; pages that were opened are none."""
    searches = 0
    for item in output:
        call = _call.decode(item)
        if call.type == "web_search_call" and call.status == "completed":
            action = _action.decode(call.action)
            searches += action is not None and action.type == "search"
    return ToolUsage(image_gen=pictures, web_search=SearchUsage(searches))


def add_pictures(total: PictureUsage, more: PictureUsage) -> PictureUsage:
    """Return the token counts of pictures so far and of one more."""
    return PictureUsage(
        input_tokens=total.input_tokens + more.input_tokens,
        input_tokens_details=_added(total.input_tokens_details, more.input_tokens_details),
        output_tokens=total.output_tokens + more.output_tokens,
        output_tokens_details=_added(total.output_tokens_details, more.output_tokens_details),
        total_tokens=total.total_tokens + more.total_tokens,
    )


def _added(one: ImageTokens, other: ImageTokens) -> ImageTokens:
    return ImageTokens(one.image_tokens + other.image_tokens, one.text_tokens + other.text_tokens)


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
