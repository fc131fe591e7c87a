"""`[leaks.NAME]`: families of leaked calls that the configuration adds."""

from __future__ import annotations

import re
from typing import Any

import pytest

from antiphon.backends.chat.leak_families import configured_families
from antiphon.backends.open import open_backends
from antiphon.config import BackendConfig, Config, LeakConfig, ModelConfig
from antiphon.core.text.leaks import Row
from antiphon.errors import ConfigError
from tests.backends.chat.chats import WEATHER, ask, chunk, heard, summary

MINE = {"mine": LeakConfig(shape="named", opener="CALL ", separators=["with"])}


def test_a_family_is_a_row() -> None:
    assert configured_families(MINE) == {"mine": (Row(shape="named", opener="CALL ", separators=("with",)),)}


def test_its_calls_are_found() -> None:
    pieces = [chunk(content=piece) for piece in 'Well. CALL get_weather with {"city":"Paris"}']
    deltas = heard(ask(tools=[WEATHER]), *pieces, leaks=("mine",), own_leaks=configured_families(MINE))
    assert summary(deltas)[:2] == [
        ("TextDelta", "Well. "),
        ("call", "function", "get_weather", "call_00", '{"city":"Paris"}'),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": {"m": ModelConfig(leaks=["hermess"])}}, "models.m.leaks: unknown format 'hermess'; did you mean 'hermes'?"),
        ({"profiles": {"p": {"leaks": ["mime"]}}, "leaks": MINE}, "profiles.p.leaks: unknown format 'mime'; did you mean"),
        ({"leaks": {"glm": MINE["mine"]}}, "leaks.glm: 'glm' is a built-in format; choose another name"),
        ({"leaks": {"x": LeakConfig(shape="markup", opener="<x>")}}, "leaks.x.closer: the shape 'markup' needs it"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(settings: dict[str, Any], message: str) -> None:
    profile = "p" if "profiles" in settings else "generic"
    with pytest.raises(ConfigError, match=re.escape(message)):
        open_backends(Config(backends={"b": BackendConfig(url="http://127.0.0.1:1/v1", profile=profile)}, **settings))
