"""Budgets, and streams at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.stores.base import Store
from antiphon.stores.open import open_memory, open_sqlite
from antiphon.types.response import InputTokensDetails, Usage
from tests.access.limits_bench import OTHER, Bench, told

# Budgets


async def test_a_spent_budget_is_a_402() -> None:
    bench = Bench("1000 tokens/day")
    await bench.use(900, 50)
    await bench.use(900, 50)  # the request that reaches the budget is still answered
    error = await bench.refused()
    assert (error.status, error.type, error.code) == (402, "payment_error", "insufficient_quota")
    assert error.message == "The budget of 1000 tokens/day is spent. It begins anew on 2026-11-26 00:00 UTC."
    assert error.headers["x-ratelimit-remaining-tokens"] == "0" and "retry-after" not in error.headers
    bench.clock.now += 12 * 3600
    await bench.admit()


async def test_a_budget_in_money_has_the_models_prices() -> None:
    bench = Bench("3 cost/month")
    cached = InputTokensDetails(cached_tokens=400_000)
    await bench.use(500_000, 100_000, input_tokens_details=cached)  # 0.2 + 0.2 + 1.0 = 1.4
    await bench.use(300_000, 95_000)  # 0.6 + 0.95: 2.95 in all
    await bench.use(20_000, 2_000)  # 0.06
    assert (await bench.refused()).status == 402
    bench.clock.now += 10 * 86400
    await bench.admit()


async def test_a_model_without_a_price_costs_nothing() -> None:
    bench = Bench("1 cost/day")
    for _ in range(3):
        (await bench.admit(card=OTHER)).settle(Usage(input_tokens=10**9, output_tokens=10**9))
        await bench.settled()


async def test_a_refusal_charges_nothing() -> None:
    bench = Bench("2 requests/min", "1000 tokens/day")
    await bench.use(2000, 0)
    for _ in range(3):
        assert (await bench.refused()).status == 402
    bench.clock.now += 12 * 3600
    assert told((await bench.admit()).headers)["x-ratelimit-remaining-requests"] == "1"


# Slots


async def test_streams_at_once() -> None:
    bench = Bench("2 streams")
    permits = [await bench.admit(), await bench.admit()]
    error = await bench.refused()
    assert (error.status, error.code, error.headers["retry-after"]) == (429, "rate_limit_exceeded", "1")
    permits[0].settle(None)
    await bench.admit()


async def test_a_place_is_given_back_where_another_limit_refuses() -> None:
    bench = Bench("1 streams", "1 requests/min")
    (await bench.admit()).settle(None)
    assert "requests" in (await bench.refused()).message
    bench.clock.now += 60
    await bench.admit()


@pytest.mark.parametrize("turns", range(6))
async def test_a_caller_that_leaves_while_it_waits_keeps_no_place(tmp_path: Path, turns: int) -> None:
    bench = Bench("1 streams", "100 requests/min", store=open_sqlite(tmp_path / "store.db"))
    asking = asyncio.create_task(bench.admit())
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.02)
    await bench.admit()
    await bench.limiter.close()
    await bench.store.close()


async def test_places_of_a_dead_server_are_free_after_a_while() -> None:
    dead = Bench("1 streams")
    alive = Bench("1 streams", store=dead.store, clock=dead.clock)
    await dead.admit()
    await alive.refused()
    alive.clock.now += 31
    await alive.admit()
    await alive.limiter.close()
    await dead.limiter.close()


@pytest.mark.parametrize("make", [open_memory, None])
async def test_what_is_not_yet_settled_is_at_the_end(tmp_path: Path, make: Callable[[], Store] | None) -> None:
    store = make() if make else open_sqlite(tmp_path / "store.db")
    bench = Bench("1000 tokens/day", store=store)
    permit = await bench.admit()
    permit.settle(Usage(input_tokens=5000))
    await bench.limiter.close()
    assert (await bench.refused()).status == 402
    await store.close()
