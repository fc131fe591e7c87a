"""Events of the Messages API → Deltas."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from antiphon.backends.anthropic.origin import BLOCKS
from antiphon.core.deltas import (
    AnnotationDelta,
    CallDelta,
    CallStart,
    Delta,
    Finish,
    FinishReason,
    InputRemoved,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    UsageReport,
)
from antiphon.core.text.sse import MOST_SAID
from antiphon.errors import BackendError
from antiphon.types.response import InputTokensDetails, OutputTokensDetails, Usage
from tests.backends.anthropic.streams import (
    block,
    call,
    decoded,
    decoder,
    end,
    message,
    payloads,
    start,
    text,
    thoughts,
    whole,
)
from tests.backends.turns import text_of, thoughts_of

Json = dict[str, Any]
REDACTED = {"type": "redacted_thinking", "data": "ZW5j+/=="}
SEARCHED = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
ANSWERS: dict[str, tuple[list[Json], Json]] = {
    "text": (message(text(0, "Hel", "lo")), {"text": "Hello"}),
    "thoughts": (message(thoughts(0, "Two ", "and two"), text(1, "Four")), {"thoughts": "Two and two", "text": "Four"}),
    "redacted": (message(block(0, REDACTED), text(1, "Yes")), {"text": "Yes", "opaque": [REDACTED]}),
    "omitted": (
        message(thoughts(0, signature="cw=="), text(1, "Yes")),
        {"text": "Yes", "opaque": [{"type": "thinking", "thinking": "", "signature": "cw=="}]},
    ),
    "interleaved": (
        message(thoughts(0, "a", signature="s1"), text(1, "x"), thoughts(2, "b", signature="s2"), reason="end_turn"),
        {
            "thoughts": "ab",
            "text": "x",
            "opaque": [
                {"type": "thinking", "thinking": "a", "signature": "s1"},
                {"type": "thinking", "thinking": "b", "signature": "s2"},
            ],
        },
    ),
    "call": (
        message(text(0, "So"), call(1, "toolu_1", "f", '{"a"', ":1}"), reason="tool_use"),
        {"text": "So", "calls": [["toolu_1", "f", {"a": 1}]], "reason": "tool_calls"},
    ),
    "two calls": (
        message(call(0, "t1", "f", "{}"), call(1, "t2", "g", '{"b":2}'), reason="tool_use"),
        {"calls": [["t1", "f", {}], ["t2", "g", {"b": 2}]], "reason": "tool_calls"},
    ),
    "call without input": (
        message(call(0, "t1", "f"), reason="tool_use"),
        {"calls": [["t1", "f", {}]], "reason": "tool_calls"},
    ),
    "a call that says end_turn": (
        message(call(0, "t1", "f", "{}")),
        {"calls": [["t1", "f", {}]], "reason": "tool_calls"},
    ),
    "text behind a call": (
        message(call(0, "t1", "f", "{}"), text(1, "Done"), reason="tool_use"),
        {"calls": [["t1", "f", {}]], "text": "Done", "reason": "tool_calls"},
    ),
    "cut": (message(text(0, "One"), reason="max_tokens"), {"text": "One", "reason": "length"}),
    "window": (message(text(0, "One"), reason="model_context_window_exceeded"), {"text": "One", "reason": "length"}),
    "stop string": (message(text(0, "One"), reason="stop_sequence"), {"text": "One"}),
    "unknown reason": (message(text(0, "One"), reason="from_tomorrow"), {"text": "One"}),
    "refusal": (message(text(0, "I"), reason="refusal"), {"text": "I", "reason": "content_filter"}),
    "nothing": (message(), {}),
    "hosted search": (
        message(text(0, "See. "), block(1, SEARCHED), block(2, FOUND), text(3, "It is.")),
        {"text": "See. It is."},
    ),
    "half characters": (message(text(0, "\ud83d", "\ude00!")), {"text": "\U0001f600!"}),
}


def told(deltas: list[Delta]) -> Json:
    """Return what deltas say, each only where there is any."""
    starts = [delta for delta in deltas if isinstance(delta, CallStart)]
    pieces = [delta for delta in deltas if isinstance(delta, CallDelta)]
    reason = next(delta.reason for delta in deltas if isinstance(delta, Finish))
    found = {
        "text": text_of(deltas),
        "thoughts": thoughts_of(deltas),
        "calls": [
            [s.call_id, s.name, json.loads("".join(p.text for p in pieces if p.key == s.key) or "{}")] for s in starts
        ],
        "opaque": opaque_of(deltas),
        "reason": "" if reason is FinishReason.STOP else str(reason),
    }
    return {name: value for name, value in found.items() if value}


def opaque_of(deltas: list[Delta]) -> list[Json]:
    kept = [delta.opaque.message[BLOCKS] for delta in deltas if isinstance(delta, OpaqueDelta)]
    return [one for blocks in kept for one in msgspec.json.decode(blocks)]


def expected(name: str) -> Json:
    events, wanted = ANSWERS[name]
    signed = [event["content_block"]["type"] for event in events if "content_block" in event]
    return wanted if "thinking" not in signed or "opaque" in wanted else {**wanted, "opaque": [SIGNED]}


SIGNED = {"type": "thinking", "thinking": "Two and two", "signature": "c2lnbmVk"}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_the_same_streamed_with_pings_and_whole(name: str) -> None:
    events, _ = ANSWERS[name]
    wanted = expected(name)
    assert told(decoded(events)) == wanted
    pinged = [event for one in events for event in (one, {"type": "ping"}, {"type": "from_tomorrow", "index": 3})]
    assert told(decoded(pinged)) == wanted
    if name == "half characters":
        return
    out: list[Delta] = []
    reader = decoder()
    reader.whole(json.dumps(whole(events)).encode(), out)
    reader.finish(out)
    assert told(out) == wanted


def test_the_counts_are_summed_as_openai_counts() -> None:
    deltas = decoded(message(text(0, "x"), output_tokens_details={"thinking_tokens": 3}))  # type: ignore[arg-type]
    reports = [delta.usage for delta in deltas if isinstance(delta, UsageReport)]
    assert reports[0].input_tokens == 18
    assert reports[-1] == Usage(18, InputTokensDetails(4, 2), 5, OutputTokensDetails(3), 23)


def test_counts_may_come_at_the_end_alone() -> None:
    deltas = decoded([start({}), *text(0, "x"), *end(input_tokens=7, cache_read_input_tokens=5)])
    (usage,) = [delta.usage for delta in deltas if isinstance(delta, UsageReport)]
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens) == (12, 5, 5)


def test_without_counts_there_is_no_report() -> None:
    events = [start({}), *text(0, "x"), {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, end()[1]]
    assert not [delta for delta in decoded(events) if isinstance(delta, UsageReport)]


def test_a_refusal_is_explained() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "That is refused."}
    events = [
        start(),
        {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}},
        end()[1],
    ]
    deltas = decoded(events)
    assert [delta.text for delta in deltas if isinstance(delta, RefusalDelta)] == ["That is refused."]


def test_sources_with_an_address_become_citations() -> None:
    source = {"type": "web_search_result_location", "url": "https://a.example/", "title": "A", "cited_text": "x"}
    document = {"type": "char_location", "document_index": 0, "start_char_index": 0}
    deltas = [{"type": "text_delta", "text": "It is."}]
    deltas += [{"type": "citations_delta", "citation": citation} for citation in (source, document, None)]  # type: ignore[dict-item]
    found = [
        json.loads(delta.annotation)
        for delta in decoded(message(block(0, {"type": "text", "text": ""}, *deltas)))
        if isinstance(delta, AnnotationDelta)
    ]
    assert [(one["type"], one["url"], one["title"], one["end_index"]) for one in found] == [
        ("url_citation", "https://a.example/", "A", 6)
    ]


def test_only_the_first_call_is_passed_on_where_the_client_wants_one() -> None:
    deltas = decoded(message(call(0, "t1", "f", "{}"), call(1, "t2", "g", "{}"), reason="tool_use"), parallel=False)
    assert told(deltas)["calls"] == [["t1", "f", {}]]


def test_what_the_request_went_without_is_told() -> None:
    deltas = decoded(message(text(0, "x")), removed=[InputRemoved("rs_1", "model_mismatch")])
    assert deltas[0] == InputRemoved("rs_1", "model_mismatch")


def test_a_signature_in_pieces_is_one_and_a_block_without_one_is_kept() -> None:
    opening = {"type": "thinking", "thinking": ""}
    pieces = [{"type": "signature_delta", "signature": piece} for piece in ("ab", "cd")]
    deltas = decoded(message(block(0, opening, {"type": "thinking_delta", "thinking": "x"}, *pieces), text(1, "y")))
    assert opaque_of(deltas) == [{"type": "thinking", "thinking": "x", "signature": "abcd"}]
    deltas = decoded(message(block(0, opening, {"type": "thinking_delta", "thinking": "x"}), text(1, "y")))
    assert opaque_of(deltas) == [{"type": "thinking", "thinking": "x"}]


def test_a_whole_block_in_its_opening_counts() -> None:
    events = message(
        block(0, {"type": "thinking", "thinking": "Hm", "signature": "s"}),
        block(1, {"type": "text", "text": "Yes"}),
        block(2, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}),
        reason="tool_use",
    )
    found = told(decoded(events))
    assert (found["thoughts"], found["text"], found["calls"]) == ("Hm", "Yes", [["t", "f", {"a": 1}]])
    assert found["opaque"] == [{"type": "thinking", "thinking": "Hm", "signature": "s"}]


def test_characters_that_were_cut_in_two_are_whole_or_replaced() -> None:
    out: list[Delta] = []
    reader = decoder()
    text_said = b'"a\\ud83d\\ude00b\\ud83dc"'
    reader.whole(b'{"type":"message","content":[{"type":"text","text":%b}],"stop_reason":"end_turn"}' % text_said, out)
    assert text_of(out) == "a\U0001f600b\ufffdc"
    opened = b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":%b}}' % text_said
    out.clear()
    decoder().feed([opened], out)
    assert text_of(out) == "a\U0001f600b\ufffdc"


def test_all_of_an_answer_may_stand_in_its_beginning() -> None:
    content = [{"type": "text", "text": "So"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]
    found = told(decoded([start(content=content, stop_reason="tool_use"), {"type": "message_stop"}]))
    assert found == {"text": "So", "calls": [["t", "f", {"a": 1}]], "reason": "tool_calls"}


@pytest.mark.parametrize("cut", range(1, 6))
def test_an_answer_without_an_end_was_broken_off(cut: int) -> None:
    events = message(text(0, "Hel", "lo"))
    out: list[Delta] = []
    reader = decoder()
    reader.feed(payloads(events[:-cut]), out)
    with pytest.raises(BackendError, match="message_stop") as raised:
        reader.finish(out)
    assert raised.value.retriable
    assert not [delta for delta in out if isinstance(delta, Finish)]


def test_an_answer_without_an_end_counts_where_that_is_allowed() -> None:
    assert told(decoded(message(text(0, "Hello"))[:-2], may_lack_end=True)) == {"text": "Hello"}


ERRORS = [
    ("overloaded_error", "Overloaded", 503, "backend_unavailable", True),
    ("rate_limit_error", "Slow down", 429, "rate_limit_exceeded", True),
    ("api_error", "Internal", 502, "backend_error", True),
    ("timeout_error", "Late", 504, "backend_timeout", True),
    ("invalid_request_error", "messages.1: no", 400, "invalid_value", False),
    (
        "invalid_request_error",
        "prompt is too long: 210000 tokens > 200000 maximum",
        400,
        "context_length_exceeded",
        False,
    ),
    ("authentication_error", "invalid x-api-key", 502, "backend_error", True),
    ("billing_error", "No credit", 402, "insufficient_quota", True),
    ("new_error", "Something", 502, "backend_error", True),
]


@pytest.mark.parametrize(("type", "words", "status", "code", "retriable"), ERRORS)
def test_an_error_in_the_stream_has_its_status(type: str, words: str, status: int, code: str, retriable: bool) -> None:
    out: list[Delta] = []
    error = {"type": "error", "error": {"type": type, "message": words}, "request_id": "req_1"}
    with pytest.raises(BackendError) as raised:
        decoder().feed(payloads([start(), *text(0, "x"), error]), out)
    assert text_of(out) == "x"
    assert (raised.value.status, raised.value.code, raised.value.retriable) == (status, code, retriable)


ODD = [
    b"",
    b"nothing",
    b"[]",
    b"7",
    b'{"type":7}',
    b'{"choices":[]}',
    b'{"error":{"message":"no"}}',
    b'{"type":"content_block_delta","index":"x","delta":{"text":"a"}}',
    b'{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}',
    b'{"type":"message_start","message":7}',
    b'{"type":"content_block_start","index":0,"content_block":{"type":"tool_use"}}',
    b'{"type":"content_block_start","index":0,"content_block":"x"}',
    b"[" * 100_000,
    b'{"type":"ping","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"type":"ping","x":[' + b"[]," * 50_000 + b"[]]}",
]


@pytest.mark.parametrize("payload", ODD, ids=range(len(ODD)))
def test_what_is_no_event_is_an_error_or_nothing(payload: bytes) -> None:
    reader = decoder()
    out: list[Delta] = []
    with suppress(BackendError):  # any other error would be one of ours
        reader.feed([payload, *payloads(message(text(3, "x")))], out)
        reader.finish(out)
        assert text_of(out).endswith("x")


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"x", b'{"content":7}', b'{"type":"error","error":{"type":"api_error"}}']
)
def test_what_is_no_answer_is_an_error(body: bytes) -> None:
    with pytest.raises(BackendError):
        decoder().whole(body, [])


def test_an_answer_has_bounds() -> None:
    many = [event for index in range(2001) for event in text(index)]
    with pytest.raises(BackendError, match="blocks"):
        decoder().feed(payloads([start(), *many]), [])
    many = [event for index in range(501) for event in call(index, f"t{index}", "f", "{}")]
    with pytest.raises(BackendError, match="tool calls"):
        decoder().feed(payloads([start(), *many]), [])
    reader = decoder()
    reader.feed(payloads([start(), *text(0, "x" * MOST_SAID, "y")]), [])
    with pytest.raises(BackendError, match="characters"):
        reader.check_size()


def test_large_thoughts_are_shown_and_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    deltas = decoded(message(thoughts(0, "x" * 1_100_000), text(1, "y")))
    assert len(thoughts_of(deltas)) == 1_100_000
    assert opaque_of(deltas) == []
    assert "are not kept" in caplog.text


def test_an_answer_that_pauses_goes_on_from_what_it_has() -> None:
    events = message(
        thoughts(0, "Hm"),
        text(1, "See. "),
        block(2, SEARCHED, {"type": "input_json_delta", "partial_json": '{"query":"q"}'}),
        block(3, FOUND),
        reason="pause_turn",
    )
    reader = decoder()
    out: list[Delta] = []
    reader.feed(payloads(events), out)
    assert reader.paused
    assert json.loads(reader.go_on()) == [
        {"type": "thinking", "thinking": "Hm", "signature": "c2lnbmVk"},
        {"type": "text", "text": "See. "},
        {**SEARCHED, "input": {"query": "q"}},
        FOUND,
    ]
    reader.feed(payloads(message(text(0, "It is."))), out)
    reader.finish(out)
    assert text_of(out) == "See. It is."
    last = [delta.usage for delta in out if isinstance(delta, UsageReport)][-1]
    assert (last.input_tokens, last.output_tokens, last.total_tokens) == (36, 10, 46)
    assert isinstance(out[-1], Finish)


def test_deltas_come_one_by_one() -> None:
    reader = decoder()
    seen = []
    for payload in payloads(message(thoughts(0, "a"), text(1, "b", "c"))):
        out: list[Delta] = []
        reader.feed([payload], out)
        seen += [type(delta) for delta in out]
    assert seen == [UsageReport, ReasoningDelta, OpaqueDelta, TextDelta, TextDelta]
