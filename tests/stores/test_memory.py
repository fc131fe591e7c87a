"""What only the store in memory promises."""

from __future__ import annotations

from antiphon.stores.memory import MemoryStore

from .samples import ANN, event, response


async def test_the_oldest_responses_are_dropped() -> None:
    store = MemoryStore(max_responses=3)
    await store.enqueue(response(0), b"{}", [event(0)])
    for number in range(1, 5):
        await store.put(response(number, foreign_ids={"x": 0}))
    await store.put(response(2))
    kept = [number for number in range(5) if await store.get(response(number).id, ANN)]
    assert kept == [2, 3, 4]
    assert await store.claim("worker", 0.0, 1.0) is None
    assert await store.events(response(0).id, ANN) == []
