"""The means themselves: cases are the same for a seed, and what is wrong is found."""

from __future__ import annotations

import json
import subprocess
import sys
from random import Random

import pytest

from tests.attack import corpus
from tests.attack.cases import Known, http_case, ws_case
from tests.attack.growth import KINDS
from tests.attack.kill import events_of
from tests.attack.messages import as_messages
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
        "from tests.attack.cases import *; import hashlib; ids = Known('resp_1', 'conv_1', 'msg_1', 'file_1');"
        "print(hashlib.sha256(b''.join(http_case(5, n, ids).data + ws_case(5, n) for n in range(60))).hexdigest())"
    )
    seen = {subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(seen) == 1
    assert len({http_case(5, n, IDS).data for n in range(60)}) > 50
    assert http_case(5, 1, IDS) != http_case(6, 1, IDS)
    assert ws_case(5, 1) != ws_case(5, 2)


def test_the_documents_are_in_the_corpus() -> None:
    operations = corpus.operations()
    assert {one.document for one in operations} == {0, 1, 2, 3, 4, 5}
    paths = {one.path for one in operations}
    assert paths >= {"/responses", "/conversations", "/responses/compact", "/files", "/containers"}
    assert "/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel" in paths
    assert {"/admin/keys", "/admin/responses/delete"} <= paths
    assert len(corpus.types()) > 100
    create = next(one for one in operations if one.path == "/responses" and one.method == "POST")
    names = {name for seed in range(200) for name in corpus.sample(Random(seed), create.document, create.body)}
    assert len(names) > 15


def test_all_that_came_after_the_responses_api_is_in_the_cases() -> None:
    sent = b"\n".join(http_case(5, number, IDS).data for number in range(3000))
    for path in (
        b"/v1/messages ",
        b"/v1/messages/count_tokens ",
        b"/v1/messages?beta=true ",
        b"/v1/vector_stores ",
        b"/v1/files ",
    ):
        assert b"POST " + path in sent, path
    for tool in (
        b"web_search",
        b"file_search",
        b"code_interpreter",
        b"text_editor_",
        b"vector_store_ids",
        b"stop_sequences",
    ):
        assert b'"%b' % tool in sent, tool
    assert b"POST /v1/containers/cntr_0/files " in sent and b"multipart/form-data" in sent
    assert any(b"file_search" in ws_case(5, number) for number in range(300))


def test_a_golden_case_becomes_a_messages_body() -> None:
    fields = {
        "input": [
            {"role": "user", "content": "hi"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'},
            {"type": "function_call_output", "call_id": "c", "output": "x"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    }
    body = as_messages(fields)
    assert [one["role"] for one in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}]
    assert body["tools"][0]["input_schema"] == {"type": "object"}


START = {"type": "message_start", "message": {}}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
PIECE = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
CLOSED = {"type": "content_block_stop", "index": 0}
ENDED = ({"type": "message_delta", "delta": {}}, {"type": "message_stop"})
MESSAGES_ERROR = {"type": "error", "error": {"type": "api_error", "message": "No."}}


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ((START, BLOCK, PIECE, CLOSED, *ENDED), ""),
        ((START, {"type": "ping"}, *ENDED), ""),
        ((START, BLOCK, PIECE, MESSAGES_ERROR), ""),
        ((START, BLOCK, PIECE), "ends with"),
        ((BLOCK, PIECE, CLOSED, *ENDED), "behind"),
        ((START, START, *ENDED), "behind"),
        ((START, BLOCK, BLOCK, CLOSED, *ENDED), "while 0 is open"),
        ((START, PIECE, *ENDED), "not open"),
        ((START, CLOSED, *ENDED), "not open"),
        ((START, BLOCK, *ENDED), "while a block is open"),
        ((START, *ENDED, MESSAGES_ERROR), "behind the end"),
        ((START, {"type": "error", "error": {"message": "No."}}), "another shape"),
    ],
)
def test_what_is_wrong_with_a_stream_of_messages_is_found(events: tuple[dict, ...], fault: str) -> None:
    found = fault_of(stream(*events, done=b""), form="messages")
    assert fault in found if fault else not found, found


def test_each_route_has_the_errors_of_its_api() -> None:
    theirs = {**MESSAGES_ERROR, "request_id": "req_1"}
    assert not fault_of(answer(400, theirs), form="messages") and not fault_of(answer(400, theirs))
    assert "another shape" in fault_of(answer(400, theirs), form="openai")
    assert "another shape" in fault_of(answer(400, ERROR), form="messages")
    assert "another shape" in fault_of(answer(400, MESSAGES_ERROR), form="messages")


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
