"""Stop sequences: the text is cut exactly, however it comes in pieces."""

from __future__ import annotations

import random

import pytest

from antiphon.core.deltas import (
    CallDelta,
    CallStart,
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    RelayedText,
    TextDelta,
    UsageReport,
)
from antiphon.core.text.stop_sequences import StopFilter
from antiphon.types.response import Usage


def cut(stops: list[str], pieces: list[str]) -> tuple[str, str]:
    """Return the text that is told, and the sequence that ended it."""
    filter = StopFilter(stops)
    told = [delta for piece in pieces for delta in filter.take([TextDelta(piece)])]
    told += filter.take([Finish(FinishReason.STOP)])
    return "".join(delta.text for delta in told if isinstance(delta, TextDelta)), filter.matched


def first(stops: list[str], text: str) -> tuple[str, str]:
    """Find the first end of a sequence the slow way: of those that end together, the longest."""
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            longest = max(found, key=len)
            return text[: end - len(longest)], longest
    return text, ""


@pytest.mark.parametrize(
    ("stops", "pieces", "text", "matched"),
    [
        (["END"], ["abc E", "N", "D def"], "abc ", "END"),
        (["END"], ["abc E", "N", "E"], "abc ENE", ""),
        (["END"], ["END"], "", "END"),
        (["\n\n"], ["a\n", "b\n", "\nc"], "a\nb", "\n\n"),
        (["b", "ab"], ["ab"], "", "ab"),
        (["aab"], ["aaab"], "a", "aab"),
        (["abcd", "bc"], ["abce"], "a", "bc"),
        (["é👍"], ["xé", "👍y"], "x", "é👍"),
    ],
)
def test_a_text_is_cut(stops: list[str], pieces: list[str], text: str, matched: str) -> None:
    assert cut(stops, pieces) == (text, matched)


def test_however_it_comes() -> None:
    chance = random.Random(7)
    for _ in range(3000):
        stops = ["".join(chance.choices("ab", k=chance.randint(1, 4))) for _ in range(chance.randint(1, 3))]
        text = "".join(chance.choices("abc", k=chance.randint(0, 14)))
        places = sorted(chance.randint(0, len(text)) for _ in range(4))
        pieces = [text[at:to] for at, to in zip([0, *places], [*places, len(text)], strict=True)]
        assert cut(stops, pieces) == first(stops, text), (stops, pieces)


def test_thoughts_and_calls_are_not_looked_at_and_part_the_text() -> None:
    filter = StopFilter(["END"])
    deltas: list[Delta] = [
        ReasoningDelta("END"),
        TextDelta("a EN"),
        CallStart("k", "c", "f"),
        CallDelta("k", '"END"'),
        TextDelta("D"),
        UsageReport(Usage()),
        Finish(FinishReason.STOP),
    ]
    told = [one for delta in deltas for one in filter.take([delta])]
    assert told == [
        deltas[0],
        TextDelta("a "),
        TextDelta("EN"),
        *deltas[2:],
    ]


def test_text_of_a_backend_that_speaks_responses() -> None:
    filter = StopFilter(["END"])
    text = RelayedText("response.output_text.delta", "a EN", "m", 0)
    told = [*filter.take([text]), *filter.take([RelayedText("response.output_text.delta", "D b", "m", 0)])]
    assert told == [
        RelayedText("response.output_text.delta", "a ", "m", 0),
        Finish(FinishReason.STOP_SEQUENCE, "END"),
    ]
    assert filter.take([TextDelta("more")]) == ()
    filter.begin()
    assert filter.take([TextDelta("more")]) == [TextDelta("more")]
