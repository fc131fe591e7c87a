"""Ids of calls: in the form that a backend takes, the same for the same call, no two alike."""

from __future__ import annotations

import re

import pytest

from antiphon.core.tools.call_ids import BackendIds, FreshIds, IdForm
from tests.growth import assert_linear, cpu_time

FORMS: dict[IdForm, str] = {
    "auto": r"[A-Za-z0-9_-]{1,40}",
    "plain": r"[A-Za-z0-9_-]{1,40}",
    "short": r"[A-Za-z0-9]{9}",
    "counted": r"functions\.[a-z]+:[0-9]+",
}
ODD = ["functions.Bash:0", "x" * 83, "a|b", "", "é", "\ud800", " ", "call 1", "x" * 41, "x\n", "toolu_01/+="]
FINE = ["call_a-B9", "x" * 40, "abcdefgh9"]


def taken(form: IdForm, ids: list[str]) -> list[str]:
    made = BackendIds(form)
    return [made.next(id, "read") for id in ids]


@pytest.mark.parametrize("form", FORMS)
def test_every_id_is_in_the_form_and_no_two_are_the_same(form: IdForm) -> None:
    ids = [*ODD, *FINE, *ODD, *FINE]
    made = taken(form, ids)
    assert all(re.fullmatch(FORMS[form], id) for id in made)
    assert len(set(made)) == len(ids)
    assert made == taken(form, ids), "the next request says the same"
    assert made[:5] == taken(form, ids[:5]), "and so does one with less history"


def test_an_id_that_is_in_the_form_stays() -> None:
    assert taken("plain", FINE) == FINE
    assert taken("short", ["abcdefgh9", "call_a-B9"])[0] == "abcdefgh9"
    assert taken("keep", ODD) == ODD


def test_counted_ids_count_the_calls_of_the_whole_conversation() -> None:
    ids = BackendIds("counted")
    made = [ids.next(id, name) for id, name in (("call_x", "read"), ("functions.read:0", "read"), ("", "write"))]
    assert made == ["functions.read:0", "functions.read:1", "functions.write:2"]


def test_fresh_ids() -> None:
    ids = FreshIds({"functions.read:0", "x", "x_2"})
    assert [ids.take("functions.read:0") for _ in range(2)] == ["functions.read:1", "functions.read:2"]
    assert [ids.take("x") for _ in range(2)] == ["x_3", "x_4"]
    assert [ids.take("y", "call_1"), ids.take("y", "call_1"), ids.take("y", "call_1")] == ["y", "call_1", "y_2"]


def test_many_fresh_ids_are_cheap() -> None:
    def cost(size: int) -> float:
        ids = [FreshIds() for _ in range(3)]
        return cpu_time(lambda: [ids[-1].take("a:0") for _ in range(size)])

    assert_linear(cost, 5_000)
