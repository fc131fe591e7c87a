"""Permits to make a response: what a caller may use, counted with all servers on the same store.

What a request will use is reserved before it is worked on, and corrected once it is known. Callers without limits pass
without a look at the store.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from antiphon.backends.base import ModelCard
from antiphon.caller import Caller, Limit
from antiphon.core import gcra
from antiphon.core.gcra import Charge, Meter
from antiphon.periods import Window, window
from antiphon.prices import FREE_OF_CHARGE, Price
from antiphon.quota import Header, Level, headers, refusal, too_many_streams
from antiphon.stores.base import Slot, Store
from antiphon.types.response import Usage

SLOT_LEASE = 30.0  # seconds after which the places of a dead server are free
RESERVED_OUTPUT = 1024  # tokens, for a request that does not say how many it wants at most
PATIENCE = (0.02, 0.08)  # seconds between tries for a place: one may be given back at this moment

log = logging.getLogger("antiphon.limits")


class Demand(msgspec.Struct, frozen=True):
    """What a request will use, as far as it can be told: its input, and the most it wants as output. In tokens."""

    input_tokens: int
    max_output_tokens: int | None


class Permit(Protocol):
    """Leave to make one response. `headers` are for its answer."""

    headers: Sequence[Header]

    def settle(self, usage: Usage | None, output_seen: int = 0) -> None:
        """Correct the reservation by what was used; without usage by the input's estimate and the output that was seen.

        Nothing happens the second time.
        """
        ...

    def hand_over(self) -> None:
        """Let the reservation stand, and give the place back: another server goes on. Nothing happens after `settle`."""
        ...


class FreePermit:
    """The permit of callers without limits."""

    headers: Sequence[Header] = ()

    def settle(self, usage: Usage | None, output_seen: int = 0) -> None:
        """Do nothing."""

    def hand_over(self) -> None:
        """Do nothing."""


FREE: Permit = FreePermit()


class Admission(Protocol):
    """Gives permits."""

    async def admit(self, caller: Caller, card: ModelCard, demand: Callable[[], Demand]) -> Permit:
        """Return a permit for one response. `demand` is asked only where tokens or money are limited.

        Raises APIError 429 (`rate_limit_exceeded`), or 402 (`insufficient_quota`) for a spent budget.
        """
        ...


class Unlimited:
    """Gives everybody a permit."""

    async def admit(self, caller: Caller, card: ModelCard, demand: Callable[[], Demand]) -> Permit:
        """Return the permit that asks for nothing."""
        return FREE


class Reserved(msgspec.Struct, frozen=True):
    """A limit and what was put on its meter."""

    limit: Limit
    charge: Charge


class Limiter:
    """Gives permits. `prices` are by model id."""

    def __init__(self, store: Store, clock: Callable[[], float], prices: Mapping[str, Price]) -> None:
        self._store = store
        self._clock = clock
        self._prices = prices
        self._holder = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._corrections: dict[str, Charge] = {}
        self._freed: list[Slot] = []
        self._taken = 0
        self._flushing: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def admit(self, caller: Caller, card: ModelCard, demand: Callable[[], Demand]) -> Permit:
        """Return a permit for one response. Raises APIError 429 or 402."""
        if not caller.limits:
            return FREE
        limits = [limit for limit in caller.limits if limit.concerns(card)]
        counted = [limit for limit in limits if limit.unit != "streams"]
        needed = demand() if any(limit.unit != "requests" for limit in counted) else Demand(0, 0)
        slots = await self._take([_slot(caller, card, limit, self._holder) for limit in limits if limit not in counted])
        try:
            return await self._reserve(caller, card, counted, needed, slots)
        except BaseException:
            self._free(slots)
            raise

    async def close(self) -> None:
        """Write down what is still to be corrected."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        if self._flushing is not None:
            await self._flushing
        await self._flush()

    async def _reserve(
        self, caller: Caller, card: ModelCard, limits: Sequence[Limit], demand: Demand, slots: Sequence[Slot]
    ) -> Permit:
        now = self._clock()
        price = self._prices.get(card.id, FREE_OF_CHARGE)
        reserved = [
            Reserved(limit, Charge(_meter(caller, card, limit, now), _expected(limit, demand, price)))
            for limit in limits
        ]
        if not reserved:
            return Reservation(self, reserved, slots, price, demand, ())
        values = await self._store.charge([one.charge for one in reserved], now)
        levels = [Level(one.limit, one.charge, value) for one, value in zip(reserved, values, strict=True)]
        refused = [level for level in levels if not gcra.fits(level.charge, level.value, now)]
        if refused:
            raise refusal(refused, levels, now)
        return Reservation(self, reserved, slots, price, demand, headers(levels, now, charged=True))

    # Corrections

    def correct(self, charges: Sequence[Charge], slots: Sequence[Slot]) -> None:
        """Note corrections and places given back; they are written at once, in the background."""
        for charge in charges:
            known = self._corrections.get(charge.meter.name)
            amount = charge.amount + (known.amount if known else 0.0)
            self._corrections[charge.meter.name] = Charge(charge.meter, amount)
        self._free(slots)
        self._flush_soon()

    def _free(self, slots: Sequence[Slot]) -> None:
        if slots:
            self._freed += slots
            self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        while self._corrections or self._freed:
            corrections, self._corrections = self._corrections, {}
            freed, self._freed = self._freed, []
            self._taken -= len(freed)
            try:
                await asyncio.gather(*(self._store.free_slot(slot) for slot in freed))
                if corrections:
                    await self._store.charge(list(corrections.values()), self._clock(), enforce=False)
            except Exception:
                log.exception("what was used could not be written down")

    # Places

    async def _take(self, slots: Sequence[Slot]) -> list[Slot]:
        """Take a place for each. Raises APIError 429."""
        taken: list[Slot] = []
        for slot in slots:
            if not await self._take_one(slot):
                self._free(taken)
                raise too_many_streams(slot.most)
            self._taken += 1
            taken.append(slot)
        if taken and (self._renewing is None or self._renewing.done()):
            self._renewing = asyncio.create_task(self._renew())
        return taken

    async def _take_one(self, slot: Slot) -> bool:
        for pause in (*PATIENCE, 0.0):
            taking = asyncio.ensure_future(self._store.take_slot(slot, self._clock(), SLOT_LEASE))
            try:
                if await asyncio.shield(taking):
                    return True
            except asyncio.CancelledError:
                taking.add_done_callback(lambda done: self._give_back(done, slot))
                raise
            await asyncio.sleep(pause)
        return False

    def _give_back(self, done: asyncio.Future[bool], slot: Slot) -> None:
        """Free a place that nobody waited for any more."""
        if not done.cancelled() and done.exception() is None and done.result():
            self._taken += 1
            self._free([slot])

    async def _renew(self) -> None:
        """Keep the places of this server while it has any."""
        while self._taken > 0:
            await asyncio.sleep(SLOT_LEASE / 3)
            try:
                await self._store.renew_slots(self._holder, self._clock(), SLOT_LEASE)
            except Exception:
                log.exception("the places of running responses could not be kept")


