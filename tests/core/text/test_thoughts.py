"""Inline thoughts: every case whole, in characters, and cut at every place."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from antiphon.core.deltas import ReasoningDelta
from antiphon.core.text.thoughts import LONGEST_UNSURE, ThinkSplitter

CASES = [
    ("<think>a\nb</think>\n\nyes", "a\nb", "yes"),
    ("\n<think>\na</think>yes <think>no</think>", "a", "yes <think>no</think>"),
    ("<thinking>a</thinking>b", "a", "b"),
    ("[THINK]a[/THINK]b", "a", "b"),
    ("<think></think>b", "", "b"),
    ("<mm:think>a</mm:think>b", "a", "b"),
    ("<think>a < b </thin </think>c", "a < b </thin ", "c"),
    ("<think>never ends", "never ends", ""),
    ("<think>a</think>\n", "a", ""),
    ("plain <think>x</think>", "", "plain <think>x</think>"),
    ("<thin", "", "<thin"),
    ("<b>bold</b>", "", "<b>bold</b>"),
    ("  indented", "", "  indented"),
    ("", "", ""),
]


def split(pieces: Sequence[str], **how: bool) -> tuple[str, str]:
    splitter = ThinkSplitter(**how)
    found = [one for piece in pieces for one in splitter.feed(piece)] + splitter.close()
    thoughts = "".join(one.text for one in found if isinstance(one, ReasoningDelta))
    return thoughts, "".join(one.text for one in found if not isinstance(one, ReasoningDelta))


@pytest.mark.parametrize(("text", "thoughts", "answer"), CASES)
def test_split(text: str, thoughts: str, answer: str) -> None:
    cuts = [[text], list(text), *([text[:place], text[place:]] for place in range(1, len(text)))]
    for pieces in cuts:
        assert split(pieces) == (thoughts, answer), pieces


def test_opened_by_the_template() -> None:
    for pieces in (["a</think>b"], list("a</think>b")):
        assert split(pieces, opened=True) == ("a", "b")
    assert split(["all thoughts"], opened=True) == ("all thoughts", "")


def test_kimis_thoughts() -> None:
    text = "<|open|>think<|sep|>a<|close|>think<|sep|>\nb"
    for pieces in ([text], list(text)):
        assert split(pieces) == ("a", "b")
        assert split(pieces, opened=True)[1] == "b"


@pytest.mark.parametrize(
    ("text", "thoughts", "answer"),
    [
        ("The user greets.\n</think>\n\nHi!", "The user greets.\n", "Hi!"),
        ("</think>\n\nHi!", "", "Hi!"),
        ("Hm.</think>", "Hm.", ""),
        ("Hm.[/THINK]Hi!", "Hm.", "Hi!"),
        ("Close it with `</think>`.", "", "Close it with `</think>`."),
        ('The tag "</think>" ends it.', "", 'The tag "</think>" ends it.'),
        ("An example: <think>a</think>", "", "An example: <think>a</think>"),
        ("a</think>b</think>c", "", "a</think>b</think>c"),
        ("<think>a</think>b", "a", "b"),
    ],
)
def test_a_whole_message_that_closes_what_the_template_opened(text: str, thoughts: str, answer: str) -> None:
    splitter = ThinkSplitter()
    splitter.whole = True
    found = [*splitter.feed(text), *splitter.close()]
    assert "".join(one.text for one in found if isinstance(one, ReasoningDelta)) == thoughts
    assert "".join(one.text for one in found if not isinstance(one, ReasoningDelta)) == answer


def test_settled_once_the_answer_has_begun() -> None:
    splitter = ThinkSplitter()
    assert not splitter.settled()
    splitter.feed("<think>a</think>")
    assert not splitter.settled()
    splitter.feed("b")
    assert splitter.settled()


# The template may have opened the thoughts

UNSURE = [
    *CASES,
    ("I think.\n</think>\n\nyes", "I think.\n", "yes"),
    ("I think. [/THINK]yes", "I think. ", "yes"),
    ("</think>yes", "", "yes"),
    ("The tag `</think>` ends it.", "", "The tag `</think>` ends it."),
    ("I think.</think>a </think> b", "I think.", "a </think> b"),
    ("a < b and b > c", "", "a < b and b > c"),
]


@pytest.mark.parametrize(("text", "thoughts", "answer"), UNSURE)
def test_split_where_the_template_may_have_opened_them(text: str, thoughts: str, answer: str) -> None:
    for pieces in ([text], list(text), *([text[:place], text[place:]] for place in range(1, len(text)))):
        assert split(pieces, unsure=True) == (thoughts, answer), pieces


def test_nothing_is_held_back_for_ever() -> None:
    splitter = ThinkSplitter(unsure=True)
    said = [one for _ in range(LONGEST_UNSURE // 8 + 1) for one in splitter.feed("8 chars ")]
    assert "".join(one.text for one in said) == "8 chars " * (LONGEST_UNSURE // 8 + 1)
    assert splitter.settled()
    assert not splitter.unopened


def test_thoughts_of_their_own_tell_that_text_is_answer() -> None:
    splitter = ThinkSplitter(unsure=True)
    splitter.thoughts_came()
    assert [one.text for one in splitter.feed("\n\nyes")] == ["yes"]
