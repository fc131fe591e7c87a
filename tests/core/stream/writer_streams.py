"""A stream that items are written to."""

from __future__ import annotations

from collections.abc import Sequence
from json import loads
from typing import Any

from antiphon.core.deltas import (
    CallDelta,
    CallKind,
    CallStart,
    Delta,
)
from antiphon.core.json_encoding import to_json
from antiphon.core.stream.fold import fold
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.terms import Action
from antiphon.types.events import Event
from antiphon.types.response import Response
from tests.oracle.documents import OPENAI

Json = dict[str, Any]


def opened(**fields: Any) -> ResponseStream:
    stream = ResponseStream(Response(id="resp_1", created_at=1, model="m", **fields), "0")
    stream.start()
    return stream


def feed(stream: ResponseStream, *deltas: Delta) -> None:
    for delta in deltas:
        stream.feed(delta)
    stream.end_turn()


def call(kind: CallKind, arguments: str, key: str = "0", namespace: str | None = None) -> list[Delta]:
    pieces: list[Delta] = [CallDelta(key, char) for char in arguments]
    return [CallStart(key, f"call_{key}", kind, kind, namespace), *pieces]


def ended(stream: ResponseStream) -> list[Json]:
    """Finish, and return all events: each has passed OpenAI's document, and they fold to the terminal response."""
    if stream.terminal is None:
        assert stream.action is Action.DONE
        stream.finish(2)
    assert stream.terminal is not None
    events: list[Event] = [*stream.take(), stream.terminal]
    bodies: list[Json] = [loads(event.body) for event in events]
    for index, body in enumerate(bodies):
        assert body["sequence_number"] == index
        faults = [
            fault for fault in OPENAI.event_faults(body) if not fault.startswith((".response.us", ".type: no event 'k"))
        ]
        assert not faults, (body, faults)
    folded: list[Json] = loads(to_json(fold(events)))["output"]
    assert folded == bodies[-1]["response"]["output"]
    return bodies


def types(events: Sequence[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events][2:-1]


def output(events: Sequence[Json]) -> list[Json]:
    found: list[Json] = events[-1]["response"]["output"]
    return found
