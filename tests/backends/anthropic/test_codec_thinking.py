"""Thinking in the body of a Messages request: signatures, efforts, budgets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from antiphon.backends.anthropic.cache_control import NO_CACHE
from antiphon.backends.anthropic.codec import MessagesOptions, request
from antiphon.backends.anthropic.origin import KIND, family
from antiphon.backends.anthropic.thinking import mode_of
from antiphon.core.opaque import OTHER_MODEL, Opaque
from antiphon.core.turn import TurnOptions
from tests.backends.anthropic.codec_requests import PLAIN, Json, assistant, called, item, output, tool, use, user
from tests.backends.turns import turn

# Thoughts


def kept(model: str = "claude-opus-4-5", kind: str = KIND, address: str = "") -> Opaque:
    blocks = b'[{"type":"thinking","thinking":"Hm","signature":"s+/="}]'
    return Opaque(kind=kind, address=address, model=model, inside=True, message={"content": Raw(blocks)})


def thoughts(id: str = "rs_1") -> Json:
    return {"type": "reasoning", "id": id, "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]}


SIGNED = {"type": "thinking", "thinking": "Hm", "signature": "s+/="}


@pytest.mark.parametrize(
    ("opaque", "goes"),
    [
        (kept(), True),
        (kept(address="elsewhere"), True),
        (kept("claude-sonnet-4-5"), False),
        (kept(kind="openrouter"), False),
    ],
)
def test_signatures_go_back_to_the_models_that_made_them(opaque: Opaque, goes: bool) -> None:
    items = [item("user", "a"), thoughts(), item("assistant", "x"), called("c1"), output("c1")]
    asked = turn(items=items, model="claude-opus-4-5-20251101", opaque={"rs_1": (opaque,)})
    call = request(asked, PLAIN)
    said = json.loads(call.fields["messages"])[1]
    assert said == assistant(*([SIGNED] * goes), "x", use("c1"))
    assert [(one.id, one.reason) for one in call.removed] == ([] if goes else [("rs_1", OTHER_MODEL)])


def test_a_message_of_thoughts_alone_is_left_out() -> None:
    items = [item("user", "a"), thoughts(), item("user", "b")]
    asked = turn(items=items, model="claude-opus-4-5", opaque={"rs_1": (kept(),)})
    assert json.loads(request(asked, PLAIN).fields["messages"]) == [user("a", "b")]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5"),
        ("anthropic/claude-opus-4-5", "claude-opus-4-5"),
        ("claude-opus-4-5@20251101", "claude-opus-4-5"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("MiniMax-M2", "MiniMax-M2"),
    ],
)
def test_families(model: str, name: str) -> None:
    assert family(model) == name


@pytest.mark.parametrize(
    ("model", "mode"),
    [
        ("claude-opus-5-5", "adaptive"),
        ("claude-opus-4-6", "adaptive"),
        ("claude-sonnet-4.7", "adaptive"),
        ("anthropic.claude-sonnet-10-20300101", "adaptive"),
        ("claude-opus-4-5", "budget"),
        ("claude-sonnet-4-20250514", "budget"),
        ("claude-opus-4-1-20250805", "budget"),
        ("claude-3-7-sonnet-20250219", "budget"),
        ("claude-3-5-haiku-latest", "off"),
        ("claude-3-opus-20240229", "off"),
        ("MiniMax-M2", "budget"),
        ("kimi-k2-thinking", "budget"),
    ],
)
def test_how_models_think_by_their_names(model: str, mode: str) -> None:
    assert mode_of(model) == mode


ADAPTIVE = {"type": "adaptive", "display": "summarized"}
WISHES: list[tuple[Any, Any, Json, Json]] = [
    ("adaptive", None, {}, {"max_tokens": 8192}),
    ("adaptive", "low", {}, {"thinking": ADAPTIVE, "output_config": {"effort": "low"}}),
    ("adaptive", "minimal", {}, {"thinking": ADAPTIVE, "output_config": {"effort": "low"}, "ignored": True}),
    ("adaptive", "max", {}, {"thinking": ADAPTIVE, "output_config": {"effort": "max"}}),
    ("adaptive", "none", {}, {"thinking": {"type": "disabled"}}),
    ("budget", "high", {}, {"thinking": {"type": "enabled", "budget_tokens": 16384}, "max_tokens": 17408}),
    (
        "budget",
        "high",
        {"max_output_tokens": 4000},
        {"thinking": {"type": "enabled", "budget_tokens": 2976}, "max_tokens": 4000},
    ),
    ("budget", "high", {"max_output_tokens": 1500}, {"max_tokens": 1500, "ignored": True}),
    ("budget", "none", {}, {"thinking": {"type": "disabled"}}),
    ("off", "high", {}, {"ignored": True}),
    ("off", "none", {}, {}),
]


@pytest.mark.parametrize(("mode", "effort", "fields", "said"), WISHES, ids=range(len(WISHES)))
def test_efforts(mode: Any, effort: str | None, fields: Json, said: Json) -> None:
    call = request(turn("a", reasoning_effort=effort, **fields), MessagesOptions(mode=mode, cache=NO_CACHE))
    found = json.loads(call.body())
    for name in ("thinking", "output_config"):
        assert found.get(name) == said.get(name)
    if "max_tokens" in said:
        assert found["max_tokens"] == said["max_tokens"]
    assert ("reasoning.effort" in call.ignored) == said.get("ignored", False)


def test_a_known_limit_bounds_the_budget() -> None:
    call = request(turn("a", reasoning_effort="max"), MessagesOptions(mode="budget", most_output=8192))
    found = json.loads(call.body())
    assert (found["max_tokens"], found["thinking"]["budget_tokens"]) == (8192, 7168)


def test_temperature_is_not_told_beside_thoughts() -> None:
    call = request(turn("a", temperature=0.5, top_p=0.9, reasoning_effort="low"), PLAIN)
    assert not {"temperature", "top_p"} & call.fields.keys()
    assert set(call.ignored) == {"temperature", "top_p"}
    call = request(turn("a", temperature=1.5, top_p=0.9), PLAIN)
    assert (call.fields["temperature"], call.fields["top_p"], call.ignored) == (b"1.0", b"0.9", ("temperature",))


def test_wishes_of_other_front_ends() -> None:
    options = TurnOptions(stop=("END", " \n"), top_k=5, thinking_budget=3000)
    found = json.loads(request(turn("a", options=options), PLAIN).body())
    assert (found["stop_sequences"], found["top_k"]) == (["END"], 5)
    call = request(turn("a", options=options, reasoning_effort="high"), MessagesOptions(mode="budget", cache=NO_CACHE))
    found = json.loads(call.body())
    assert found["thinking"] == {"type": "enabled", "budget_tokens": 3000}
    assert ("top_k" in found, call.ignored) == (False, ("top_k",))


def test_a_forced_call_is_made_without_thoughts() -> None:
    call = request(turn("a", tools=[tool()], tool_choice="required", reasoning_effort="high"), PLAIN)
    assert call.forced
    assert "thinking" not in call.fields
    assert call.ignored == ("reasoning.effort",)


@pytest.mark.parametrize(
    ("mode", "signed", "thinks"),
    [("budget", False, False), ("budget", True, True), ("adaptive", False, True)],
)
def test_a_result_whose_call_had_no_thoughts_of_this_model(mode: Any, signed: bool, thinks: bool) -> None:
    items = [item("user", "a"), thoughts(), called("c1"), output("c1")]
    asked = turn(
        items=items,
        model="claude-opus-4-5",
        tools=[tool()],
        reasoning_effort="high",
        opaque={"rs_1": (kept(),)} if signed else {},
    )
    call = request(asked, MessagesOptions(mode=mode, cache=NO_CACHE))
    assert ("thinking" in call.fields) == thinks
    assert ("reasoning.effort" in call.ignored) != thinks
