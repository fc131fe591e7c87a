"""PromptMemory: what it remembers, whose, for how long, and within which bounds."""

from __future__ import annotations

import pytest

from antiphon.core.prompt_cache import Prompt
from antiphon.responses.caching.prompt_memory import OWNERS_SHARE, SECONDS, PromptMemory

LIMIT = 1_000_000
PROMPT = Prompt(model="m")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(clock: Clock) -> PromptMemory:
    return PromptMemory(LIMIT, clock=clock)


def known(memory: PromptMemory, owner: str, count: int) -> list[int]:
    return [number for number in range(count) if memory.find(owner, f"resp_{number}") is not None]


def test_prompts_are_their_owners(memory: PromptMemory) -> None:
    memory.keep("ann", "resp_1", PROMPT, 10, names=["key k"])
    assert memory.find("ann", "resp_1") is not None and memory.latest("ann", ["key k"]) is not None
    assert memory.find("bob", "resp_1") is None and memory.latest("bob", ["key k"]) is None
    memory.forget("bob", "resp_1")
    assert memory.find("ann", "resp_1") is not None
    memory.forget("ann", "resp_1")
    assert memory.find("ann", "resp_1") is None and memory.latest("ann", ["key k"]) is None
    assert memory.size == 0


def test_an_owner_has_a_share(memory: PromptMemory) -> None:
    memory.keep("ann", "resp_0", PROMPT, 10)
    for number in range(100):
        memory.keep("bob", f"resp_{number}", PROMPT, 20_000)
        assert memory.size <= LIMIT // OWNERS_SHARE + 10_000
    assert known(memory, "ann", 1) == [0]
    few = known(memory, "bob", 100)
    assert few == list(range(100))[-len(few) :] and len(few) > 3


def test_all_owners_have_a_limit(memory: PromptMemory) -> None:
    for number in range(100):
        memory.keep(f"owner {number}", "resp_0", PROMPT, 20_000, names=["key k"])
    assert LIMIT // 2 < memory.size <= LIMIT
    left = [number for number in range(100) if memory.latest(f"owner {number}", ["key k"])]
    assert left == list(range(100))[-len(left) :]


def test_many_small_ones_are_bounded_too(memory: PromptMemory) -> None:
    for number in range(1000):
        memory.keep("ann", f"resp_{number}", PROMPT, 0, names=[f"key {number}"])
    assert len(known(memory, "ann", 1000)) < 100


def test_one_that_is_too_large_is_not_remembered(memory: PromptMemory) -> None:
    memory.keep("ann", "resp_0", PROMPT, 10)
    memory.keep("ann", "resp_1", PROMPT, LIMIT)
    assert known(memory, "ann", 2) == [0]
    nothing = PromptMemory(0)
    nothing.keep("ann", "resp_0", PROMPT, 0)
    assert nothing.size == 0 and known(nothing, "ann", 1) == []


def test_after_an_hour_they_are_forgotten(memory: PromptMemory, clock: Clock) -> None:
    memory.keep("ann", "resp_0", PROMPT, 10)
    clock.now = SECONDS + 1
    assert known(memory, "ann", 1) == []
    memory.keep("bob", "resp_1", PROMPT, 10)
    assert memory.size == memory.find("bob", "resp_1").size  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize("stored", [True, False])
def test_the_next_of_a_conversation_takes_the_place_of_one_that_the_store_has(
    memory: PromptMemory, stored: bool
) -> None:
    memory.keep("ann", "resp_0", PROMPT, 10, names=["key k", "conversation c"], stored=stored)
    memory.keep("ann", "resp_1", PROMPT, 10, names=["key k"], stored=stored)
    assert known(memory, "ann", 2) == ([1] if stored else [0, 1])
    memory.keep("ann", "resp_1", PROMPT, 10, names=["key k"], stored=stored)
    latest = memory.latest("ann", ["key k"])
    assert latest is not None and latest is memory.find("ann", "resp_1")
