"""Families of users, and bounds of what is looked for in a text."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.core.deltas import TextDelta
from antiphon.core.text.leaks import CHANNELS, FAMILIES, NAMES, LeakedCall, Row, open_filters
from antiphon.core.text.leaks.base import LONGEST
from antiphon.core.text.leaks.reader import MOST_CALLS
from tests.core.text.leaked_calls import BARE, GLM, HERMES, KIMI, KIMI_K3, MINIMAX, OFFERED, PARIS, QWEN, cuts, played
from tests.growth import cpu_time

OWN = {
    "json": Row(shape="json", opener="<<call>>", closer="<</call>>", around=("<<calls>>", "<</calls>>")),
    "named": Row(shape="named", opener="CALL:", separators=("->",)),
    "markup": Row(
        shape="markup", opener="@call ", closer="@end", head_end=";", parameter="@set ", key_end="=", value_end=";"
    ),
    "pythonic": Row(shape="pythonic", opener="<py>", closer="</py>"),
    "braces": Row(shape="braces", opener="@@", closer="@/", quote="''"),
}
SAID = {
    "json": '<<calls>><<call>>{"name": "get_weather", "arguments": {"city": "Paris"}}<</call>><</calls>>',
    "named": 'CALL:get_weather -> {"city": "Paris"}',
    "markup": "@call get_weather; @set city=Paris; @end",
    "pythonic": "<py>get_weather(city='Paris')</py>",
    "braces": "@@get_weather{city: ''Paris''}@/",
}


@pytest.mark.parametrize("shape", OWN)
def test_a_family_of_the_users_own(shape: str) -> None:
    for pieces in cuts("Well. " + SAID[shape]):
        (reader,) = open_filters(["mine"], OFFERED, own={"mine": (OWN[shape],)})
        found = [one for piece in pieces for one in reader.feed(piece)] + reader.close()
        assert played(found) == ("Well. ", "", [PARIS])


@pytest.mark.parametrize("name", ["GetWeather", "functions.GetWeather:0", "tools.get-weather"])
@pytest.mark.parametrize(
    "form", [HERMES, GLM, MINIMAX, KIMI, KIMI_K3, QWEN, BARE, '[TOOL_CALLS]get_weather{"city": "Paris"}']
)
def test_names_that_mean_an_offered_function(form: str, name: str) -> None:
    text = form.replace("functions.get_weather:0", "get_weather").replace("get_weather", name)
    for pieces in ([text], list(text)):
        (reader,) = open_filters(list(FAMILIES), OFFERED, lambda said: "get_weather" if "eather" in said else None)
        found = [one for piece in pieces for one in reader.feed(piece)] + reader.close()
        said, _, calls = played(found)
        assert (said, calls[0][0]) == ("", "get_weather")


def test_what_is_looked_at_in_vain_ends() -> None:
    text = '<tool_call>{"name": "x", "arguments": {"a": "' + "x" * 3000
    (reader,) = open_filters(["hermes"], OFFERED)
    found = [one for _ in range(3000) for one in reader.feed(text + '"}}</tool_call>')] + reader.close()
    assert len("".join(one.text for one in found if isinstance(one, TextDelta))) == 3000 * len(text + '"}}</tool_call>')
    assert played(reader.feed(HERMES) + reader.close())[2] == []


def found_in(family: str, text: str) -> list[Any]:
    """Return what is found in a text that comes whole, by a reader for one family."""
    (reader,) = open_filters([family], OFFERED)
    return [*reader.feed(text), *reader.close()]


MANY = [
    ("kimi_k3", "<|end_of_msg|>a", 20_000),
    ("kimi_k3", "<|close|>message<|sep|>", 40_000),
    ("llama", "<|eot_id|>", 60_000),
    ("glm", "<tool_call>", 80_000),
    (CHANNELS, "<|channel|>analysis<|message|>a<|end|>", 25_000),
    (CHANNELS, "<|channel|>final<|message|>", 35_000),
]


@pytest.mark.parametrize(("family", "marker", "times"), MANY)
def test_of_very_many_markers_the_rest_is_text(family: str, marker: str, times: int) -> None:
    few = cpu_time(lambda: found_in(family, marker * (times // 10)))
    assert cpu_time(lambda: found_in(family, marker * times)) < max(0.02, few) * 4  # 10 times as much without a bound
    assert marker in "".join(one.text for one in found_in(family, marker * times) if not isinstance(one, LeakedCall))


@pytest.mark.parametrize(
    ("family", "call"), [("hermes", HERMES), ("pythonic", "<|python_start|>[get_time()]<|python_end|>")]
)
def test_no_more_calls_are_looked_for_than_an_answer_may_have(family: str, call: str) -> None:
    calls = [one for one in found_in(family, call * 3000) if isinstance(one, LeakedCall)]
    assert MOST_CALLS < len(calls) < 2 * MOST_CALLS


ENDLESS = [
    '<tool_call>{"name": "get_weather", "arguments": {"city": "',
    '{"name": "get_weather", "arguments": {"city": "',
    "<|channel|>commentary to=get_weather<|message|>",
    "<tool_call>get_weather<arg_key>city</arg_key><arg_value>",
]


@pytest.mark.parametrize("text", ENDLESS)
def test_a_call_that_is_too_long_is_text_and_is_not_kept(text: str) -> None:
    filters = open_filters(list(NAMES), OFFERED)
    said = 0
    for piece in (text, *["x" * 65536] * 17):
        for found in (one for first in filters[0].feed(piece) for one in filters[1].feed(first.text)):  # type: ignore[union-attr]
            assert isinstance(found, TextDelta)
            said += len(found.text)
    assert said > LONGEST
