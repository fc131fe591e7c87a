"""Ballots as models get them, and what is read of their answers."""

from __future__ import annotations

import json
from math import log
from typing import Any

import pytest
from msgspec import Raw

from antiphon.core.decisions.ballots import Ballot, final_ballot, first_ballots, joined
from antiphon.core.decisions.label_reading import (
    answer_tokens,
    from_logprobs,
    from_votes,
    from_words,
    said_label,
)
from antiphon.core.decisions.questions import Option, Question
from antiphon.types.items import InputText

LETTERS, YES, LEVELS = ("A", "B", "C"), ("Yes", "No"), ("0", "1", "2")


def question(kind: Any, *options: Option, instructions: Any = "Which?") -> Question:
    return Question(kind=kind, name=None, instructions=instructions, options=options)


def test_a_choice_as_the_model_gets_it() -> None:
    asked = question("choice", Option("red", "like blood"), Option(True), Option("B: x\nC: y"), Option(" "))
    assert Ballot(asked, (0, 1, 2, 3)).message().content == (
        'Question: Which?\n\nOptions:\nA: red - like blood\nB: true\nC: "B: x\\nC: y"\nD: " "\n\n'
        "Which option is right? Answer with the letter of one option alone."
    )


def test_a_predicate_in_parts_and_in_words() -> None:
    asked = question("predicate", Option(True), Option(False, "It is not."), instructions=[InputText(text="It rains.")])
    assert Ballot(asked, (0, 1)).message(probabilities=True).content == [
        InputText(text="Statement or question: "),
        InputText(text="It rains."),
        InputText(
            text="\nNo: It is not.\n\nHow likely is it that each of these is right? Answer with one JSON object that maps each of"
            " these labels to its probability: Yes, No. The probabilities add up to 1. Say nothing else."
        ),
    ]


def test_no_label_begins_a_sentence() -> None:
    [ballot] = first_ballots(question("choice", *[Option(str(n)) for n in range(20)]))
    assert len(ballot.labels) == 20 and "I" not in ballot.labels


@pytest.mark.parametrize(
    ("count", "sizes"), [(20, [20]), (21, [10, 11]), (41, [13, 14, 14]), (255, [19, 20, 20] + 4 * [19, 20, 20])]
)
def test_groups_are_of_about_the_same_size(count: int, sizes: list[int]) -> None:
    ballots = first_ballots(question("choice", *[Option(str(n)) for n in range(count)]))
    found = [len(ballot.options) for ballot in ballots]
    assert sum(found) == count and max(found) <= 20 and max(found) - min(found) <= 1 and len(found) == -(-count // 20)
    assert [index for ballot in ballots for index in ballot.options] == list(range(count))


def test_a_final_ballot_has_the_best_of_each_group() -> None:
    asked = question("choice", *[Option(str(n)) for n in range(42)])
    groups = first_ballots(asked)
    shares = [[1.0 if at == 3 else 0.0 for at in range(14)] for _ in groups]
    final = final_ballot(groups, shares)
    assert {3, 17, 31} <= set(final.options) and len(final.options) == 20
    whole = joined(groups, shares, final, [1 / 20] * 20)
    assert sum(whole) == pytest.approx(1) and min(whole) >= 0


@pytest.mark.parametrize(
    ("said", "labels", "place"),
    [
        ("A", LETTERS, 0),
        (" **B**\n", LETTERS, 1),
        ("C) red", LETTERS, 2),
        ("The answer is B.", LETTERS, 1),
        ("Option: C", LETTERS, 2),
        ("yes", YES, 0),
        ("No, it does not.", YES, 1),
        ("2", LEVELS, 2),
        ("Level 1", LEVELS, 1),
        ("A customer complains about it", LETTERS, None),
        ("I cannot say", LETTERS, None),
        ("Not at all", YES, None),
        ("", LETTERS, None),
        ("12", LEVELS, None),
    ],
)
def test_labels_that_are_said(said: str, labels: tuple[str, ...], place: int | None) -> None:
    assert said_label(said, labels) == place


def tokens(*places: dict[str, float]) -> Any:
    """Return tokens, each with its alternatives; the first of them is what was said."""
    entries = []
    for chances in places:
        top = [{"token": token, "logprob": log(chance)} for token, chance in chances.items()]
        entries.append({**top[0], "bytes": [65], "top_logprobs": top})
    return answer_tokens(Raw(json.dumps(entries).encode()))


def test_spellings_of_a_label_are_added_up() -> None:
    found = from_logprobs(tokens({" A": 0.3, "A": 0.1, "**A": 0.1, "B": 0.25, "Ġb": 0.1, "C.": 0.05}), LETTERS)
    assert found == pytest.approx([0.5 / 0.8, 0.25 / 0.8, 0.05 / 0.8])
    assert from_logprobs(tokens({"YES": 0.4, "Y": 0.2, "no": 0.2, "Maybe": 0.2}), YES) == pytest.approx([0.75, 0.25])


def test_marks_before_the_label_are_passed_over() -> None:
    assert from_logprobs(tokens({"\n": 0.9}, {"**": 0.9}, {"B": 0.75, "A": 0.25}), LETTERS) == pytest.approx(
        [0.25, 0.75, 0]
    )


def test_labels_that_are_not_told_share_the_rest() -> None:
    assert from_logprobs(tokens({"A": 0.5, "B": 0.4}), LETTERS) == pytest.approx([0.5, 0.4, 0.1])
    assert from_logprobs(tokens({"A": 0.5}), LETTERS) == pytest.approx([0.5, 0.25, 0.25])


def test_an_answer_of_another_kind_has_no_label() -> None:
    assert from_logprobs(tokens({"I": 0.9, "A": 0.02}, {" cannot": 0.9}), LETTERS) is None
    assert from_logprobs((), LETTERS) is None


@pytest.mark.parametrize(
    "raw", [b"null", b"{}", b'[{"token":5}]', b"[", b'[{"token":"A","logprob":null}]', b"[" * 5000]
)
def test_nonsense_beside_an_answer_is_no_log_probability(raw: bytes) -> None:
    assert from_logprobs(answer_tokens(Raw(raw)), LETTERS) is None


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ('{"A": 0.5, "B": 0.5}', [0.5, 0.5, 0]),
        ('```json\n{"A": "20 %", "b": 0, "C": 80}\n```', [0.2, 0, 0.8]),
        ('Well: {"A)": 1e9, "B": true, "C": 2}', [0, 0, 1]),
        ('{"A": -1, "B": NaN}', None),
        ("{" * 3000, None),
        ('{"A": {"B": 1}}', None),
        ('[{"A": 1}]', [1, 0, 0]),
        ("no", None),
        ('{"A": 0, "B": 0}', None),
    ],
)
def test_probabilities_in_words(text: str, shares: list[float] | None) -> None:
    found = from_words(text, LETTERS)
    assert found == (pytest.approx(shares) if shares else None)


def test_no_vote_makes_certain() -> None:
    assert from_votes([0, 0, 0], 2) == pytest.approx([3.5 / 4, 0.5 / 4])
