"""The tables of the run with real engines, as far as they can be judged without engines."""

from __future__ import annotations

import pytest

from tests.engines.answers import FEATURES
from tests.engines.asking import MODES
from tests.engines.engines import ENGINES
from tests.engines.limits import LIMITS, Limit, limit_of
from tests.engines.page import LIMIT, RIGHT, section, seen
from tests.engines.run import Verdict, table, worst
from tests.engines.serving import SERVING

NAMES = {*FEATURES, *SERVING, "server's log"}


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.engines[0]}-{limit.features[0]}")
def test_a_limit_is_about_engines_features_and_modes_that_there_are(limit: Limit) -> None:
    assert set(limit.engines) <= set(ENGINES)
    assert set(limit.features) <= NAMES
    assert set(limit.modes) <= set(MODES)
    assert all(set(limit.apis) & set(ENGINES[engine].apis) for engine in limit.engines) or not limit.apis
    assert limit.told and limit.reason.endswith(".")


def test_no_two_limits_are_about_the_same() -> None:
    for engine, one in ENGINES.items():
        for api in one.apis:
            for feature in NAMES:
                for mode in (*MODES, ""):
                    assert sum(limit.covers(engine, api, feature, mode) for limit in LIMITS) <= 1, (engine, feature)


def test_what_was_seen_is_right_or_a_limit_with_its_reason() -> None:
    marks = seen()
    assert {"llama_cpp chat", "llama_cpp responses", "litellm chat", "litellm responses"} <= set(marks)
    for column, features in marks.items():
        engine, _, api = column.partition(" ")
        assert api in ENGINES[engine].apis
        assert set(features) == NAMES
        for feature, mark in features.items():
            covered = any(limit_of(engine, api, feature, mode) for mode in (*MODES, ""))
            assert mark == RIGHT or (mark == LIMIT and covered), (column, feature, mark)
    assert all(limit.reason in section() for limit in LIMITS if limit.engines[0] in {name.split()[0] for name in marks})


def test_a_cell_of_the_table_is_the_worst_of_its_modes() -> None:
    made = [Verdict("llama_cpp", "chat", "text", mode, mark) for mode, mark in (("whole", "✓"), ("streamed", "✗"))]
    made.append(Verdict("llama_cpp", "chat", "call", "whole", "="))
    assert [worst(made, "llama_cpp", "chat", feature) for feature in ("text", "call", "usage")] == ["✗", "=", ""]
    assert table(made).splitlines()[1].split() == ["text", "✗"]
