"""Chat completions → Deltas: the odd ways in which servers stream, and whole answers that come to the same."""

from __future__ import annotations

from json import dumps, loads
from typing import Any

import pytest

from antiphon.backends.chat.answer_text import FilterSink
from antiphon.core.deltas import CallStart, Finish, TextDelta
from antiphon.core.tools.offers import Offer, Target
from antiphon.core.turn import Turn
from antiphon.errors import BackendError
from antiphon.types.request import CreateResponse
from tests.backends.chat.chats import PATCH, TIME, WEATHER, ask, call_chunk, chunk, heard, summary
from tests.backends.chat.decoder_chunks import PARIS, TURN, call, made

END = ("finish", "tool_calls")


# The tier


@pytest.mark.parametrize(("tier", "told"), [("priority", "priority"), (None, ""), (7, ""), ({}, ""), ("x" * 65, "")])
def test_the_tier_that_a_server_names(tier: object, told: str) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    last = dumps({"choices": [], "usage": usage, "service_tier": tier}).encode()
    (end,) = [delta for delta in heard(TURN, chunk(content="x"), chunk("stop"), last) if isinstance(delta, Finish)]
    assert end.service_tier == told


# Calls


@pytest.mark.parametrize(
    "payloads",
    [
        [
            call_chunk(0, "a", "get_weather", ""),
            call_chunk(0, None, None, '{"city"'),
            call_chunk(0, None, None, ':"Paris"}'),
        ],
        [call_chunk(0, "a", "get_weather", '{"city"'), call_chunk(0, "a", "get_weather", ':"Paris"}')],
        [call_chunk(None, "a", "get_weather", PARIS)],
        [call_chunk(0, "a", "get_"), call_chunk(0, None, "weather"), call_chunk(0, None, None, PARIS)],
        [call_chunk(0, "a", "get_weather", {"city": "Paris"})],
        [
            call_chunk(0, "a", "get_weather", ""),
            call_chunk(0, "b", None, '{"city"'),
            call_chunk(0, "c", None, ':"Paris"}'),
        ],
        [call_chunk(0, "a", "get_weather"), call_chunk(0, "a", None, PARIS), call_chunk(0, "a", "get_weather", PARIS)],
        [
            chunk(
                tool_calls=[{"index": 0, "id": "a", "function": {"name": "get_weather", "arguments": PARIS}}],
                content="",
            )
        ],
    ],
)
def test_one_call_in_many_forms(payloads: list[bytes]) -> None:
    assert made(*payloads) == [call("get_weather", "a", PARIS), END]


@pytest.mark.parametrize(
    "payloads",
    [
        [call_chunk(0, "a", "get_weather", PARIS), call_chunk(1, "b", "get_time", PARIS)],
        [call_chunk(None, "a", "get_weather", PARIS), call_chunk(None, "b", "get_time", PARIS)],
        [call_chunk(1, "a", "get_weather", PARIS), call_chunk(5, "b", "get_time", PARIS)],
        [call_chunk(0, "a", "get_weather", PARIS), call_chunk(0, "b", "get_time", PARIS)],
        [
            call_chunk(0, "a", "get_weather", ""),
            call_chunk(0, "a", None, PARIS),
            call_chunk(0, "b", "get_time", ""),
            call_chunk(0, "b", None, PARIS),
        ],
    ],
)
def test_two_calls_in_many_forms(payloads: list[bytes]) -> None:
    assert made(*payloads) == [call("get_weather", "a", PARIS), call("get_time", "b", PARIS), END]


def test_calls_without_ids_get_some() -> None:
    payloads = [call_chunk(0, None, "get_weather", PARIS), call_chunk(0, None, "get_time", PARIS)]
    assert made(*payloads) == [call("get_weather", "call_00", PARIS), call("get_time", "call_01", PARIS), END]


def test_one_id_for_two_calls_is_not_relied_on() -> None:
    payloads = [call_chunk(0, "x", "get_weather", PARIS), call_chunk(1, "x", "get_time", PARIS)]
    assert made(*payloads) == [call("get_weather", "x", PARIS), call("get_time", "call_01", PARIS), END]


def test_a_call_without_arguments_and_one_that_was_not_offered() -> None:
    assert made(call_chunk(0, "a", "get_time"), chunk("tool_calls")) == [call("get_time", "a", ""), END]
    assert made(call_chunk(0, "a", "get_time", "null"), chunk("tool_calls")) == [call("get_time", "a", ""), END]
    assert made(call_chunk(0, "a", "unknown", "{}")) == [call("unknown", "a", "{}"), END]


