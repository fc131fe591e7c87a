"""What only the store in memory promises."""

from __future__ import annotations

from antiphon.stores.open import open_memory

from .samples import ANN, event, response


async def test_the_oldest_responses_are_dropped() -> None:
    store = open_memory(max_responses=3)
    await store.responses.enqueue(response(0), b"{}", [event(0)])
    for number in range(1, 5):
        await store.responses.put(response(number, foreign_ids={"x": 0}))
    await store.responses.put(response(2))
    kept = [number for number in range(5) if await store.responses.get(response(number).id, ANN)]
    assert kept == [2, 3, 4]
    assert await store.jobs.claim("worker", 0.0, 1.0) is None
    assert await store.jobs.events(response(0).id, ANN) == []
