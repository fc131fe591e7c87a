"""Calls that nobody waits for stand behind all others in a backend's queue, and take nobody's place."""

from __future__ import annotations

from antiphon.backends.routing.call_queue import CallQueue, Waiter


def waiter(name: str, owner: str = "ann", *, patient: bool = False) -> Waiter:
    return Waiter(owner, name, patient=patient)


def order(queue: CallQueue) -> list[str]:
    found = []
    while (one := queue.next()) is not None:
        found.append(one.response)
    return found


async def test_patient_calls_come_after_all_others() -> None:
    queue = CallQueue()
    for name, patient in (("b1", True), ("a", False), ("b2", True), ("c", False)):
        queue.join(waiter(name, patient=patient))
    assert [queue.position(name) for name in ("a", "c", "b1", "b2", "x")] == [1, 2, 3, 4, 0]
    assert order(queue) == ["a", "c", "b1", "b2"]
    assert len(queue) == 0


async def test_owners_of_patient_calls_alternate() -> None:
    queue = CallQueue()
    for name, owner in (("a1", "ann"), ("a2", "ann"), ("b1", "bob")):
        queue.join(waiter(name, owner, patient=True))
    assert order(queue) == ["a1", "b1", "a2"]


async def test_patient_calls_take_nobodys_place() -> None:
    queue = CallQueue()
    for number in range(2):
        queue.join(waiter(f"p{number}", patient=True))
    assert not queue.room(2, patient=True)
    assert queue.room(2)
    queue.join(waiter("a"))
    queue.join(waiter("b"))
    assert not queue.room(2)


async def test_one_that_leaves_is_not_called() -> None:
    queue = CallQueue()
    one, other = waiter("a", patient=True), waiter("b", patient=True)
    queue.join(one)
    queue.join(other)
    queue.leave(one)
    queue.leave(one)
    assert (len(queue), order(queue)) == (1, ["b"])
