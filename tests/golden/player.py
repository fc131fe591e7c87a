"""Plays golden cases: a request and what a backend said → Events and a Response, four ways, without an event loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from json import dumps, loads
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from antiphon.backends.chat.codec import CodecOptions
from antiphon.core.deltas import CallDelta, Delta, ReasoningDelta, RefusalDelta, TextDelta
from antiphon.core.request.decoding import decode_request, decode_tools, resolve_text
from antiphon.core.request.echo import Defaults, echo_response
from antiphon.core.stream.emitter import Emitter, MuteEmitter
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.terms import StreamTerms
from antiphon.errors import APIError, BackendError
from antiphon.types.events import Event
from tests.golden.chat import deltas_of_chunks

ROOT = Path(__file__).parent
CASES = sorted(path.parent.name for path in ROOT.glob("*/request.json"))
ANSWERED = [
    name for name in CASES if loads((ROOT / name / "response.json").read_text() or "{}").get("status") != "failed"
]
"""The cases in which the backend's answer is a whole one."""
ID_BASE = "0123456789abcdef"
STARTED, ENDED = 1767225600, 1767225605
BROKEN = BackendError(502, "The backend broke off in mid-answer.", code="backend_error")

Pieces = TextDelta | RefusalDelta | ReasoningDelta | CallDelta
Json = dict[str, Any]


class Case:
    """A folder of `tests/golden`. `error` is what the backend's answer ends with; `options.json` may hold CodecOptions."""

    def __init__(self, name: str) -> None:
        self.folder = ROOT / name
        self.body = (self.folder / "request.json").read_bytes()
        self.request, _ = decode_request(self.body)
        self.tools = decode_tools(self.request.tools)
        chunks = (self.folder / "turn-1.chunks.jsonl").read_bytes().splitlines()
        settings = self.folder / "options.json"
        options = CodecOptions(**loads(settings.read_text())) if settings.exists() else CodecOptions()
        self.deltas, self.error = deltas_of_chunks(self.request, self.tools, chunks, options)

    def stream(self, *, open_responses_names: bool = False, mute: bool = False) -> ResponseStream:
        """Return the machine as an engine would make it for this request."""
        request = self.request
        response = echo_response(
            request,
            id=f"resp_{ID_BASE}",
            created_at=STARTED,
            tools=self.tools,
            text=resolve_text(request.text),
            defaults=Defaults(),
        )
        options = StreamTerms(
            open_responses_names=open_responses_names,
            summarise=request.reasoning is not None and request.reasoning.summary is not None,
            seal=_seal if "reasoning.encrypted_content" in (request.include or ()) else None,
        )
        return ResponseStream(response, ID_BASE, options, emitter=MuteEmitter() if mute else Emitter())

    def play(self, deltas: Sequence[Delta], error: APIError | None = None, **options: bool) -> list[Event]:
        """Return all events for these deltas, ended by `error` where there is one."""
        stream = self.stream(**options)
        stream.start()
        for delta in deltas:
            stream.feed(delta)
        if error is None:
            stream.end_turn()
            stream.finish(ENDED)
        else:
            stream.fail(error, ENDED)
        assert stream.terminal is not None
        return [*stream.take(), stream.terminal]

    def recorded_events(self) -> list[Json]:
        """Return the events that were recorded and reviewed."""
        return [loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]

    def recorded_response(self) -> Json:
        """Return the response that was recorded and reviewed."""
        response: Json = loads((self.folder / "response.json").read_text())
        return response

    def record(self) -> None:
        """Write down what comes out now; somebody has to read the difference."""
        events = parsed(self.play(self.deltas, self.error))
        lines = "".join(dumps(event, ensure_ascii=False) + "\n" for event in events)
        (self.folder / "events.jsonl").write_text(_storable(lines))
        response = dumps(events[-1]["response"], indent=2, ensure_ascii=False) + "\n"
        (self.folder / "response.json").write_text(_storable(response))


def _seal(text: str) -> str:
    return f"sealed:{len(text)}"


def _storable(text: str) -> str:
    """Escape what UTF-8 has no bytes for, and what splits a file into lines where JSON does not."""
    return "".join(f"\\u{ord(c):04x}" if 0xD800 <= ord(c) < 0xE000 or c in "\x85\u2028\u2029" else c for c in text)


def parsed(events: Sequence[Event]) -> list[Json]:
    """Return the events' JSON."""
    return [loads(event.body) for event in events]


# Ways to play


def shattered(deltas: Sequence[Delta]) -> Iterator[Delta]:
    """Split every piece of text into characters. Logprobs belong to a whole piece: such pieces stay."""
    for delta in deltas:
        if isinstance(delta, Pieces) and not (isinstance(delta, TextDelta) and delta.logprobs):
            yield from (replace(delta, text=character) for character in delta.text)
        else:
            yield delta


def merged(deltas: Sequence[Delta]) -> Iterator[Delta]:
    """Join neighbouring pieces of one kind and one call."""
    for _, run in groupby(deltas, key=_run_of):
        yield _joined(list(run))


def _run_of(delta: Delta) -> object:
    if isinstance(delta, CallDelta):
        return (CallDelta, delta.key)
    return type(delta) if isinstance(delta, Pieces) else id(delta)


def _joined(run: list[Delta]) -> Delta:
    first = run[0]
    if not isinstance(first, Pieces):
        return first
    pieces = msgspec.structs.replace(first, text="".join(piece.text for piece in run if isinstance(piece, Pieces)))
    if isinstance(pieces, TextDelta):
        logprobs = [piece.logprobs for piece in run if isinstance(piece, TextDelta) and piece.logprobs]
        return replace(pieces, logprobs=b",".join(logprobs))
    return pieces


def coalesced(events: Sequence[Json]) -> list[Json]:
    """Join delta events of one place that no other event parts, and leave out numbers: what the pieces' size must not change."""
    result: list[Json] = []
    run: dict[str, Json] = {}
    for event in events:
        event = {key: value for key, value in event.items() if key != "sequence_number"}
        if not event["type"].endswith(".delta"):
            run = {}
            result.append(event)
            continue
        place = dumps({key: value for key, value in event.items() if key not in ("delta", "logprobs")})
        if place not in run:
            run[place] = event
            result.append(event)
            continue
        run[place]["delta"] += event["delta"]
        if "logprobs" in event:
            run[place]["logprobs"] = run[place]["logprobs"] + event["logprobs"]
    return result
