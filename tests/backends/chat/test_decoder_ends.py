"""How chat completions end: forced calls read back, finish reasons, usage, errors, whole answers."""

from __future__ import annotations

from json import dumps, loads
from typing import Any

import pytest
from msgspec import Raw

from antiphon.core.deltas import Delta, UsageReport
from antiphon.errors import BackendError
from antiphon.types.request import CreateResponse, TextConfig, TextFormat
from antiphon.types.response import Usage
from antiphon.types.tools import ToolChoice
from tests.backends.chat.chats import PATCH, TIME, WEATHER, ask, chunk, heard, summary
from tests.backends.chat.decoder_chunks import PARIS, TURN, call, made

# Emulated calls


def test_a_forced_call_is_read_back() -> None:
    turn = ask(tools=[WEATHER, TIME], tool_choice="required")
    answer = '{"name": "get_time", "arguments": {"city":"Paris"}}'
    pieces = [chunk(content=piece) for piece in answer]
    assert summary(heard(turn, *pieces, profile="llama_cpp")) == [
        call("get_time", "call_00", PARIS),
        ("finish", "tool_calls"),
    ]
    assert summary(heard(turn, chunk("length", content="cut {"), profile="llama_cpp"))[0] == ("TextDelta", "cut {")


FORMAT = TextFormat(type="json_schema", name="f", schema=Raw(b'{"type":"object"}'))


@pytest.mark.parametrize("form", ["forced", "one", "beside a format", "turned round"])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("logprobs", [False, True])
def test_an_emulated_call_that_is_cut_off_anywhere_is_no_text(form: str, whole: bool, logprobs: bool) -> None:
    tools = [WEATHER] if form == "one" else [WEATHER, TIME]
    how: Any = {"text": TextConfig(format=FORMAT)} if form == "beside a format" else {}
    if form != "beside a format":
        how = {"tool_choice": "required"}
    request = CreateResponse(model="m", input="x", top_logprobs=1 if logprobs else None)
    turn = ask(tools=tools, request=request, **how)
    answer = '{ "name": "get_weather",\n"arguments": {"city":"Pa{\\"ris"} }'
    if form == "turned round":
        answer = '{"arguments": {"city":"Pa{\\"ris"}, "name": "get_weather"}'
    for size in range(len(answer)):
        cut = answer[:size]
        pieces = [chunk(content=piece) for piece in cut] + [chunk("length")]
        if whole:
            message = {"role": "assistant", "content": cut}
            pieces = [dumps({"choices": [{"index": 0, "message": message, "finish_reason": "length"}]}).encode()]
        *said, end = summary(heard(turn, *pieces, profile="llama_cpp", whole=whole))
        assert end == ("finish", "length")
        assert all(entry[:3] == ("call", "function", "get_weather") for entry in said), (cut, said)
        arguments = "".join(entry[4] for entry in said)
        assert '{"city":"Pa{\\"ris"}'.startswith(arguments)
        named = form == "one" or '"get_weather"' in cut
        assert bool(said) == (named and form != "turned round")
        if said and "Pa" in cut:
            assert arguments.startswith('{"city":"Pa')


@pytest.mark.parametrize(
    "text", ["cut {", '{"city": "Ro', '{"name": "Rome", "si', '{"name": "get_time", "city', "[1, "]
)
def test_what_begins_no_call_is_text_where_it_is_cut_off(text: str) -> None:
    turn = ask(tools=[WEATHER, TIME], text=TextConfig(format=FORMAT))
    assert summary(heard(turn, chunk("length", content=text), profile="llama_cpp"))[0] == ("TextDelta", text)


def test_a_grammars_answer_is_the_input() -> None:
    tool = {**PATCH, "format": {"type": "grammar", "syntax": "regex", "definition": "a+"}}
    turn = ask(tools=[tool], tool_choice=ToolChoice(type="custom", name="apply_patch"))
    expected = [call("apply_patch", "call_00", "aa", "custom"), ("finish", "tool_calls")]
    assert summary(heard(turn, chunk(content="a"), chunk(content="a"), profile="vllm")) == expected
    assert summary(heard(turn, chunk("stop"), profile="vllm"))[0] == call("apply_patch", "call_00", "", "custom")


# The frame


