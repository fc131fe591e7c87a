"""What a chat server says for itself alone: gathered within bounds, whatever comes, and sent back to its own kind."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from msgspec import Raw

from antiphon.backends.chat.opaque import fields, gathering
from antiphon.backends.chat.opaque.fields import Origin
from antiphon.backends.chat.opaque.sending import fields_of
from antiphon.core.deltas import Delta, OpaqueDelta, ReasoningDelta
from antiphon.core.opaque import Opaque
from tests.backends.chat.chats import WEATHER, Json, ask, chunk, heard, sent
from tests.growth import cpu_time

CALL = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}
USER = {"role": "user", "content": "Hi"}


def said(*deltas: Json) -> list[Delta]:
    return heard(ask(), *[chunk(**delta) for delta in deltas], chunk("stop"))


def gathered(deltas: list[Delta]) -> list[Opaque]:
    return [delta.opaque for delta in deltas if isinstance(delta, OpaqueDelta)]


def thoughts(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta))


def blocks(*entries: Any) -> Json:
    return {"thinking_blocks": list(entries)}


ODD = [
    None,
    False,
    0,
    "",
    "x",
    [],
    {},
    [None],
    [5],
    ["x"],
    [[]],
    [{}],
    {"a": []},
    [{"type": 5}],
    [{"index": {}}],
    [{"text": []}],
]


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("name", [*fields.BLOCKS, *fields.WHOLE])
def test_an_odd_value_costs_nothing(name: str, value: Any) -> None:
    for delta in ({name: value}, {name: value, "reasoning": "hm"}, {name: value, "content": "x"}):
        assert said(delta, {"content": "Hi."})


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("name", fields.OF_CALLS)
def test_an_odd_value_of_a_call_costs_nothing(name: str, value: Any) -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}, name: value}
    assert said({"tool_calls": [call]})


@pytest.mark.parametrize(
    "deltas",
    [
        [blocks({"type": "thinking", "thinking": "x" * 100_000}) for _ in range(12)],
        [blocks({"type": "thinking", "thinking": "x", "signature": "s"}) for _ in range(gathering.MOST_BLOCKS + 1)],
    ],
    ids=["size", "count"],
)
def test_blocks_that_are_too_much_are_thoughts_all_the_same(
    deltas: list[Json], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = said(*deltas, {"content": "Hi."})
    assert len(thoughts(found)) == sum(len(delta["thinking_blocks"][0]["thinking"]) for delta in deltas)
    assert not any(one.message or one.inside for one in gathered(found))
    assert len([record for record in caplog.records if "thought signatures" in record.message]) == 1


def test_a_signature_that_is_too_large_is_told_and_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = said(
            {"extra_content": {"google": {"thought_signature": "x" * (gathering.MOST_OPAQUE + 1)}}, "content": "Hi."}
        )
    assert not gathered(found)
    assert "are not kept" in caplog.text


def test_a_nest_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    deep = Raw(b'{"a":' * 300 + b"1" + b"}" * 300)
    with caplog.at_level(logging.WARNING):
        found = said({"extra_content": json.loads(bytes(deep)), "content": "Hi."})
    assert not gathered(found)


def test_what_is_repeated_in_each_fragment_is_kept_once() -> None:
    extra = {"extra_content": {"google": {"thought_signature": "S"}}}
    pieces = [{"tool_calls": [{"index": 0, **extra, "function": {"arguments": piece}}]} for piece in ("{", "}")]
    first = {"tool_calls": [{"index": 0, "id": "c", **extra, "function": {"name": "f", "arguments": ""}}]}
    found = gathered(said(first, *pieces))
    assert [list(one.calls) for one in found] == [["c"]]


def test_a_text_is_not_parted_by_its_signature() -> None:
    found = said(
        {"content": "a"}, {"content": "b", "extra_content": {"google": {"thought_signature": "S"}}}, {"content": "c"}
    )
    assert [type(delta).__name__ for delta in found] == ["TextDelta"] * 3 + ["OpaqueDelta", "Finish"]


@pytest.mark.parametrize(
    ("made", "asked", "reads"),
    [
        (Origin("vllm", "a", "m"), Origin("vllm", "b", "n"), True),
        (Origin("vllm", "a", "m"), Origin("sglang", "a", "m"), False),
        (Origin("generic", "a", "m"), Origin("generic", "a", "n"), True),
        (Origin("generic", "a", "m"), Origin("generic", "b", "m"), True),
        (Origin("generic", "a", "m"), Origin("generic", "b", "n"), False),
    ],
)
def test_who_reads_what(made: Origin, asked: Origin, reads: bool) -> None:
    kept = Opaque(kind=made.kind, address=made.address, model=made.model)
    assert asked.reads(kept) == reads


# What is missing


def assistants(*items: Json, profile: str) -> list[Json]:
    return [
        message for message in sent(ask(*items, tools=[WEATHER]), profile)["messages"] if message["role"] == "assistant"
    ]


def test_deepseek_gets_a_blank_where_thoughts_are_missing() -> None:
    reasoning = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    answer = {"role": "assistant", "content": "Hello."}
    found = assistants(USER, answer, USER, CALL, OUTPUT, USER, reasoning, answer, profile="deepseek")
    assert [message["reasoning_content"] for message in found] == [" ", " ", "hm"]
    assert "reasoning_content" not in assistants(USER, answer, USER, profile="generic")[0]


def test_gemini_gets_a_signature_for_the_first_call_of_each_message() -> None:
    calls = [{**CALL, "call_id": id} for id in ("c1", "c2")]
    outputs = [{**OUTPUT, "call_id": id} for id in ("c1", "c2")]
    (message,) = assistants(USER, *calls, *outputs, profile="gemini")
    first, second = message["tool_calls"]
    assert first["extra_content"] == {"google": {"thought_signature": "skip_thought_signature_validator"}}
    assert "extra_content" not in second
    assert "extra_content" not in assistants(USER, CALL, OUTPUT, profile="generic")[0]["tool_calls"][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "value",
    [
        {"thinking_blocks": [{"type": "thinking", "thinking": "x" * 900_000}]},
        {"extra_content": {"google": {"thought_signature": "x" * 900_000}}},
        {"extra_content": {"a": [0] * 400_000}},
        {"provider_specific_fields": {"thought_signatures": [str(n) for n in range(90_000)]}},
        {"reasoning_details": [{"type": "reasoning.text", "text": "x", "index": n} for n in range(180)]},
    ],
    ids=lambda value: next(iter(value)),
)
def test_large_values_do_not_hold_the_loop(value: Json) -> None:
    """Each of many chunks may hold one; all that is kept is bounded."""
    payloads = [chunk(**value) for _ in range(20)]
    assert cpu_time(lambda: heard(ask(), *payloads, chunk(content="Hi."), chunk("stop"))) < 20 * HELD


HELD = 0.25  # five times what a chunk may take: the machine may be slow


@pytest.mark.parametrize("name", [*fields.WHOLE, *fields.BLOCKS])
@pytest.mark.parametrize("values", [(b'{"a":1}', b'{"b":2}'), (b"5", b'["x"]', b"{}"), (b'[{"text":"a"}]', b"null")])
def test_a_field_that_was_kept_more_than_once_goes_back_as_one(name: str, values: tuple[bytes, ...]) -> None:
    records = [Opaque(kind="generic", message={name: Raw(value)}) for value in values]
    back = json.loads(b"{" + fields_of(records)[1:] + b"}")
    assert list(back) == [name]
    if values[0] == b'{"a":1}' and name in fields.WHOLE:
        assert back[name] == {"a": 1, "b": 2}


def detail(text: str, index: int = 0) -> Json:
    block = {"type": "reasoning.text", "id": f"t{index}", "format": "MiniMax-response-v1", "index": index, "text": text}
    return {"reasoning_details": [block]}


@pytest.mark.parametrize(
    "texts",
    [["Two ", "and ", "two."], ["Two ", "Two and ", "Two and two."], ["", "Two ", "Two and two."], ["Two and two."]],
)
def test_fragments_may_repeat_the_text_before_them(texts: list[str]) -> None:
    deltas = said(*map(detail, texts), {"content": "Four."})
    assert thoughts(deltas) == "Two and two."
    (opaque,) = gathered(deltas)
    (kept,) = json.loads(bytes(opaque.message["reasoning_details"]))
    assert kept["text"] == "Two and two."


def test_each_block_repeats_its_own_text() -> None:
    deltas = said(detail("a"), detail("x", 1), detail("ab"), detail("xy", 1), {"content": "."})
    assert thoughts(deltas) == "axby"