def test_a_call_without_a_name_is_one_of_the_only_function() -> None:
    assert summary(heard(ask(tools=[WEATHER]), call_chunk(0, "a", None, PARIS))) == [
        call("get_weather", "a", PARIS),
        END,
    ]
    with pytest.raises(BackendError, match="without a name"):
        made(call_chunk(0, "a", None, PARIS))


BUNDLE = "multi_tool_use.parallel"
USES = [
    {"recipient_name": "functions.get_weather", "parameters": {"city": "Paris"}},
    {"recipient_name": "functions.apply_patch", "parameters": {"input": "x"}},
    {"recipient_name": "nobody"},
]


def test_calls_in_a_bundle_are_calls() -> None:
    text = dumps({"tool_uses": USES}, separators=(",", ":"))
    found = [
        call("get_weather", "call_00", PARIS),
        call("apply_patch", "call_01", "x", "custom"),
        call("nobody", "call_02", "{}"),
    ]
    ways = [
        [call_chunk(0, "a", BUNDLE, text)],
        [call_chunk(0, "a", f"functions.{BUNDLE}"), *(call_chunk(0, None, None, piece) for piece in text)],
    ]
    for payloads in ways:
        assert made(*payloads) == [*found, END]
    after = call_chunk(1, "b", "get_time", "{}")
    assert made(*ways[0], after) == [*found, call("get_time", "b", "{}"), END]
    one = ask(tools=[WEATHER, PATCH], parallel_tool_calls=False)
    assert summary(heard(one, *ways[1])) == [found[0], END]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"tool_uses":[]}',
        '{"tool_uses":[{}]}',
        '{"tool_uses":[{"recipient_name"',
        dumps({"tool_uses": USES * 50}),
    ],
)
def test_a_bundle_without_calls_is_an_unknown_function(text: str) -> None:
    assert made(call_chunk(0, "a", BUNDLE, text), chunk("tool_calls")) == [call(BUNDLE, "a", text), END]


def test_a_function_of_that_name_that_was_offered_is_called() -> None:
    offered = ask(tools=[{"type": "function", "name": BUNDLE}])
    text = dumps({"tool_uses": USES})
    assert summary(heard(offered, call_chunk(0, "a", "multi_tool_use_parallel", text))) == [
        call(BUNDLE, "a", text),
        END,
    ]


def test_the_older_function_call() -> None:
    payloads = [
        chunk(function_call={"name": "get_time", "arguments": "{"}),
        chunk("function_call", function_call={"arguments": "}"}),
    ]
    assert made(*payloads) == [call("get_time", "call_00", "{}"), END]


def test_only_the_first_call_where_one_was_asked_for() -> None:
    turn = ask(tools=[WEATHER, TIME], parallel_tool_calls=False)
    payloads = [call_chunk(0, "a", "get_weather", PARIS), call_chunk(1, "b", "get_time", PARIS)]
    assert summary(heard(turn, *payloads)) == [call("get_weather", "a", PARIS), END]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (dumps({"input": 'a "b"\n\\ é 😀'}), 'a "b"\n\\ é 😀'),
        (dumps({"input": "é"}, ensure_ascii=False), "é"),
        ('{ "input" : "two\nlines \\d" }', "two\nlines \\d"),
        ("*** Begin Patch", "*** Begin Patch"),
        ('{"patch": "x"}', "x"),
        ('{"why": "y", "input": "x"}', "x"),
        ('"text"', "text"),
        ("{ not JSON", "{ not JSON"),
        ("", ""),
    ],
)
def test_a_custom_tools_input_is_unwrapped(arguments: str, expected: str) -> None:
    for pieces in ([arguments], list(arguments)):
        payloads = [call_chunk(0, "a", "apply_patch"), *(call_chunk(0, None, None, piece) for piece in pieces)]
        assert made(*payloads) == [call("apply_patch", "a", expected, "custom"), END]


def test_a_custom_tools_input_streams() -> None:
    pieces = ['{"inp', 'ut":"ab', "c\\u00", 'e9"}']
    deltas = heard(TURN, *(call_chunk(0, "a", "apply_patch", piece) for piece in pieces))
    assert [delta.text for delta in deltas if not isinstance(delta, CallStart) and hasattr(delta, "text")] == [
        "ab",
        "c",
        "é",
    ]


