"""Items of a backend that speaks Responses, told by another front end's Writers, as a chat backend's Deltas are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from antiphon.backends.responses.decoder import ResponsesEventDecoder
from antiphon.core.deltas import CallStart
from antiphon.core.stream.emitter import Emitter, MuteEmitter
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.stream.writer_table import OPENAI_WRITERS, WriterTable
from antiphon.errors import BackendError
from antiphon.types.response import Response
from tests.core.relay.relay_streams import CALL, CITATION, CUSTOM, ITEMS, MESSAGE, SEARCH, THOUGHT, Json, whole_stream

Told = list[tuple[Any, ...]]


class Tells:
    """A Writer that notes what it is called with."""

    def __init__(
        self, told: Told, kind: str, item_id: str, index: int, start: CallStart | None = None, seal: Any = None
    ):
        self.item_id = item_id
        self.index = index
        self.item_id = item_id
        self.arguments = ""
        self.item_id = item_id
        self._told = told
        self._kind = kind
        self._seal = seal
        told.append(("open", kind, item_id, index, *((start.name, start.call_id, start.kind) if start else ())))

    def text(self, text: str, logprobs: bytes = b"") -> None:
        self.arguments += text
        self._told.append((self._kind, text))

    def annotate(self, annotation: Any) -> None:
        self._told.append(("annotation", annotation))

    def refusal(self, text: str) -> None:
        self._told.append(("refusal", text))

    def close(self, status: str) -> bytes:
        sealed = (self._seal("all of it"),) if self._seal else ()
        self._told.append(("close", self._kind, self.index, status, *sealed))
        return b"{}"


def table(told: Told) -> WriterTable:
    return WriterTable(
        message=lambda _, id, index: Tells(told, "message", id, index),
        reasoning=lambda _, id, index, options: Tells(told, "thoughts", id, index, seal=options.seal),
        call=lambda _, id, index, start: Tells(told, "call", id, index, start),
    )


def play(events: Sequence[Json], writers: WriterTable, emitter: Emitter, **options: Any) -> Json:
    """Return the response that a front end's last event would spell."""
    decoder = ResponsesEventDecoder()
    response = Response(id="resp_0", created_at=1, model="m")
    stream = ResponseStream(response, "0" * 48, StreamTerms(**options), emitter=emitter, writers=writers)
    stream.start()
    try:
        for delta in decoder.feed(json.dumps(event).encode() for event in events):
            stream.feed(delta)
        if decoder.error is not None:
            raise decoder.error
        decoder.finish()
        stream.end_turn()
        return json.loads(stream.finish(2))
    except BackendError as error:
        return json.loads(stream.fail(error, 2))


def told_of(events: Sequence[Json], **options: Any) -> tuple[Told, Json]:
    told: Told = []
    return told, play(events, table(told), MuteEmitter(), **options)


def texts(told: Told, kind: str) -> str:
    return "".join(entry[1] for entry in told if entry[0] == kind)


def seal(text: str) -> str:
    return f"sealed: {text}"


@pytest.mark.parametrize(
    "options", [{}, {"seal": seal}, {"open_responses_names": True}], ids=["plain", "sealed", "named"]
)
@pytest.mark.parametrize("cut", [None, 5, 12, 20, 27, 33])
def test_the_items_are_the_same_as_for_openais_events(cut: int | None, options: Json) -> None:
    events = whole_stream(*ITEMS)[:cut]
    assert told_of(events, **options)[1] == play(events, OPENAI_WRITERS, Emitter(), **options)


def test_what_is_told() -> None:
    told, response = told_of(whole_stream(THOUGHT, MESSAGE, CALL, CUSTOM, SEARCH))
    assert [entry for entry in told if entry[0] in ("open", "close")] == [
        ("open", "thoughts", "rs_1", 0),
        ("close", "thoughts", 0, "completed"),
        ("open", "message", "msg_1", 1),
        ("close", "message", 1, "completed"),
        ("open", "call", "fc_1", 2, "f", "c1", "function"),
        ("close", "call", 2, "completed"),
        ("open", "call", "ctc_1", 3, "g", "c2", "custom"),
        ("close", "call", 3, "completed"),
    ]
    assert (texts(told, "thoughts"), texts(told, "message")) == ("In short", "Hello")
    assert texts(told, "call") == CALL["arguments"] + CUSTOM["input"]
    assert [item["type"] for item in response["output"]][-1] == "web_search_call"
    assert response["output"][1]["content"][0]["annotations"] == [CITATION]


def test_thoughts_are_told_once_and_their_parts_are_paragraphs() -> None:
    summary = [{"type": "summary_text", "text": text} for text in ("One", "Two")]
    told, _ = told_of(whole_stream({**THOUGHT, "summary": summary}, MESSAGE))
    assert texts(told, "thoughts") == "One\n\nTwo"
    told, _ = told_of(whole_stream({**THOUGHT, "summary": []}, MESSAGE))
    assert texts(told, "thoughts") == "Hm."


def test_the_seal_is_the_items_own() -> None:
    told, _ = told_of(whole_stream(THOUGHT, MESSAGE), seal=seal)
    assert ("close", "thoughts", 0, "completed", "sealed") in told
    told, response = told_of(whole_stream({**THOUGHT, "encrypted_content": ""}, MESSAGE), seal=seal)
    assert ("close", "thoughts", 0, "completed", "sealed: Hm.") in told
    assert response["output"][0]["encrypted_content"] == "sealed: Hm."


def test_a_refusal_is_one() -> None:
    part = {"type": "refusal", "refusal": "No."}
    told, _ = told_of([{"type": "response.completed", "response": {"output": [{**MESSAGE, "content": [part]}]}}])
    assert ("refusal", "No.") in told


def test_what_breaks_off_is_closed() -> None:
    told, response = told_of(whole_stream(MESSAGE)[:4])
    assert told[-1] == ("close", "message", 0, "incomplete")
    assert (response["status"], response["output"][0]["status"]) == ("failed", "incomplete")


def test_a_table_with_writers_of_its_own_for_such_items() -> None:
    assert OPENAI_WRITERS.relayed is not None
    told: Told = []
    made = play(
        whole_stream(MESSAGE),
        WriterTable(
            message=table(told).message,
            reasoning=table(told).reasoning,
            call=table(told).call,
            relayed=OPENAI_WRITERS.relayed,
        ),
        Emitter(),
    )
    assert not told and made["output"] == [MESSAGE]
