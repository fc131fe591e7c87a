"""Numbers that a client wishes or a backend reports, however wrong, never reach the accounts below 0 or beyond all sums."""

from __future__ import annotations

import asyncio
import json

import pytest

from antiphon.access.caller import Caller, parse_limits
from antiphon.access.limits import Demand, Limiter
from antiphon.access.prices import Price, prices
from antiphon.backends.base import ModelCard
from antiphon.config import ModelConfig
from antiphon.core.token_count import Estimator
from antiphon.server.api.chat.meter import demand, usage_in
from antiphon.stores.base import Store
from antiphon.stores.memory.limits import MemoryLimits
from antiphon.stores.open import open_memory
from antiphon.types.response import MOST_TOKENS, InputTokensDetails, OutputTokensDetails, Usage
from tests.hostile.samples import HOSTILE
from tests.hostile.test_growth import USER, _turn

NUMBERS = (-(10**30), -(2**63), -1_000_000_000, -1, 0, 1, 2**31, 2**53, 2**63, 10**30)
CARD = ModelCard(id="m")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_wish_of_any_size(field: str, number: int) -> None:
    body = json.dumps({"model": "m", "messages": [], field: number}).encode()
    wanted = demand(body, {field: _raw(number)})
    assert 0 <= wanted.input_tokens <= MOST_TOKENS
    assert wanted.max_output_tokens is None or 1 <= wanted.max_output_tokens <= MOST_TOKENS


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_wish_of_any_kind(value: bytes) -> None:
    from msgspec import Raw

    wanted = demand(b"", {"max_tokens": Raw(value), "max_completion_tokens": Raw(value)})
    assert wanted.max_output_tokens is None or 1 <= wanted.max_output_tokens <= MOST_TOKENS


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_report_of_any_kind(value: bytes) -> None:
    text = b'{"usage":{"prompt_tokens":%b,"completion_tokens":%b,"prompt_tokens_details":{"cached_tokens":%b}}}'
    usage = usage_in([text % (value, value, value)])
    assert usage is None or 0 <= usage.input_tokens <= MOST_TOKENS


@pytest.mark.parametrize("number", NUMBERS)
def test_a_report_of_any_size(number: int) -> None:
    usage = Usage(number, InputTokensDetails(number, number), number, OutputTokensDetails(number), number)
    counts = (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.input_tokens_details.cached_tokens)
    assert all(0 <= count <= MOST_TOKENS for count in counts)
    assert Price(1.0, 0.5, 2.0).of(5, usage.input_tokens_details.cached_tokens, usage.output_tokens) >= 0


@pytest.mark.parametrize("limit", ["1000000 tokens/day", "100 cost/month"])
@pytest.mark.parametrize("number", NUMBERS)
def test_no_number_gives_anything_back_or_locks_out(limit: str, number: int) -> None:
    """What was spent before is spent after, and a call that used little leaves the rest to the next."""

    async def run() -> None:
        store, now = open_memory(), 1_795_608_000.0
        limiter = Limiter(store.limits, lambda: now, prices({"m": ModelConfig(price_input=1.0, price_output=1.0)}))
        caller = Caller(owner="ann", limits=parse_limits([limit]), meter="key_1")
        spent = await limiter.admit(caller, CARD, lambda: Demand(100, 100))
        spent.settle(Usage(input_tokens=300_000, output_tokens=100_000))
        await limiter.close()
        before = await _spent(store)
        permit = await limiter.admit(caller, CARD, lambda: Demand(number, number))
        permit.settle(Usage(input_tokens=10, output_tokens=10))
        await limiter.close()
        assert before <= await _spent(store) == pytest.approx(before, abs=100)
        permit = await limiter.admit(caller, CARD, lambda: Demand(10, 10))
        permit.settle(Usage(number, InputTokensDetails(number), number))
        await limiter.close()
        assert await _spent(store) >= before

    asyncio.run(run())


async def _spent(store: Store) -> float:
    assert isinstance(store.limits, MemoryLimits)
    (kept,) = [meter for name, meter in store.limits._meters.items() if "/told/" not in name]
    return kept.value


@pytest.mark.parametrize("number", [*NUMBERS, 10**15])
def test_a_backends_report_leaves_the_estimates_of_others_sane(number: int) -> None:
    turn = _turn(json.dumps({"model": "m", "input": [USER] * 100}).encode())
    estimator = Estimator()
    for _ in range(8):
        estimator.learn(turn, number)
    assert 1 <= estimator.estimate(turn) <= 10_000


def _raw(value: object) -> object:
    from msgspec import Raw

    return Raw(json.dumps(value).encode())
