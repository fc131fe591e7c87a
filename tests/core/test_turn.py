"""A client's further fields and the operator's."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from antiphon.core.turn import with_operators
from antiphon.errors import InvalidRequest


def both(theirs: str, ours: str) -> object:
    merged = with_operators({"chat_template_kwargs": Raw(theirs)}, {"chat_template_kwargs": Raw(ours)})
    return json.loads(bytes(merged["chat_template_kwargs"]))


def test_the_operators_fields_win() -> None:
    merged = with_operators({"top_k": Raw("1"), "a": Raw("2")}, {"top_k": Raw("3")})
    assert {name: bytes(value) for name, value in merged.items()} == {"top_k": b"3", "a": b"2"}


def test_of_two_objects_of_template_fields_both_count() -> None:
    assert both('{"a":1,"b":1}', '{"b":2}') == {"a": 1, "b": 2}
    assert both("null", '{"b":2}') == {"b": 2}


@pytest.mark.parametrize("theirs", ["5", "[1]", '"x"', "true", "[" * 5000 + "]" * 5000])
def test_template_fields_that_are_no_object_are_the_clients_fault(theirs: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        both(theirs, '{"b":2}')
    assert (caught.value.status, caught.value.param) == (400, "chat_template_kwargs")