def test_other_choices_and_odd_chunks_are_passed_over() -> None:
    other = dumps({"choices": [{"index": 1, "delta": {"content": "no"}}]}).encode()
    fine = b'{"choices":[],"error":{"code":0,"message":""}}'
    odd = [other, b'{"choices":[]}', b"{}", chunk(unknown=[1]), b'{"choices":null,"error":null}', fine, b"[DONE]"]
    assert made(*odd, chunk(content="yes")) == [("TextDelta", "yes"), ("finish", "stop")]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("max_tokens", "length"),
        ("eos", "stop"),
        ("END_TURN", "stop"),
        ("a new word", "stop"),
        ("MAX_TOKENS", "length"),
        ("model_context_window_exceeded", "length"),
        ("contextLengthReached", "length"),
        ("context-size-reached", "length"),
        ("ERROR_LIMIT", "length"),
        ("time_limit", "length"),
        ("tool-calls", "tool_calls"),
        ("toolUse", "tool_calls"),
        ("tool_use", "tool_calls"),
        ("SAFETY", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("image_safety_filter", "content_filter"),
    ],
)
def test_reasons(reason: str, expected: str) -> None:
    assert made(chunk(reason, content="x"))[-1] == ("finish", expected)


@pytest.mark.parametrize(
    "reason",
    [
        "error",
        "ABORT",
        "MALFORMED_FUNCTION_CALL",
        "network_error",
        "upstream_failure",
        "user-cancelled",
        "engine_overloaded",
    ],
)
def test_reasons_of_what_was_broken_off(reason: str) -> None:
    with pytest.raises(BackendError, match="ended its answer with finish_reason"):
        made(chunk(reason, content="x"))


def test_the_words_beside_a_reason_are_kept() -> None:
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    error = {"code": 429, "message": "Too many of you. Please retry in 7s."}
    for payload in ({"choices": [{**choice, "error": error}]}, {"choices": [choice], "error": error}):
        with pytest.raises(BackendError) as caught:
            made(dumps(payload).encode())
        assert (caught.value.status, caught.value.message) == (429, error["message"])


@pytest.mark.parametrize("word", ["null", "", "none"])
def test_words_that_are_no_reason(word: str) -> None:
    with pytest.raises(BackendError, match="ended early"):
        made(chunk(word, content="x"), need_reason=True)


USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 10,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def usage_of(deltas: list[Delta]) -> Usage:
    (report,) = [delta.usage for delta in deltas if isinstance(delta, UsageReport)]
    return report


def test_usage_in_any_chunk_the_last_one_counts() -> None:
    early = loads(chunk(content="x")) | {"usage": {**USAGE, "completion_tokens": 1}}
    usage = usage_of(heard(TURN, dumps(early).encode(), dumps({"choices": [], "usage": USAGE}).encode(), chunk("stop")))
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (9, 10, 19)
    assert (usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens) == (4, 3)


def test_reasoning_tokens_that_the_server_does_not_count() -> None:
    plain = dumps(
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 10, "prompt_cache_hit_tokens": 2}}
    ).encode()
    payloads = [chunk(reasoning_content="aaa"), chunk(content="bb"), plain]
    shared = usage_of(heard(TURN, *payloads))
    assert (shared.output_tokens_details.reasoning_tokens, shared.input_tokens_details.cached_tokens) == (6, 2)


@pytest.mark.parametrize(
    ("payload", "status", "code", "message"),
    [
        (b'{"error":{"message":"Out of memory","code":"oom"}}', 502, "oom", "Out of memory"),
        (b'{"error":{"message":"Busy","code":429}}', 429, "rate_limit_exceeded", "Busy"),
        (b'{"error":"broken at http://10.0.0.1/x"}', 502, "backend_error", "broken at [address]"),
        (b'{"object":"error","message":"bad","code":400}', 400, "invalid_value", "bad"),
        (chunk("error"), 502, "backend_error", "The backend ended its answer with finish_reason 'error'."),
        (b"<html>", 502, "backend_error", "The backend sent something that is not a chat completion."),
        (b"[1]", 502, "backend_error", "The backend sent something that is not a chat completion."),
    ],
)
def test_errors_in_the_stream(payload: bytes, status: int, code: str, message: str) -> None:
    with pytest.raises(BackendError) as caught:
        made(chunk(content="x"), payload)
    assert (caught.value.status, caught.value.code, caught.value.message) == (status, code, message)


@pytest.mark.parametrize(
    "message",
    [
        {"content": "Hello"},
        {"content": "<think>a</think>b", "refusal": "No."},
        {
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [{"id": "a", "function": {"name": "get_time", "arguments": PARIS}}],
        },
        {
            "content": "x",
            "tool_calls": [
                {"id": str(n), "function": {"name": "apply_patch", "arguments": '{"input":"y"}'}} for n in (1, 2)
            ],
        },
    ],
)
def test_a_whole_answer_comes_to_the_same(message: dict[str, Any]) -> None:
    body = dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}).encode()
    streamed = [chunk(**{name: value}) for name, value in message.items() if value]
    streamed += [chunk("stop"), dumps({"choices": [], "usage": USAGE}).encode()]
    assert heard(TURN, body, whole=True) == heard(TURN, *streamed)


def test_a_whole_answer_without_a_message_is_nonsense() -> None:
    with pytest.raises(BackendError):
        heard(TURN, b'{"hello":1}', whole=True)