def test_custom_calls_of_chat_completions_own_kind() -> None:
    first = chunk(tool_calls=[{"index": 0, "id": "a", "custom": {"name": "apply_patch", "input": '{"'}}])
    rest = chunk(tool_calls=[{"index": 0, "custom": {"input": "x"}}])
    assert made(first, rest) == [call("apply_patch", "a", '{"x', "custom"), END]


def test_kinds_and_namespaces_come_back() -> None:
    tools = [{"type": "namespace", "name": "crm", "tools": [WEATHER]}, {"type": "shell"}]
    turn = ask(tools=tools, server_tools=[Offer(target=Target("mcp", "t", "s"))])
    payloads = [call_chunk(index, name, name, "{}") for index, name in enumerate(("crm__get_weather", "shell", "s__t"))]
    starts = [delta for delta in heard(turn, *payloads) if isinstance(delta, CallStart)]
    assert [(start.kind, start.name, start.namespace) for start in starts] == [
        ("function", "get_weather", "crm"),
        ("shell", "shell", None),
        ("mcp", "t", "s"),
    ]


# Text and thoughts


def test_text_streams_as_it_comes() -> None:
    deltas = heard(TURN, chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"), chunk("stop"))
    assert [delta.text for delta in deltas if isinstance(delta, TextDelta)] == ["Hel", "lo"]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_and_blank_lines_before_a_call(field: str) -> None:
    payloads = [chunk(**{field: "hm"}), chunk(content="\n\n"), call_chunk(0, "a", "get_time", "{}")]
    assert made(*payloads) == [("ReasoningDelta", "hm"), call("get_time", "a", "{}"), END]


@pytest.mark.parametrize(
    ("think", "content", "expected"),
    [
        ("auto", "<think>hm</think>\n\nyes", [("ReasoningDelta", "hm"), ("TextDelta", "yes")]),
        ("off", "<think>hm</think>", [("TextDelta", "<think>hm</think>")]),
        ("opened", "hm</think>yes", [("ReasoningDelta", "hm"), ("TextDelta", "yes")]),
    ],
)
def test_inline_thoughts(think: str, content: str, expected: list[tuple[str, str]]) -> None:
    for pieces in ([content], list(content)):
        assert made(*(chunk(content=piece) for piece in pieces), think=think) == [*expected, ("finish", "stop")]


def test_blank_lines_between_thoughts_and_answer_are_neither() -> None:
    entry = {"token": "\n\n", "logprob": -1, "bytes": [10, 10], "top_logprobs": []}
    blank = {"index": 0, "delta": {"content": "\n\n"}, "logprobs": {"content": [entry]}}
    turn = ask(request=CreateResponse(model="m", input="x", top_logprobs=1))
    deltas = heard(turn, chunk(reasoning="hm"), dumps({"choices": [blank]}).encode(), chunk(content="\nyes"))
    assert summary(deltas)[:2] == [("ReasoningDelta", "hm"), ("TextDelta", "yes")]
    assert [delta.logprobs for delta in deltas if isinstance(delta, TextDelta)] == [b""]


def test_parts_and_refusals() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    payloads = [chunk(content=[thinking, {"type": "text", "text": "a"}]), chunk(refusal="No.")]
    assert made(*payloads) == [
        ("ReasoningDelta", "hm"),
        ("TextDelta", "a"),
        ("RefusalDelta", "No."),
        ("finish", "stop"),
    ]


def test_leaks_are_rescued_where_the_profile_says_so() -> None:
    leaked = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
    pieces = [chunk(content=piece) for piece in ("<think>a</think>", *leaked)]
    assert made(*pieces, profile="vllm") == [("ReasoningDelta", "a"), call("get_weather", "call_00", PARIS), END]
    assert made(*pieces, profile="openai") == [("ReasoningDelta", "a"), ("TextDelta", leaked), ("finish", "stop")]
    assert made(*pieces, profile="openai", leaks=("hermes",))[1] == call("get_weather", "call_00", PARIS)


@pytest.mark.parametrize("profile", ["vllm", "generic", "openai"])
def test_no_call_where_calls_are_forbidden(profile: str) -> None:
    turn = ask(tools=[WEATHER], tool_choice="none")
    leaked = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
    said = [("TextDelta", leaked), ("finish", "stop")]
    assert summary(heard(turn, *(chunk(content=piece) for piece in leaked), profile=profile)) == said
    told = '{"name":"get_weather","arguments":{"city":"Paris"}}'
    pieces = [call_chunk(0, "a", "get_weather", '{"city"'), call_chunk(0, None, None, ':"Paris"}')]
    deltas = heard(turn, *pieces, chunk("tool_calls"), profile=profile)
    assert summary(deltas) == [("TextDelta", told), ("finish", "stop")]
    deltas = heard(turn, chunk(content="Hm."), *pieces, chunk("tool_calls"), profile=profile)
    assert summary(deltas) == [("TextDelta", f"Hm.\n{told}"), ("finish", "stop")]
    message = {"tool_calls": [{"id": "a", "function": {"name": "get_weather", "arguments": PARIS}}]}
    whole = dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    assert summary(heard(turn, whole, profile=profile, whole=True)) == [("TextDelta", told), ("finish", "stop")]


@pytest.mark.parametrize("name", ["functions.get_weather:0", "GetWeather", "get_weather<|channel|>json"])
def test_a_leaked_name_is_repaired_like_any_other(name: str) -> None:
    text = f"<tool_call>{dumps({'name': name, 'arguments': {'city': 'Paris'}})}</tool_call>"
    for pieces in ([text], list(text)):
        (found, *rest) = made(*(chunk(content=piece) for piece in pieces), leaks=("hermes",))
        assert found[:4] == ("call", "function", "get_weather", "call_00") and loads(found[4]) == loads(PARIS)
        assert rest == [END]


def test_harmony_channels_are_told_apart_without_tools() -> None:
    text = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>yes"
    deltas = heard(ask(), chunk(content=text), leaks=("harmony", "hermes"))
    assert summary(deltas) == [("ReasoningDelta", "hm"), ("TextDelta", "yes"), ("finish", "stop")]


def test_logprobs_go_with_their_text() -> None:
    turn = ask(request=CreateResponse(model="m", input="x", top_logprobs=1))
    entry = {"token": "é", "logprob": -0.5, "top_logprobs": [{"token": "e", "logprob": -1, "bytes": [101]}]}
    first = {"index": 0, "delta": {"content": "é"}, "logprobs": {"content": [entry]}}
    deltas = heard(turn, dumps({"choices": [first]}).encode(), think="off")
    assert isinstance(deltas[0], TextDelta) and loads(deltas[0].logprobs) == {
        "token": "é",
        "logprob": -0.5,
        "bytes": [195, 169],
        "top_logprobs": [{"token": "e", "logprob": -1.0, "bytes": [101]}],
    }
    held = heard(turn, dumps({"choices": [first]}).encode(), chunk(content="!"))
    assert [(delta.text, bool(delta.logprobs)) for delta in held if isinstance(delta, TextDelta)] == [
        ("é", True),
        ("!", False),
    ]


def token(text: str, **fields: Any) -> dict[str, Any]:
    return {"token": text, "logprob": -1.0, "bytes": list(text.encode()), "top_logprobs": [], **fields}


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ({"content": "Hi!"}, ["Hi", "!", "<|im_end|>"]),
        ({"content": "Hi!"}, ["Hi", "!"]),
        ({"content": "Hi!", "reasoning_content": "hm Hi!"}, ["<think>", "hm ", "Hi", "!", "</think>", "Hi", "!"]),
        ({"content": "<think>hm</think>\n\nHi!"}, ["<think>", "hm", "</think>", "\n\n", "Hi", "!", "<|im_end|>"]),
    ],
)
def test_logprobs_of_a_whole_answer_are_those_of_its_text(message: dict[str, Any], tokens: list[str]) -> None:
    turn = ask(request=CreateResponse(model="m", input="x", top_logprobs=1))
    choice = {"message": message, "finish_reason": "stop", "logprobs": {"content": [token(one) for one in tokens]}}
    deltas = heard(turn, dumps({"choices": [choice]}).encode(), whole=True)
    (text,) = [delta for delta in deltas if isinstance(delta, TextDelta)]
    assert (text.text, loads(b"[%b]" % text.logprobs)) == ("Hi!", [token("Hi"), token("!")])


@pytest.mark.parametrize(
    "content", ["Hello", " \n", "\n\nHi", "[1] a", "a <b>", "{", "functools are", "<think>a</think>b", "é"]
)
@pytest.mark.parametrize("beside", [{}, {"reasoning": "Hm."}, {"tool_calls": [{"function": {"name": "get_time"}}]}])
@pytest.mark.parametrize("turn", [TURN, ask()])
def test_a_plain_whole_answer_is_read_as_one_that_is_looked_through(
    content: str, beside: dict[str, Any], turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = {"content": content, **beside}
    whole = dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    found = heard(turn, whole, whole=True)
    monkeypatch.setattr(FilterSink, "_is_plain", lambda sink, text: False)
    assert heard(turn, whole, whole=True) == found
