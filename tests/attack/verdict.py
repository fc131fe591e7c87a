"""What every answer must be, whatever was sent. Each function returns the fault, "" where there is none."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Literal

from tests.attack.wire import Answer

sys.set_int_max_str_digits(0)  # numbers of any length are JSON

TERMINAL = frozenset(f"response.{status}" for status in ("completed", "incomplete", "failed", "cancelled"))
OURS = frozenset(("internal_error", "server_error"))
"""Codes that say that the fault was the server's own."""


Form = Literal["", "openai", "messages"]
"""Whose errors an answer may have; "": either."""


def fault_of(answer: Answer, method: str = "POST", form: Form = "") -> str:
    """Judge an answer over HTTP."""
    if not answer.status:
        return "no answer"
    if not answer.whole:
        return f"status {answer.status}, broken off"
    if method == "HEAD" or answer.status in (204, 304, 100):
        return ""
    kind = answer.headers.get(b"content-type", b"")
    if answer.status >= 400:
        return _of_error(answer, kind, form)
    if kind.startswith(b"text/event-stream"):
        return of_messages_stream(answer.body) if form == "messages" else of_stream(answer.body)
    if kind.startswith(b"application/json"):
        return _of_json(answer.body)
    return ""


def _of_error(answer: Answer, kind: bytes, form: Form) -> str:
    if answer.status == 500:
        return "status 500"
    if not kind.startswith(b"application/json"):
        return f"status {answer.status} with the type {kind.decode()}"
    try:
        body = json.loads(answer.body)
    except ValueError:
        return f"status {answer.status} whose body is no JSON"
    return "" if _is_error(body, form) else f"status {answer.status} with a body of another shape"


def _is_error(body: Any, form: Form) -> bool:
    error = body.get("error") if isinstance(body, dict) else None
    if form == "messages" or (isinstance(error, dict) and body.get("type") == "error"):
        return form != "openai" and _is_messages_error(body)
    if not isinstance(error, dict) or not {"message", "type", "param", "code"} <= set(error):
        return False
    nullable = all(error[name] is None or isinstance(error[name], str) for name in ("param", "code"))
    return nullable and all(isinstance(error[name], str) and error[name] for name in ("message", "type"))


def _is_messages_error(body: Any) -> bool:
    """Tell whether a body is an error of the Messages API, as Anthropic's clients read it."""
    error = body.get("error") if isinstance(body, dict) and body.get("type") == "error" else None
    if not isinstance(error, dict):
        return False
    texts = (error.get("type"), error.get("message"), body.get("request_id"))
    return all(isinstance(text, str) and text for text in texts) and str(error["type"]).endswith("_error")


def _of_json(body: bytes) -> str:
    try:
        value = json.loads(body)
    except ValueError:
        return "status 200 whose body is no JSON"
    return _of_response(value) if isinstance(value, dict) and value.get("object") == "response" else ""


def _of_response(response: dict[str, Any]) -> str:
    error = response.get("error")
    if isinstance(error, dict) and error.get("code") in OURS and "scripted" not in str(error.get("message")):
        return f"a response failed with {error['code']}"
    return ""


def of_messages_stream(body: bytes) -> str:
    """Judge a stream of the Messages API: one message whose blocks do not overlap, or an error, and nothing behind it."""
    frames = body.split(b"\n\n")
    if frames[-1]:
        return "a stream whose last event is cut off"
    open_block: int | None = None
    blocks = 0
    kinds: list[str] = []
    for frame in frames[:-1]:
        lines = [line for line in frame.split(b"\n") if line and not line.startswith(b":")]
        if not lines:
            continue
        if kinds and kinds[-1] in ("message_stop", "error"):
            return "an event behind the end of a stream"
        try:
            event = json.loads(b"\n".join(line[6:] for line in lines if line.startswith(b"data: ")))
        except ValueError:
            return f"a frame that is no JSON: {frame[:80]!r}"
        kind = str(event.get("type"))
        if lines[0] != b"event: " + kind.encode():
            return "an event whose name is not its type"
        if (kind == "message_start") != (not kinds) and kind != "error":
            return f"a stream with {kind} behind {kinds[-1:]}"
        if kind == "error":
            return "" if _is_messages_error({"request_id": "-", **event}) else "an error of another shape in a stream"
        if kind == "content_block_start":
            if open_block is not None or event["index"] != blocks:
                return f"block {event['index']} begins as number {blocks}, while {open_block} is open"
            open_block, blocks = blocks, blocks + 1
        elif kind == "content_block_delta" and event["index"] != open_block:
            return "a delta of a block that is not open"
        elif kind == "content_block_stop":
            if event["index"] != open_block:
                return "the end of a block that is not open"
            open_block = None
        elif kind == "message_delta" and open_block is not None:
            return "a message that ends while a block is open"
        if kind != "ping":
            kinds.append(kind)
    return "" if kinds[-2:] == ["message_delta", "message_stop"] else f"a stream that ends with {kinds[-2:]}"


def of_stream(body: bytes) -> str:
    """Judge a whole stream of server-sent events: one terminal event, then `[DONE]`, numbers without a gap."""
    frames = body.split(b"\n\n")
    if frames[-2:] != [b"data: [DONE]", b""]:
        return "a stream that does not end in [DONE]"
    if b"data: [DONE]" in frames[:-2]:
        return "a stream with [DONE] in the middle"
    events = []
    for frame in frames[:-2]:
        lines = [line for line in frame.split(b"\n") if not line.startswith(b":")]
        if not lines:
            continue
        data = b"\n".join(line[6:] for line in lines if line.startswith(b"data: "))
        try:
            events.append(json.loads(data))
        except ValueError:
            return f"a frame that is no JSON: {frame[:80]!r}"
        if len(lines) == 2 and lines[0] != f"event: {events[-1]['type']}".encode():
            return "an event whose name is not its type"
    return of_events(events)


def of_events(events: Sequence[dict[str, Any]]) -> str:
    """Judge the events of one response, or the chunks of a chat completion."""
    if not any(str(event.get("type")).startswith("response.") for event in events):
        return ""
    ends = [event for event in events if event.get("type") in TERMINAL]
    if len(ends) != 1 or (events[-1] is not ends[0] and events[-1].get("type") != "error"):
        return f"a stream with {len(ends)} terminal events"
    numbers = [event.get("sequence_number") for event in events]
    if numbers != list(range(numbers[0] or 0, (numbers[0] or 0) + len(numbers))):
        return "a stream whose numbers have gaps"
    return _of_response(ends[0]["response"])
