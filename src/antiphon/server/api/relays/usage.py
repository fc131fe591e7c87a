"""Token counts of relayed answers, in the words of all servers, read from a whole answer or from the end of one that passes."""

from __future__ import annotations

import math
from json import JSONDecoder

import msgspec

from antiphon.types.response import InputTokensDetails, Usage

TAIL = 16_384
"""Bytes of the end of an answer that are looked at: usage stands in a stream's last events, behind what is large."""

LONGEST_RECORDING = 1 << 32
"""Seconds that are more than any recording has."""

_MARK = b'"usage"'
_GAP = 16  # bytes between the name and its value
_scan = JSONDecoder(strict=False).raw_decode


class _CachedTokens(msgspec.Struct):
    cached_tokens: int | None = None


class _UsageCounts(msgspec.Struct):
    """Counts as chat completions, Responses, images and transcriptions name them; those of seconds are no tokens."""

    prompt_tokens: int | None = None
    input_tokens: int | None = None
    completion_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _CachedTokens | None = None


class _WithUsage(msgspec.Struct):
    usage: _UsageCounts | None = None


_counted = msgspec.json.Decoder(_WithUsage)


class _BilledSeconds(msgspec.Struct):
    seconds: float | None = None


class _Lasting(msgspec.Struct):
    """A transcription's length: of those that are billed by seconds in `usage`, of verbose ones beside the text."""

    usage: _BilledSeconds | None = None
    duration: float | str | None = None


_lasting = msgspec.json.Decoder(_Lasting)


def seconds_in_body(body: bytes) -> int:
    """Return the seconds of a recording, as its transcription tells them, rounded up; 0 where it does not."""
    try:
        told = _lasting.decode(body)
        given = told.usage.seconds if told.usage is not None else None
        seconds = float(given if given is not None else told.duration or 0)
        return math.ceil(seconds) if 0 <= seconds < LONGEST_RECORDING else 0
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return 0


def usage_of(counts: _UsageCounts | None) -> Usage | None:
    """Return counts as Usage; None where there are none."""
    if counts is None:
        return None
    told = counts.prompt_tokens if counts.prompt_tokens is not None else counts.input_tokens
    answered = counts.completion_tokens if counts.completion_tokens is not None else counts.output_tokens
    if told is None and answered is None and counts.total_tokens is None:
        return None
    output = answered or 0
    given = told if told is not None else (counts.total_tokens or 0) - output
    cached = counts.prompt_tokens_details.cached_tokens if counts.prompt_tokens_details else 0
    return Usage(
        input_tokens=given,
        input_tokens_details=InputTokensDetails(cached_tokens=cached or 0),
        output_tokens=output,
        total_tokens=given + output,
    )


def usage_in_body(body: bytes) -> Usage | None:
    """Return the usage of a whole answer; None where it tells none."""
    if _MARK not in body:
        return None
    try:
        return usage_of(_counted.decode(body).usage)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def usage_in_tail(tail: bytes) -> Usage | None:
    """Return the last usage in the end of a stream. A quote inside of a text is escaped, so the name stands for itself."""
    offset = tail.rfind(_MARK)
    while offset >= 0:
        begin = offset + len(_MARK)
        opening = tail[begin : begin + _GAP].lstrip(b" :\n")
        if opening.startswith(b"{"):
            try:
                found, _ = _scan(tail[begin:].lstrip(b" :\n").decode("utf-8", "replace"))
                return usage_of(msgspec.convert(found, _UsageCounts))
            except (msgspec.MsgspecError, ValueError, RecursionError):
                return None
        offset = tail.rfind(_MARK, 0, offset)
    return None
