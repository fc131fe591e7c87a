"""Whole answers that need no filter: those that the filters would pass on as they are, and no other."""

from __future__ import annotations

import pytest

from antiphon.core.deltas import TextDelta
from antiphon.core.text.leaks import CHANNELS, FAMILIES, NAMES, Row, holds_none, open_filters
from antiphon.core.text.leaks.reader import forms_of
from tests.core.text.leaked_calls import OFFERED
from tests.core.text.test_leaks import CASES, UNCHANGED

PLAIN = ["Hello there!", " ~1 a\n", "a { b } ` c", "functional", "\n\nYes.", "\U0001f600"]


@pytest.mark.parametrize(("leak", "text"), [(leak, text) for leak, text, _ in CASES])
def test_a_call_is_never_passed_over(leak: str, text: str) -> None:
    assert not holds_none(text, [leak])
    assert not holds_none(f"\n {text}", list(NAMES))


@pytest.mark.parametrize("text", [*PLAIN, *(text for _, text in UNCHANGED if not text.isspace())])
def test_what_is_passed_over_is_what_filters_pass_on(text: str) -> None:
    for names in ([CHANNELS], list(FAMILIES), list(NAMES)):
        if holds_none(text, names):
            for filter in open_filters(names, OFFERED):
                found = [*filter.feed(text), *filter.close()]
                assert "".join([one.text for one in found if isinstance(one, TextDelta)]) == text


@pytest.mark.parametrize("text", PLAIN[:3])
def test_plain_text_is_passed_over(text: str) -> None:
    assert holds_none(text, list(NAMES))


def test_what_may_begin_a_call_without_an_opener() -> None:
    row = Row(shape="markup", start="go", parameter="<p>", key_end=">", value_end="</p>", closer="</go>")
    assert not holds_none("go on", ["mine"], {"mine": (row,)})
    assert holds_none("on it goes", ["mine"], {"mine": (row,)})
    assert not holds_none("on it goes", ["mine"], {"mine": (Row(shape="named"),)})


def test_families_of_the_configuration_are_prepared_once() -> None:
    own = {"mine": (Row(shape="json", opener="@@", closer="@@"),)}
    assert forms_of(["mine", "llama"], own) is forms_of(["mine", "llama"], dict(own))
    assert forms_of(["mine", "llama"], own) is not forms_of(
        ["mine", "llama"], {"mine": (Row(shape="json", opener="@"),)}
    )
    assert not holds_none("a @ b", ["mine"], own)
    assert holds_none("a @ b", ["llama"], own)
