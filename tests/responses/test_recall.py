"""Recall's memory: an owner's own, bounded in bytes and time; the store behind it is asked once for each call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from msgspec import Raw

from antiphon.core.context import input_items
from antiphon.core.json_encoding import to_json
from antiphon.core.tools.call_thoughts import bare_calls, thoughts_id
from antiphon.responses.recall import MOST_ASKED, SECONDS, Recall
from antiphon.stores.base import ResponseStore
from antiphon.types.items import FunctionCall, Item, Message, Reasoning, ReasoningText
from tests.growth import cpu_time

ID = "call_0123456789abcdef"


class Stored:
    """The methods of a store that are used; notes what is asked for. `thinks`: it cannot tell that it has no thoughts."""

    def __init__(self, items: Mapping[str, bytes] | None = None, *, thinks: bool = True) -> None:
        self.known = items or {}
        self.asked: list[str] = []
        self.thinks = thinks

    async def may_have_thoughts(self, owner: str) -> bool:
        return self.thinks

    async def items(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        self.asked += ids
        return {id: self.known[id] for id in ids if id in self.known}


def answer(id: str, thoughts: str) -> list[bytes]:
    return [
        to_json(Reasoning(id=f"rs_{id}", content=[ReasoningText(text=thoughts)])),
        to_json(FunctionCall(call_id=id, name="read", arguments="{}")),
    ]


def call(id: str) -> list[Item]:
    return [FunctionCall(call_id=id, name="read", arguments="{}")]


async def recalled(recall: Recall, id: str, owner: str = "ann", stored: Stored | None = None) -> str:
    """Return the thoughts that a call gets back."""
    store = cast(ResponseStore, stored or Stored())
    items, _ = await recall.restored(call(id), {}, owner, store)
    return "".join(part.text for item in items if isinstance(item, Reasoning) for part in item.content or ())


def ids(count: int) -> list[str]:
    return [f"{ID}{number:04}" for number in range(count)]


async def test_the_oldest_goes_where_there_is_no_room() -> None:
    recall = Recall(100_000)
    for id in ids(100):
        recall.keep("ann", (), answer(id, "x" * 1_000), {})
    assert recall.size <= 100_000 // 4
    assert await recalled(recall, ids(100)[0]) == ""
    assert await recalled(recall, ids(100)[-1]) == "x" * 1_000


async def test_who_was_here_longest_ago_loses_first() -> None:
    recall = Recall(40_000)
    for number in range(20):
        recall.keep(f"owner {number}", (), answer(ID, "x" * 3_000), {})
    assert recall.size <= 40_000
    assert await recalled(recall, ID, "owner 0") == ""
    assert await recalled(recall, ID, "owner 19") == "x" * 3_000


async def test_an_owner_cannot_drive_out_the_others() -> None:
    recall = Recall(100_000)
    recall.keep("ann", (), answer(ID, "mine"), {})
    for id in ids(200):
        recall.keep("bob", (), answer(id, "x" * 1_000), {})
    assert await recalled(recall, ID, "ann") == "mine"


async def test_what_nobody_asks_for_is_forgotten() -> None:
    now = [0.0]
    recall = Recall(100_000, clock=lambda: now[0])
    first, second, third = ids(3)
    recall.keep("ann", (), answer(first, "one"), {})
    recall.keep("ann", (), answer(second, "two"), {})
    now[0] = SECONDS - 1
    assert await recalled(recall, first) == "one"
    now[0] = SECONDS + 1
    recall.keep("bob", (), answer(third, "three"), {})
    assert (await recalled(recall, first), await recalled(recall, second)) == ("one", "")


async def test_switched_off_it_keeps_and_asks_nothing() -> None:
    recall, stored = Recall(0), Stored()
    assert recall.keep("ann", (), answer(ID, "mine"), {}) == {}
    assert await recalled(recall, ID, stored=stored) == ""
    assert (recall.size, stored.asked) == (0, [])


async def test_where_nobody_has_thoughts_no_call_is_looked_for() -> None:
    stored, recall = Stored(thinks=False), Recall(100_000)
    assert await recalled(recall, ids(1)[0], stored=stored) == ""
    assert (recall.size, stored.asked) == (0, [])
    recall.keep("ann", (), answer(ID, "mine"), {}, "resp_one")
    assert await recalled(recall, ID, stored=stored) == "mine"
    recall.forget("ann", "resp_one")
    stored.asked.clear()
    assert await recalled(recall, ID, stored=stored) == ""
    assert stored.asked == []


async def test_the_store_is_asked_once() -> None:
    thoughts = answer(ID, "stored")[0]
    stored = Stored({thoughts_id(ID, 0): thoughts})
    recall = Recall(100_000)
    for _ in range(3):
        assert await recalled(recall, ID, stored=stored) == "stored"
        assert await recalled(recall, ids(1)[0], stored=stored) == ""
    assert len(stored.asked) == len(set(stored.asked)) == 4, "of a call without thoughts for the first only"


async def test_of_very_many_calls_the_store_is_asked_for_the_last() -> None:
    stored, recall = Stored(), Recall(1_000_000)
    items = [item for id in ids(500) for item in call(id)]
    await recall.restored(items, {}, "ann", cast(ResponseStore, stored))
    assert len({one.rpartition(":")[2] for one in stored.asked}) == MOST_ASKED


async def test_another_owner_gets_nothing() -> None:
    recall = Recall(100_000)
    recall.keep("ann", (), answer(ID, "mine"), {})
    assert await recalled(recall, ID, "bob") == ""


@pytest.mark.parametrize("id", ["call_1", "functions.read:0", "", "0"])
async def test_a_short_id_needs_the_same_question(id: str) -> None:
    recall = Recall(100_000)
    asked: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "Read it."}]}]
    other: list[Any] = [{"role": "user", "content": "Write it."}]
    said: list[Any] = [{"role": "user", "content": "Read it."}]

    def items(values: list[Any]) -> list[Item]:
        return input_items([Raw(to_json(value)) for value in values])

    recall.keep("ann", items(asked), answer(id, "mine"), {})
    for question, known in ((asked, True), (said, True), (other, False), ([], False)):
        given, _ = await recall.restored([*items(question), *call(id)], {}, "ann", cast(ResponseStore, Stored()))
        assert any(isinstance(item, Reasoning) for item in given) == known


@pytest.mark.parametrize(("id", "known"), [("call_1", False), ("functions.read:0", False), ("", False), (ID, True)])
async def test_of_another_model_only_a_long_id_tells(id: str, known: bool) -> None:
    recall = Recall(100_000)
    asked: list[Item] = [Message(role="user", content="Read it.")]
    recall.keep("ann", asked, answer(id, "mine"), {}, model="one")
    for model, given_back in (("one", True), ("other", known)):
        store = cast(ResponseStore, Stored())
        given, _ = await recall.restored([*asked, *call(id)], {}, "ann", store, model=model)
        assert any(isinstance(item, Reasoning) for item in given) == given_back, model


def test_a_long_question_is_read_once() -> None:
    question = Message(role="user", content="x" * 1_000_000)

    def items(count: int) -> list[Item]:
        return [question, *[FunctionCall(call_id=f"c{n}", name="read", arguments="{}") for n in range(count)]]

    few = cpu_time(lambda: bare_calls(items(10), lambda item: False))
    assert cpu_time(lambda: bare_calls(items(1_000), lambda item: False)) < 20 * max(few, 0.005)


def thoughts_of(base: str, number: int) -> bytes:
    return to_json(Reasoning(id=f"rs_{base}{number:04x}", content=[ReasoningText(text="mine")]))


@pytest.mark.parametrize("kept", ["in memory", "in the store"])
async def test_the_thoughts_of_a_deleted_response_are_forgotten(kept: str) -> None:
    recall, other, base = Recall(100_000), "call_fedcba9876543210", "01ab" * 12
    output = [thoughts_of(base, 0), answer(ID, "")[1]]
    stored = Stored({thoughts_id(ID, 0): output[0]} if kept == "in the store" else {})
    if kept == "in memory":
        recall.keep("ann", (), output, {}, f"resp_{base}")
    recall.keep("ann", (), answer(other, "another's"), {}, "resp_other")
    recall.keep("bob", (), output, {}, f"resp_{base}")
    assert await recalled(recall, ID, stored=stored) == "mine"
    recall.forget("ann", f"resp_{base}")
    assert await recalled(recall, ID) == ""
    assert (await recalled(recall, other), await recalled(recall, ID, "bob")) == ("another's", "mine")


def test_to_forget_a_response_costs_the_same_however_much_is_remembered() -> None:
    def cost(count: int) -> float:
        recall = Recall(1 << 30)
        for number in range(count):
            recall.keep("ann", (), [thoughts_of(f"{number:048}", 0), answer(f"{ID}{number:06}", "")[1]], {}, "")
        return cpu_time(lambda: [recall.forget("ann", f"resp_{number}") for number in range(300)])

    assert cost(5_000) < 20 * max(cost(50), 0.001)


async def test_all_is_let_go_with_the_last_entry() -> None:
    recall = Recall(100_000)
    for id in ids(300):
        recall.keep("ann", (), [thoughts_of(id, 0), answer(id, "")[1]], {}, f"resp_{id}")
    for id in ids(300):
        recall.forget("ann", f"resp_{id}")
    assert recall.size == 0 and not recall._of_responses and not recall._owners
