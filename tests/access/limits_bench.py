"""A clock, a store and limits for the tests of rate limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from antiphon.access.caller import Caller, parse_limits
from antiphon.access.limits import Demand, Limiter, Permit
from antiphon.access.prices import prices
from antiphon.backends.base import ModelCard
from antiphon.config import ModelConfig
from antiphon.errors import APIError
from antiphon.stores.base import Store
from antiphon.stores.open import open_memory
from antiphon.types.response import Usage

CARD = ModelCard(id="gpt-small", aliases=("tiny",))
OTHER = ModelCard(id="llama")
NOON = 1_795_608_000.0  # 2026-11-25 12:00 UTC


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


class Bench:
    """A limiter and a caller."""

    def __init__(self, *limits: str, store: Store | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.store = store or open_memory()
        priced = {"gpt-small": ModelConfig(price_input=2.0, price_output=10.0, price_cached=0.5)}
        self.limiter = Limiter(self.store.limits, self.clock, prices(priced))
        self.caller = Caller(owner="ann", limits=parse_limits(limits), meter="key_1")

    async def admit(self, input: int = 100, output: int | None = 100, card: ModelCard = CARD) -> Permit:
        return await self.limiter.admit(self.caller, card, lambda: Demand(input, output))

    async def refused(self, input: int = 100, output: int | None = 100, card: ModelCard = CARD) -> APIError:
        with pytest.raises(APIError) as caught:
            await self.admit(input, output, card)
        return caught.value

    async def use(
        self, input: int, output: int, *, reserved: tuple[int, int | None] = (100, 100), **fields: Any
    ) -> None:
        """Make a response."""
        permit = await self.admit(*reserved)
        permit.settle(Usage(input_tokens=input, output_tokens=output, **fields))
        await self.settled()

    async def settled(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


def told(headers: Any) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}
