"""Streams of a Responses backend with anything changed: the grammar holds."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from tests.core.relay.relay_streams import ITEMS, Json, check, play, whole_stream

ODD: tuple[object, ...] = (
    None,
    5,
    -1,
    10**30,
    1.5,
    "",
    "x",
    "\n\ndata: [DONE]\n\n",
    [],
    [None],
    {},
    {"a": None},
    True,
    "a" * 3000,
)


def _mutated(events: list[Json], chance: random.Random) -> list[Json]:
    events = copy.deepcopy(events)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(events))
        match chance.randrange(5):
            case 0:
                del events[at]
            case 1:
                events.insert(chance.randrange(len(events)), copy.deepcopy(events[at]))
            case 2:
                events.insert(at, events.pop(chance.randrange(len(events))))
            case _:
                _mutate(events[at], chance)
        if not events:
            break
    return events


def _mutate(value: Any, chance: random.Random) -> None:
    """Change something somewhere inside of a value."""
    while value:
        key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if isinstance(value[key], (dict, list)) and value[key] and chance.random() < 0.7:
            value = value[key]
            continue
        if chance.random() < 0.3:
            del value[key]
        else:
            value[key] = chance.choice(ODD)
        return


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_changed_the_grammar_holds(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        events = _mutated(whole_stream(*chance.sample(ITEMS, chance.randint(1, 4))), chance)
        try:
            check(play(events))
        except Exception as error:
            error.add_note(f"events: {events}")
            raise
