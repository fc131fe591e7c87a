"""UsageLedger: what each owner and key used of each model and hosted tool, by day, summed up and written every few seconds.

It is told of each answer once, at its end. A server that is killed loses the last `FLUSH` seconds of it; budgets, which are kept
by `limits`, lose nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from time import time

import msgspec

from antiphon.access.prices import Price
from antiphon.errors import APIError
from antiphon.stores.base import UsageStore
from antiphon.stores.usage_records import UsageCounts, UsageSum
from antiphon.types.response import Usage

FLUSH = 5.0
"""Seconds that a sum waits in memory."""
MOST_WAITING = 20_000
"""Sums that wait while the store is away; what comes then is lost, and logged."""
GROUP = 500
"""Sums of one write."""
DAY = 86_400

log = logging.getLogger("antiphon.access")

RELAYED_KINDS = {
    "/embeddings": "embeddings",
    "/moderations": "moderations",
    "/images/generations": "images",
    "/images/edits": "images",
    "/images/variations": "images",
    "/audio/speech": "audio_speeches",
    "/audio/transcriptions": "audio_transcriptions",
    "/audio/translations": "audio_transcriptions",
    "/rerank": "rerank",
    "/v2/rerank": "rerank",
}
"""Routes whose requests are no completions → the kind by whose name, `route:KIND`, their sums go."""

Whom = tuple[int, str, str, str, str]


class UsageLedger:
    """Sums of usage that are to be written. `days`: how long they are kept; 0: for ever."""

    def __init__(
        self, store: UsageStore, prices: Mapping[str, Price], days: float, clock: Callable[[], float] = time
    ) -> None:
        self._store = store
        self._prices = prices
        self._days = days
        self._clock = clock
        self._waiting: dict[Whom, UsageCounts] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._dropped_on = 0
        self._lost = 0

    def reprice(self, prices: Mapping[str, Price]) -> None:
        """Take other prices for what comes from now on."""
        self._prices = prices

    def answered(
        self, owner: str, key: str, model: str, usage: Usage | None, *, failed: bool, kind: str = "", units: int = 0
    ) -> None:
        """Take note of an answer, and of the tokens that it used.

        `kind`: one of RELAYED_KINDS' where it is no completion; `units`: pictures, characters or seconds of it.
        """
        counts = self._counts((self._today(), owner, key, model, f"route:{kind}" if kind else ""))
        if counts is None:
            return
        counts.requests += 1
        if units:
            counts.calls += units
        if failed:
            counts.failures += 1
        if usage is not None:
            self._add(counts, model, usage)

    def helped(self, owner: str, key: str, helper: str, model: str, usage: Usage) -> None:
        """Take note of a call of a model beside the one that answers: it is no request, and its row is named `helper:…`."""
        counts = self._counts((self._today(), owner, key, model, f"helper:{helper}"))
        if counts is not None:
            counts.calls += 1
            self._add(counts, model, usage)

    def _add(self, counts: UsageCounts, model: str, usage: Usage) -> None:
        counts.input_tokens += usage.input_tokens
        counts.cached_tokens += usage.input_tokens_details.cached_tokens
        counts.output_tokens += usage.output_tokens
        counts.reasoning_tokens += usage.output_tokens_details.reasoning_tokens
        if self._prices:
            counts.cost += self.cost(model, usage)

    def cost(self, model: str, usage: Usage) -> float:
        """Return what an answer costs."""
        price = self._prices.get(model)
        if price is None:
            return 0.0
        return price.of(usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens)

    def called(self, owner: str, tool: str, *, failed: bool) -> None:
        """Take note of a call of a hosted tool."""
        counts = self._counts((self._today(), owner, "", "", tool))
        if counts is not None:
            counts.failures += failed
            counts.calls += 1

    def _today(self) -> int:
        return int(self._clock()) // DAY

    def _counts(self, whom: Whom) -> UsageCounts | None:
        """Return the sums that wait, to be added to; None where there are too many."""
        counts = self._waiting.get(whom)
        if counts is None:
            if len(self._waiting) >= MOST_WAITING:
                self._lost += 1
                return None
            counts = self._waiting[whom] = UsageCounts()
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._later())
        return counts

    async def _later(self) -> None:
        while self._waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH):
                    await self._closing.wait()
            if self._closing.is_set():
                return
            await self.flush()

    async def flush(self) -> None:
        """Write what waits; what cannot be written waits on."""
        waiting, self._waiting = list(self._waiting.items()), {}
        for at in range(0, len(waiting), GROUP):
            try:
                await self._store.add([_sum_of(whom, counts) for whom, counts in waiting[at : at + GROUP]])
            except APIError:
                for whom, counts in waiting[at:]:
                    self._waiting.setdefault(whom, UsageCounts()).add(counts)
                return
        if self._lost:
            log.warning("usage: %d records lost: the store was unavailable for too long", self._lost)
            self._lost = 0
        await self._drop()

    async def _drop(self) -> None:
        today = self._today()
        if self._days and self._dropped_on != today:
            self._dropped_on = today
            try:
                await self._store.drop(int(today - self._days))
            except APIError:
                self._dropped_on = 0

    async def close(self) -> None:
        """Write what waits."""
        self._closing.set()
        if self._flushing is not None:
            await self._flushing
        await self.flush()


def _sum_of(whom: Whom, counts: UsageCounts) -> UsageSum:
    day, owner, key, model, tool = whom
    return UsageSum(day=day, owner=owner, key=key, model=model, tool=tool, **msgspec.structs.asdict(counts))
