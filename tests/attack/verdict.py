"""What every answer must be, whatever was sent. Each function returns the fault, "" where there is none."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from tests.attack.wire import Answer

sys.set_int_max_str_digits(0)  # numbers of any length are JSON

TERMINAL = frozenset(f"response.{status}" for status in ("completed", "incomplete", "failed", "cancelled"))
OURS = frozenset(("internal_error", "server_error"))
"""Codes that say that the fault was the server's own."""


def fault_of(answer: Answer, method: str = "POST") -> str:
    """Judge an answer over HTTP."""
    if not answer.status:
        return "no answer"
    if not answer.whole:
        return f"status {answer.status}, broken off"
    if method == "HEAD" or answer.status in (204, 304, 100):
        return ""
    kind = answer.headers.get(b"content-type", b"")
    if answer.status >= 400:
        return _of_error(answer, kind)
    if kind.startswith(b"text/event-stream"):
        return of_stream(answer.body)
    if kind.startswith(b"application/json"):
        return _of_json(answer.body)
    return ""


def _of_error(answer: Answer, kind: bytes) -> str:
    if answer.status == 500:
        return "status 500"
    if not kind.startswith(b"application/json"):
        return f"status {answer.status} with the type {kind.decode()}"
    try:
        body = json.loads(answer.body)
    except ValueError:
        return f"status {answer.status} whose body is no JSON"
    return "" if _is_error(body) else f"status {answer.status} with a body of another shape"


def _is_error(body: Any) -> bool:
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict) and body.get("type") == "error":  # of the Messages API
        return all(
            isinstance(text, str) and text for text in (error.get("type"), error.get("message"), body.get("request_id"))
        )
    if not isinstance(error, dict) or not {"message", "type", "param", "code"} <= set(error):
        return False
    nullable = all(error[name] is None or isinstance(error[name], str) for name in ("param", "code"))
    return nullable and all(isinstance(error[name], str) and error[name] for name in ("message", "type"))


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
