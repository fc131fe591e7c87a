"""Streams that are none: lines of JSON, events that are framed badly, and whole messages instead of deltas."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.types.chat import ChatDelta


def json_lines(data: bytes) -> Sequence[bytes]:
    """Return the lines of a body that has an object in each, without `data:`; nothing for any other."""
    first, more, _ = bytes(data).lstrip().partition(b"\n")
    if not more or not first.rstrip().endswith(b"}"):
        return ()  # one object, perhaps over many lines
    lines = [line for line in (line.strip() for line in bytes(data).splitlines()) if line]
    if len(lines) > 1 and all(line.startswith(b"{") and line.endswith(b"}") for line in lines):
        return lines
    return ()


def says_done(payload: bytes) -> bool:
    """Tell whether an event's data that is no JSON ends the stream, however it is written."""
    return payload.strip(b' \t\r\n"').upper() == b"[DONE]"


def badly_framed(payload: bytes) -> Sequence[bytes]:
    """Return the data of events that stand in one: behind a second `data:`, or without blank lines between; else nothing."""
    payload = bytes(payload).strip()
    if payload.startswith(b"data:"):
        while payload.startswith(b"data:"):
            payload = payload[5:].lstrip()
        return (payload,)
    if b"\n" not in payload:
        return ()
    lines = [line for line in (line.strip() for line in payload.splitlines()) if line]
    whole = all((line.startswith(b"{") and line.endswith(b"}")) or says_done(line) for line in lines)
    return lines if whole and len(lines) > 1 else ()


def goes_on(before: ChatDelta | None, after: ChatDelta | None) -> bool:
    """Tell whether a message holds all that an earlier one did."""
    if before is None or after is None or (before.tool_calls and before.tool_calls != after.tool_calls):
        return before is None or not (before.content or before.tool_calls)
    text, longer = before.content or "", after.content or ""
    return isinstance(text, str) and isinstance(longer, str) and longer.startswith(text)
