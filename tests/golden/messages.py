"""Golden cases by the Messages front end: their request, and what of an answer is the same each time.

Each folder has `message.json`, the Message, or the error in its place, and `message.events.jsonl`, its events.
`pytest tests/server/messages/test_golden.py --regenerate-golden` writes them anew; the difference is to be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from antiphon.server.messages.call_ids import own_id
from tests.golden.player import ROOT

Json = dict[str, Any]
EVENT = re.compile(r"event: (\w+)\ndata: (\{.*\})\n\n")
GROWING = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_IDS = re.compile(r"(msg|req)_[0-9a-f]+|call_(golden|[0-9a-f]{16})[0-9a-f]+")


def request_of(case: str) -> Json:
    """Return a request for a case: the functions that its model calls, the format of its answer, thoughts to be shown."""
    asked = json.loads((ROOT / case / "request.json").read_bytes())
    body: Json = {
        "model": case,
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": "Say it."}],
        "thinking": {"type": "adaptive", "display": "summarized"},
    }
    if names := list(dict.fromkeys(_called(case))):
        body["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    if schema := _schema(asked):
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body


def _called(case: str) -> Iterator[str]:
    """Yield the names that a case's model calls."""
    for line in (ROOT / case / "turn-1.chunks.jsonl").read_text().splitlines():
        yield from re.findall(r'"function":\s*\{[^{}]*?"name":\s*"([^"]+)"', line)


def _schema(asked: Json) -> Json | None:
    format = (asked.get("text") or {}).get("format") or {}
    return format.get("schema") or (format.get("json_schema") or {}).get("schema")


def events_of(stream: str) -> list[Json]:
    """Return the events of a stream, whose framing is checked."""
    found = list(EVENT.finditer(stream))
    assert "".join(match[0] for match in found) == stream, stream
    events = [json.loads(match[2]) for match in found]
    assert [match[1] for match in found] == [event["type"] for event in events]
    return events


def is_counted(case: str) -> bool:
    """Tell whether a case's backend counts tokens; elsewhere the server estimates."""
    return '"usage": {' in (ROOT / case / "turn-1.chunks.jsonl").read_text()


def plain(value: Any, *, counted: bool = True) -> Any:
    """Return a value without what differs from one answer to the next: ids, seals, estimates."""
    if isinstance(value, dict):
        return {name: _plain_field(name, inner, counted) for name, inner in value.items()}
    return [plain(inner, counted=counted) for inner in value] if isinstance(value, list) else value


def _plain_field(name: str, value: Any, counted: bool) -> Any:
    if name == "signature" and value:
        return "sealed"
    if name == "input_tokens" and not counted:
        assert value > 1, "an estimate of what was asked"
        return 1
    return "an-id" if _is_id(name, value) else plain(value, counted=counted)


def _is_id(name: str, value: Any) -> bool:
    return name in ("id", "request_id") and isinstance(value, str) and _IDS.fullmatch(own_id(value)) is not None


def coalesced(events: Sequence[Json], *, counted: bool = True) -> list[Json]:
    """Return events without ids, neighbouring pieces of a block joined; the first count of tokens is an estimate."""
    result: list[Json] = []
    for index, told in enumerate(events):
        event = plain(told, counted=counted and index > 0)
        before = result[-1] if result else {}
        delta = event.get("delta") or {}
        field = GROWING.get(delta.get("type", ""))
        if field and before.get("index") == event["index"] and (before.get("delta") or {}).get("type") == delta["type"]:
            before["delta"][field] += delta[field]
        else:
            result.append(event)
    return result


def recorded_events(case: str) -> list[Json]:
    """Return the events that were recorded and reviewed."""
    return [json.loads(line) for line in (ROOT / case / "message.events.jsonl").read_text().splitlines()]


def recorded_message(case: str) -> Json:
    """Return the Message, or the error, that was recorded and reviewed."""
    message: Json = json.loads((ROOT / case / "message.json").read_text())
    return message


def record(case: str, message: Json, events: Sequence[Json]) -> None:
    """Write down what comes out now; somebody has to read the difference."""
    lines = "".join(json.dumps(event, ensure_ascii=True) + "\n" for event in events)
    (ROOT / case / "message.events.jsonl").write_text(lines)
    (ROOT / case / "message.json").write_text(json.dumps(message, indent=2, ensure_ascii=True) + "\n")
