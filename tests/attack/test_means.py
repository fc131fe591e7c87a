"""The means themselves: cases are the same for a seed, and what is wrong is found."""

from __future__ import annotations

import json
import subprocess
import sys
from random import Random

import pytest

from tests.attack import corpus
from tests.attack.fuzz import Known, http_case, ws_case
from tests.attack.growing import KINDS
from tests.attack.kill import events_of
from tests.attack.mutate import shrink
from tests.attack.verdict import fault_of, of_events
from tests.attack.wire import CONTINUATION, Answer, frame

pytestmark = pytest.mark.slow

IDS = Known("resp_1", "conv_1", "msg_1", "file_1")
JSON = {b"content-type": b"application/json"}
SSE = {b"content-type": b"text/event-stream; charset=utf-8"}
ERROR = {"error": {"message": "No.", "type": "invalid_request_error", "param": "input", "code": "invalid_type"}}


def answer(status: int, body: object, headers: dict[bytes, bytes] = JSON, whole: bool = True) -> Answer:
    return Answer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode(), whole)


def stream(*events: dict, done: bytes = b"data: [DONE]\n\n") -> Answer:
    frames = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
    return answer(200, b"".join(frames) + done, SSE)


def event(number: int, kind: str = "response.created", **fields: object) -> dict:
    return {"type": kind, "sequence_number": number, "response": {"error": None, **fields}}


def test_a_case_is_the_same_in_another_process() -> None:
    script = (
        "from tests.attack.fuzz import *; import hashlib; ids = Known('resp_1', 'conv_1', 'msg_1', 'file_1');"
        "print(hashlib.sha256(b''.join(http_case(5, n, ids).data + ws_case(5, n) for n in range(60))).hexdigest())"
    )
    seen = {subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(seen) == 1
    assert len({http_case(5, n, IDS).data for n in range(60)}) > 50
    assert http_case(5, 1, IDS) != http_case(6, 1, IDS)
    assert ws_case(5, 1) != ws_case(5, 2)


def test_both_documents_are_in_the_corpus() -> None:
    operations = corpus.operations()
    assert {one.document for one in operations} == {0, 1}
    assert {one.path for one in operations} >= {"/responses", "/conversations", "/responses/compact"}
    assert len(corpus.types()) > 100
    create = next(one for one in operations if one.path == "/responses" and one.method == "POST")
    names = {name for seed in range(200) for name in corpus.sample(Random(seed), create.document, create.body)}
    assert len(names) > 15


@pytest.mark.parametrize(
    ("came", "fault"),
    [
        (answer(200, {"object": "list"}), ""),
        (answer(400, ERROR), ""),
        (answer(0, b""), "no answer"),
        (answer(200, {}, whole=False), "broken off"),
        (answer(500, ERROR), "status 500"),
        (answer(400, {"message": "No."}), "another shape"),
        (answer(400, {"error": {**ERROR["error"], "param": 5}}), "another shape"),
        (answer(400, b"No."), "no JSON"),
        (answer(400, b"No.", {b"content-type": b"text/plain"}), "text/plain"),
        (answer(200, b"{"), "no JSON"),
        (answer(200, {"object": "response", "error": {"code": "server_error", "message": "x"}}), "server_error"),
        (stream(event(0), event(1, "response.completed")), ""),
        (stream(event(0), event(1, "response.completed"), done=b""), "does not end in [DONE]"),
        (stream(event(0)), "0 terminal"),
        (stream(event(0), event(1, "response.completed"), event(2, "response.completed")), "2 terminal"),
        (stream(event(0), event(2, "response.completed")), "gaps"),
        (
            stream(event(0), event(1, "response.failed", error={"code": "internal_error", "message": "x"})),
            "internal_error",
        ),
        (answer(200, b"data: [DONE]\n\ndata: [DONE]\n\n", SSE), "in the middle"),
    ],
)
def test_what_is_wrong_with_an_answer_is_found(came: Answer, fault: str) -> None:
    found = fault_of(came)
    assert fault in found if fault else not found, found


def test_events_are_judged_without_their_framing() -> None:
    assert not of_events([event(0), event(1, "response.completed")])
    assert "terminal" in of_events([event(0)])


def test_the_cut_off_end_of_a_stream_is_no_event() -> None:
    body = stream(event(0), event(1)).body[:-40]
    assert [one["sequence_number"] for one in events_of(Answer(200, SSE, body, False))] == [0]


def test_a_finding_shrinks_to_its_cause() -> None:
    body = json.dumps({"a": [1, 2, {"bad": 1, "c": 3}], "b": "x" * 100}).encode()
    assert shrink(body, lambda smaller: b'"bad"' in smaller) == b'{"a": [{"bad": 1}]}'


def test_frames_are_those_of_the_rfc() -> None:
    assert frame(b"hi") == b"\x81\x82\0\0\0\0hi"
    assert frame(b"x" * 200)[:4] == b"\x81\xfe\x00\xc8"
    assert frame(b"", CONTINUATION, fin=False)[0] == 0


def test_inputs_grow_with_their_size() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        small, large = kind.make(kind.size), kind.make(4 * kind.size)
        assert len(large) > len(small), kind.name
        assert len(large) < 60_000_000, kind.name
