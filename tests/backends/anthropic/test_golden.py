"""The golden cases, as a server of the Messages API would have answered them: the same response comes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pytest

from antiphon.core.deltas import (
    CallDelta,
    CallStart,
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    UsageReport,
)
from antiphon.core.kinds import CUSTOM
from antiphon.core.tools.tool_map import Target, ToolMap
from tests.backends.anthropic.streams import call, decoder, end, message, payloads, start, text, thoughts
from tests.golden.player import ANSWERED, Case, parsed

Json = dict[str, Any]
SAYABLE = (TextDelta, ReasoningDelta, CallStart, CallDelta, UsageReport, Finish)
REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTENT_FILTER: "refusal",
}


def is_sayable(case: Case) -> bool:
    """Tell whether an answer has nothing but what the Messages API can say."""
    plain = all(isinstance(delta, SAYABLE) for delta in case.deltas)
    return plain and not any(isinstance(delta, TextDelta) and delta.logprobs for delta in case.deltas)


CASES = [name for name in ANSWERED if is_sayable(Case(name))]


def as_messages(case: Case) -> list[Json]:
    """Return a case's answer as events of the Messages API."""
    tools = ToolMap(case.tools)
    blocks: list[list[Json]] = []
    reason = "end_turn"
    for kind, run in groupby(case.deltas, key=type):
        found: Sequence[Any] = list(run)
        if kind is TextDelta:
            blocks.append(text(len(blocks), *(delta.text for delta in found)))
        elif kind is ReasoningDelta:
            blocks.append(thoughts(len(blocks), *(delta.text for delta in found)))
        elif kind is CallStart:
            for began in found:
                name = tools.name_of(Target(began.kind, began.name, began.namespace))
                blocks.append(call(len(blocks), began.call_id, name, *_input(case.deltas, began)))
        elif kind is Finish:
            reason = REASONS[found[-1].reason]
    return message(*blocks, reason=reason)


def _input(deltas: Sequence[Delta], began: CallStart) -> list[str]:
    pieces = [delta.text for delta in deltas if isinstance(delta, CallDelta) and delta.key == began.key]
    if began.kind != CUSTOM:
        return pieces
    wrapped = json.dumps({"input": "".join(pieces)})
    return [wrapped[:7], wrapped[7:]]


def told(case: Case, deltas: Sequence[Delta]) -> Json:
    response: Json = parsed(case.play(deltas))[-1]["response"]
    for item in response["output"]:
        item.pop("encrypted_content", None)
    return {name: value for name, value in response.items() if name != "usage"}


def test_most_cases_can_be_said() -> None:
    assert len(CASES) > len(ANSWERED) / 2


@pytest.mark.parametrize("name", CASES)
def test_a_golden_case_is_the_same_from_a_messages_backend(name: str) -> None:
    case = Case(name)
    out: list[Delta] = []
    reader = decoder(case.tools)
    reader.feed(payloads(as_messages(case)), out)
    reader.finish(out)
    assert told(case, out) == told(case, case.deltas)


def test_a_piece_of_every_size_gives_the_same() -> None:
    events = message(text(0, "Hello"), call(1, "c1", "f", '{"a":1}'), reason="tool_use")
    split = [start(), *text(0, *"Hello"), *call(1, "c1", "f", *'{"a":1}'), *end("tool_use")]
    case = Case(CASES[0])
    found = []
    for one in (events, split):
        out: list[Delta] = []
        reader = decoder()
        reader.feed(payloads(one), out)
        reader.finish(out)
        found.append(told(case, out))
    assert found[0] == found[1]
