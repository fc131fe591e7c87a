"""A mute stream makes the same response as one that speaks, without its events."""

from __future__ import annotations

import pytest

from tests.golden.player import BROKEN, CASES, Case


@pytest.mark.parametrize("name", CASES)
def test_only_the_terminal_event_is_made_and_it_is_the_same(name: str) -> None:
    case = Case(name)
    for error in (None, BROKEN):
        *_, terminal = case.play(case.deltas, error)
        assert case.play(case.deltas, error, mute=True) == [terminal]
