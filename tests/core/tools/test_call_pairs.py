"""Outputs and their calls where ids repeat: small histories by hand, generated ones against what made them, large ones."""

from __future__ import annotations

import random

import pytest

from antiphon.core.tools.call_pairs import BREAK, CallSide, pair
from tests.growth import assert_linear, cpu_time

KINDS = ("function_call", "custom_tool_call", "shell_call", "apply_patch_call", "computer_call", "tool_search_call")


def sides(text: str) -> list[CallSide | None]:
    """Read a history: `a` calls with the id a, `A` is its output; a digit behind it names the kind, `|` is a user's message."""
    found: list[CallSide | None] = []
    for word in text.split():
        if word == "|":
            found.append(BREAK)
        elif word == ".":
            found.append(None)
        else:
            kind = KINDS[int(word[1:] or 0)]
            found.append(CallSide(word[0].lower(), kind, output=word[0].isupper()))
    return found


@pytest.mark.parametrize(
    ("history", "calls"),
    [
        ("a A", {1: 0}),
        ("a A a A", {1: 0, 3: 2}),
        ("a b A B a b B A", {2: 0, 3: 1, 6: 5, 7: 4}),
        ("a a A A", {2: 0, 3: 1}),
        ("a . a A A", {3: 0, 4: 2}),
        ("a | a A", {3: 2}),
        ("a | a A A", {3: 2, 4: 0}),
        ("a0 a2 A2 A0", {2: 1, 3: 0}),
        ("a0 a2 A0 A2", {2: 0, 3: 1}),
        ("a1 A0", {1: 0}),
        ("A a", {0: 1}),
        ("A B b a", {0: 3, 1: 2}),
    ],
)
def test_pairs(history: str, calls: dict[int, int]) -> None:
    found = pair(sides(history))
    assert (found.calls, found.orphans, found.doubles) == (calls, [], {})


@pytest.mark.parametrize(
    ("history", "orphans", "doubles"),
    [
        ("A", [0], {}),
        ("a B", [1], {}),
        ("a A A", [], {2: 0}),
        ("a A | A", [], {3: 0}),
        ("a A a A A", [], {4: 2}),
        ("A a A", [0], {}),
    ],
)
def test_outputs_without_a_call_of_their_own(history: str, orphans: list[int], doubles: dict[int, int]) -> None:
    found = pair(sides(history))
    assert (found.orphans, found.doubles) == (orphans, doubles)


@pytest.mark.parametrize("seed", range(200))
def test_turns_that_number_their_calls_anew(seed: int) -> None:
    chance = random.Random(seed)
    history: list[CallSide | None] = []
    expected: dict[int, int] = {}
    for _ in range(chance.randrange(1, 8)):
        calls = []
        for _ in range(chance.randrange(1, 5)):
            side = CallSide(f"call:{chance.randrange(3)}", chance.choice(KINDS))
            calls.append((len(history), side))
            history.append(side)
            history.extend([None] * chance.randrange(2))
        answered = [call for call in calls if chance.random() < 0.8]
        groups: dict[CallSide, list[int]] = {}
        for place, side in calls:
            groups.setdefault(side, []).append(place)
        # Calls that cannot be told apart are answered in their order; what is left unanswered are the last ones.
        for _, side in sorted(answered, key=lambda _: chance.random()):
            expected[len(history)] = groups[side].pop(0)
            history.append(CallSide(side.call_id, side.kind, output=True))
        history.append(BREAK)
    found = pair(history)
    assert (found.calls, found.orphans, found.doubles) == (expected, [], {})


@pytest.mark.parametrize("kind", ["alike", "answered last", "early", "doubled"])
def test_the_cost_grows_with_the_size(kind: str) -> None:
    def history(size: int) -> list[CallSide | None]:
        call: CallSide | None = CallSide("x", "function_call")
        output: CallSide | None = CallSide("x", "function_call", output=True)
        match kind:
            case "alike":
                return [call, output] * size
            case "answered last":
                return [call] * size + [output] * size
            case "early":
                return [output] * size + [call] * size
            case _:
                return [call] + [output] * size

    def cost(size: int) -> float:
        made = history(size)
        return cpu_time(lambda: pair(made))

    assert_linear(cost, 5_000)
