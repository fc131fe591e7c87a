"""Outputs without a `call_id` find their call, or are a message of the user's."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.core.tools.unnamed_outputs import with_call_ids
from antiphon.errors import InvalidRequest
from antiphon.types.items import FunctionCall, FunctionCallOutput, InputText, Item, Message, UnnamedOutput

ASKED = Message(role="user", content="Hi")
GOAL = UnnamedOutput(id="fco_1", name="goal_objective", namespace="agent", output="Build it.")


def called(name: str, id: str) -> FunctionCall:
    return FunctionCall(call_id=id, name=name, arguments="{}")


def test_an_output_belongs_to_the_first_waiting_call_of_its_function() -> None:
    items: list[Item] = [called("a", "1"), called("b", "2"), called("b", "3")]
    outputs = [UnnamedOutput(name="b", output="x"), UnnamedOutput(output="y"), UnnamedOutput(name="b", output="z")]
    for earlier, own in (([], [*items, *outputs]), (items, outputs)):
        found = [item for item in with_call_ids(own, earlier) if isinstance(item, FunctionCallOutput)]
        assert [(one.call_id, one.output) for one in found] == [("2", "x"), ("1", "y"), ("3", "z")]


@pytest.mark.parametrize("output", ["Build it.", [InputText(text="Build it.")]])
@pytest.mark.parametrize("earlier", [[], [called("create_goal", "1"), FunctionCallOutput(call_id="1", output="ok")]])
def test_an_output_of_a_function_that_was_not_called_is_a_message(earlier: list[Item], output: Any) -> None:
    goal = UnnamedOutput(id="fco_1", name="goal_objective", namespace="agent", output=output)
    assert with_call_ids([ASKED, goal], earlier) == [ASKED, Message(role="user", content=output)]
    assert with_call_ids([goal, called("x", "2")], earlier)[0].role == "user"  # type: ignore[union-attr]  # a Message


def test_one_that_names_nothing_needs_a_call() -> None:
    with pytest.raises(InvalidRequest, match=r"input\[1\]\.call_id"):
        with_call_ids([ASKED, UnnamedOutput(output="x")], [])