class Reservation:
    """The permit of a caller with limits."""

    def __init__(
        self,
        limiter: Limiter,
        reserved: Sequence[Reserved],
        slots: Sequence[Slot],
        price: Price,
        demand: Demand,
        headers: Sequence[Header],
    ) -> None:
        self.headers = headers
        self._limiter = limiter
        self._reserved = reserved
        self._slots = slots
        self._price = price
        self._demand = demand
        self._open = True

    def settle(self, usage: Usage | None, output_seen: int = 0) -> None:
        """Correct the reservation, once."""
        if usage is None:
            usage = Usage(input_tokens=self._demand.input_tokens if output_seen else 0, output_tokens=output_seen)
        self._end([Charge(one.charge.meter, self._used(one, usage) - one.charge.amount) for one in self._reserved])

    def hand_over(self) -> None:
        """Give the places back."""
        self._end(())

    def _end(self, corrections: Sequence[Charge]) -> None:
        if self._open:
            self._open = False
            self._limiter.correct([charge for charge in corrections if charge.amount], self._slots)

    def _used(self, one: Reserved, usage: Usage) -> float:
        match one.limit.unit:
            case "tokens":
                return usage.input_tokens + usage.output_tokens
            case "cost":
                cached = usage.input_tokens_details.cached_tokens
                return self._price.of(usage.input_tokens, cached, usage.output_tokens)
            case _:
                return one.charge.amount


def _expected(limit: Limit, demand: Demand, price: Price) -> float:
    """Return what to reserve. Per minute it is the whole limit at most: a large request waits for an empty meter."""
    if limit.unit == "requests":
        return 1
    if limit.unit == "cost":
        return price.of(demand.input_tokens, 0, demand.max_output_tokens or RESERVED_OUTPUT)
    output = demand.max_output_tokens or min(RESERVED_OUTPUT, limit.most // 4)
    tokens = demand.input_tokens + output
    return min(tokens, limit.most) if limit.period == "minute" else tokens


def _meter(caller: Caller, card: ModelCard, limit: Limit, now: float) -> Meter:
    span: Window = window(limit.period, now)
    name = "/".join((caller.meter, limit.unit, span.name, *((limit.models, card.id) if limit.models else ())))
    return Meter(name=name, limit=limit.most, window=span.seconds, expires_at=span.end)


def _slot(caller: Caller, card: ModelCard, limit: Limit, holder: str) -> Slot:
    name = "/".join((caller.meter, "streams", *((limit.models, card.id) if limit.models else ())))
    return Slot(name=name, holder=holder, most=int(limit.most))
