"""What a PatternHold lets through is what stands before the first match, however the text is cut into pieces."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.deltas import (
    AnnotationDelta,
    CallDelta,
    CallStart,
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Relay,
    TextDelta,
    UsageReport,
)
from antiphon.core.guards.delta_texts import text_of
from antiphon.core.guards.pattern_hold import PatternHold, PatternList
from antiphon.core.guards.patterns import Patterns
from antiphon.errors import ConfigError
from antiphon.types.response import Usage
from tests.growth import assert_linear, cpu_time

ALL = frozenset(("text", "reasoning", "tool_calls", "tool_results"))
WINDOW = 16


def hold(*patterns: str, words: Sequence[str] = (), window: int = WINDOW, blocks: bool = True) -> PatternHold:
    return PatternHold([PatternList("g", Patterns(words, patterns, "guards.g"), ALL, blocks)], window)


def play(held: PatternHold, batches: Sequence[Sequence[Delta]]) -> list[Delta]:
    out: list[Delta] = []
    for batch in batches:
        out += held.take(batch)
    return out + held.end()


def said(deltas: Sequence[Delta]) -> str:
    return "".join(text_of(delta) for delta in deltas if isinstance(delta, TextDelta))


def in_pieces(text: str, cuts: Sequence[int]) -> list[str]:
    places = sorted({min(cut, len(text)) for cut in cuts})
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


PATTERNS = (r"abc", r"\babc\b", r"a[bc]{2,8}", r"(?:^|\s)ab", r"c$", r"b\B", r"(?i)ABC", r"a.c")


@settings(max_examples=400, deadline=None)
@given(
    text=st.text(alphabet="abc \n\u00e9\U0001f600", max_size=90),
    cuts=st.lists(st.integers(0, 90), max_size=30),
    pattern=st.sampled_from(PATTERNS),
)
def test_what_passes_does_not_depend_on_the_pieces(text: str, cuts: list[int], pattern: str) -> None:
    found = re.search(pattern.replace("$", r"\Z"), text, re.ASCII)  # RE2 knows words in ASCII
    expected = text if found is None else text[: found.start()]
    held = hold(pattern)
    out = play(held, [[TextDelta(piece)] for piece in in_pieces(text, cuts) if piece])
    assert (said(out), held.blocked) == (expected, found is not None)


@pytest.mark.parametrize("size", [1, 2, 7, 500])
@pytest.mark.parametrize("word", ["bomb", "big bomb", "Straße", "炸弹", "c++"])
def test_words_are_found_as_words(word: str, size: int) -> None:
    for text, hit in (
        (f"here is a {word.upper() if word.isascii() else word}, look", True),
        (f"{word} first", True),
        (f"at the end {word}", True),
        (f"nothing of the kind {word[:-1]} {'x' * 40}", False),
        (f"{'x' * 40} un{word}ed {'x' * 40}", word in ("炸弹",)),
    ):
        held = hold(words=[word])
        out = play(held, [[TextDelta(text[at : at + size])] for at in range(0, len(text), size)])
        assert held.blocked == hit, text
        if hit:
            assert word.lower() not in said(out).lower()
        else:
            assert said(out) == text


def test_a_text_goes_on_over_other_items() -> None:
    held = hold("SECRET")
    out = play(held, [[TextDelta("it is SEC"), ReasoningDelta("hm"), TextDelta("RET!")]])
    assert held.blocked
    assert said(out) == "it is SEC"  # that part was an item of its own


def test_citations_stay_in_their_places_and_usage_is_never_lost() -> None:
    held = hold("SECRET")
    note, used = AnnotationDelta(b"{}"), UsageReport(Usage(input_tokens=1, output_tokens=1, total_tokens=2))
    out = play(held, [[TextDelta("See"), note, TextDelta(" this.")], [used, Finish(FinishReason.STOP)]])
    assert [type(one).__name__ for one in out] == ["TextDelta", "AnnotationDelta", "TextDelta", "UsageReport", "Finish"]
    held = hold("SECRET")
    out = play(held, [[TextDelta("a SECRET"), note, TextDelta(" and")], [used, Finish(FinishReason.STOP)]])
    assert out == [TextDelta("a "), used]


@pytest.mark.parametrize(
    "arguments",
    ['{"q":"SECRET"}', '{"q":"\\u0053ECRET"}', '{"q":["S\\u0045C","RET"]}', '{"SE\\u0043RET":1}', "a SECRET"],
)
def test_a_call_is_held_until_it_is_whole(arguments: str) -> None:
    held = hold("SECRET")
    start = CallStart("0", "call_1", "look")
    pieces = [CallDelta("0", one) for one in arguments]
    for delta in [start, *pieces]:
        assert not held.take([delta])
    assert held.end() == []
    assert held.blocked
    held = hold("OTHER")
    assert play(held, [[start], pieces, [Finish(FinishReason.TOOL_CALLS)]]) == [
        start,
        *pieces,
        Finish(FinishReason.TOOL_CALLS),
    ]


@pytest.mark.parametrize("made", [TextDelta, ReasoningDelta, RefusalDelta])
def test_the_last_characters_wait(made: type) -> None:
    held = hold("SECRET")
    assert "".join(text_of(one) for one in held.take([made("x" * 40)])) == "x" * (40 - WINDOW)
    assert "".join(text_of(one) for one in held.end()) == "x" * WINDOW


def test_log_probabilities_go_with_the_whole_piece_and_not_with_what_is_left_of_one() -> None:
    held = hold("SECRET")
    out = play(held, [[TextDelta("abc", b"1")], [TextDelta(" is SECRET", b"2")], [TextDelta(" x" * 40, b"3")]])
    assert out == [TextDelta("abc", b"1"), TextDelta(" is ")]


def test_a_guard_that_only_tells_lets_all_pass_and_tells_once() -> None:
    held = hold("SECRET", blocks=False)
    text = "a SECRET and a SECRET " * 5
    assert said(play(held, [[TextDelta(one)] for one in text])) == text
    assert [(hit.guard, hit.place, hit.rule) for hit in held.hits] == [("g", "text", "patterns[0]")]


def test_a_turn_that_was_broken_off_leaves_nothing_held() -> None:
    held = hold("SECRET")
    held.take([TextDelta("half of a SEC")])
    held.begin()
    assert said(play(held, [[TextDelta("RET of another turn")]])) == "RET of another turn"


def test_a_match_without_an_end_is_blocked_at_last() -> None:
    held = hold("a+$")
    for _ in range(20):
        held.take([TextDelta("aaaa")])
    assert held.blocked


@pytest.mark.parametrize(
    ("pattern", "why"),
    [(r"(?=x)x", "no regular expression of RE2"), (r"(x)\1", "RE2"), ("(", "RE2"), ("x*", "empty text")],
)
def test_what_is_not_linear_or_fits_everything_stops_the_start(pattern: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Patterns((), ["fine", pattern], "guards.g")


def test_hostile_expressions_take_linear_time() -> None:
    held = hold(r"(a+)+b", r"(a|a)*c", r"(.*)*d", window=256)
    for _ in range(200):
        held.take([TextDelta("a" * 50)])  # an engine that backtracks would not come back
    held.take([TextDelta("\ud83d\ude00 \udc00")])
    held.end()


def test_names_of_calls_and_what_citations_say_are_looked_at() -> None:
    held = hold("SECRET")
    assert play(held, [[CallStart("0", "call_1", "SECRET"), CallDelta("0", "{}")]]) == [] and held.blocked
    held = hold("SECRET")
    note = AnnotationDelta(
        b'{"type":"url_citation","url":"https://x.org","title":"a SECRET","start_index":0,"end_index":1}'
    )
    assert said(play(held, [[TextDelta("See this."), note, TextDelta(" And that.")]])) == "See this."
    assert held.blocked


def test_pieces_of_a_text_of_a_kind_that_is_not_known_are_one_text() -> None:
    held = hold("SECRET")
    pieces = [Relay("response.audio.transcript.delta", {"delta": one}) for one in ("SEC", "RET")]
    assert play(held, [[pieces[0]], [pieces[1]], [TextDelta("behind")]]) == [] and held.blocked


def test_many_small_pieces_at_once_take_linear_time() -> None:
    def one(size: int) -> float:
        held = hold("SECRET", window=256)
        return cpu_time(lambda: play(held, [[TextDelta("x")] * size]))

    assert_linear(one, 20_000)
