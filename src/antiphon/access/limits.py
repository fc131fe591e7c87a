"""Permits: rate limits and budgets of callers, counted over all servers on the same store.

What a request will use is reserved before it is worked on, and corrected once it is known. Callers without limits pass
without a look at the store.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import force_setattr

from antiphon.access.budget_alerts import BudgetAlerts
from antiphon.access.caller import TOOL_UNITS, Caller, Limit
from antiphon.access.periods import Window, window
from antiphon.access.prices import FREE_OF_CHARGE, Price
from antiphon.access.quota import Header, Level, headers, refusal
from antiphon.access.slots import Slots
from antiphon.backends.base import ModelCard
from antiphon.core import gcra
from antiphon.core.gcra import Charge, Meter
from antiphon.errors import APIError
from antiphon.stores.base import LimitStore
from antiphon.stores.records import Slot
from antiphon.types.response import MOST_TOKENS, Usage

MEMORY = 10.0  # seconds that a refusal is remembered at most: limits may have been raised
MOST_REMEMBERED = 10_000
RESERVED_OUTPUT = 1024  # tokens, for a request that does not say how many it wants at most

log = logging.getLogger("antiphon.access")


class Demand(msgspec.Struct, frozen=True):
    """Expected usage of a request in tokens: its input and its maximum output.

    Numbers below 1, which some backends read as "no limit", say nothing about the output; huge ones count as `MOST_TOKENS`.
    """

    input_tokens: int
    max_output_tokens: int | None

    def __post_init__(self) -> None:
        wanted = self.max_output_tokens
        force_setattr(self, "input_tokens", min(max(self.input_tokens, 0), MOST_TOKENS))
        force_setattr(self, "max_output_tokens", None if not wanted or wanted < 0 else min(wanted, MOST_TOKENS))


class Permit(Protocol):
    """Permission to make one response. `headers`: of its answer."""

    headers: Sequence[Header]

    def settle(self, usage: Usage | None, output_seen: int = 0) -> None:
        """Correct the reservation by what was used; without usage by the input's estimate and the output that was seen.

        Nothing happens the second time.
        """
        ...

    def hand_over(self) -> None:
        """Let the reservation stand, and give the slot back: another server goes on. Nothing happens after `settle`."""
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

    def check(self, caller: Caller) -> None:
        """Refuse what `admit` would surely refuse, before work is put into the request. Raises APIError 429."""
        ...


class Unlimited:
    """Admission without limits."""

    async def admit(self, caller: Caller, card: ModelCard, demand: Callable[[], Demand]) -> Permit:
        """Return the permit that asks for nothing."""
        return FREE

    def check(self, caller: Caller) -> None:
        """Refuse nothing."""


class Reserved(msgspec.Struct, frozen=True):
    """A limit and the amount reserved on its meter."""

    limit: Limit
    charge: Charge


class Refused(msgspec.Struct, frozen=True):
    """A remembered refusal: its limits, and the time until which it certainly still holds."""

    until: float
    levels: Sequence[Level]


class Limiter:
    """Gives permits. `prices` are by model id."""

    def __init__(self, store: LimitStore, clock: Callable[[], float], prices: Mapping[str, Price]) -> None:
        self.alerts = BudgetAlerts(store, clock)
        self._store = store
        self._clock = clock
        self._prices = prices
        self._slots = Slots(store, clock)
        self._refused: dict[tuple[str, str], Refused] = {}
        self._corrections: dict[str, Charge] = {}
        self._flushing: asyncio.Task[None] | None = None

    def reprice(self, prices: Mapping[str, Price]) -> None:
        """Take other prices for what is admitted from now on."""
        self._prices = prices

    async def admit(self, caller: Caller, card: ModelCard, demand: Callable[[], Demand]) -> Permit:
        """Return a permit for one response. Raises APIError 429 or 402."""
        if not caller.limits:
            return FREE
        self.check(caller)
        limits = [limit for limit in caller.limits if limit.concerns(card)]
        counted = [limit for limit in limits if limit.unit != "streams" and limit.unit not in TOOL_UNITS]
        needed = demand() if any(limit.unit != "requests" for limit in counted) else Demand(0, 0)
        wanted = [_slot(caller, card, limit) for limit in limits if limit.unit == "streams"]
        slots = await self._slots.take(wanted) if wanted else ()
        try:
            return await self._reserve(caller, card, counted, needed, slots)
        except BaseException:
            self._slots.free(slots)
            raise

    def used(self, caller: Caller, model: str, card: ModelCard | None, usage: Usage) -> None:
        """Count tokens, and what they cost, that nobody was asked for beforehand; nothing is refused."""
        price, now = self._prices.get(model, FREE_OF_CHARGE), self._clock()
        charges = [
            Charge(meter_of(caller.meter, card, limit, now), _used(limit, usage, price))
            for limit in caller.limits
            if limit.unit in ("tokens", "cost") and (limit.concerns(card) if card is not None else not limit.models)
        ]
        if charges:
            self.correct(charges, ())

    def check(self, caller: Caller) -> None:
        """Refuse at once, without a look at the store, who has asked too often a moment ago. Raises APIError 429."""
        refused = self._refused.get((caller.meter, caller.owner)) if caller.limits else None
        if refused is None:
            return
        now = self._clock()
        if now < refused.until:
            raise refusal(refused.levels, now)
        del self._refused[caller.meter, caller.owner]

    async def close(self) -> None:
        """Write down what is still to be corrected."""
        await self._slots.close()
        if self._flushing is not None:
            await self._flushing
        await self.alerts.close()

    async def _reserve(
        self, caller: Caller, card: ModelCard, limits: Sequence[Limit], demand: Demand, slots: Sequence[Slot]
    ) -> Permit:
        now = self._clock()
        price = self._prices.get(card.id, FREE_OF_CHARGE)
        reserved = [
            Reserved(limit, Charge(meter_of(caller.meter, card, limit, now), _expected(limit, demand, price)))
            for limit in limits
        ]
        if not reserved:
            return Reservation(self, reserved, slots, price, demand, ())
        for one in reserved:
            self.alerts.watch(one.limit, one.charge.meter, caller.owner, _key_of(caller, one.limit))
        values = await self._store.charge([one.charge for one in reserved], now)
        levels = [Level(one.limit, one.charge, value) for one, value in zip(reserved, values, strict=True)]
        if all(gcra.fits(level.charge, level.value, now) for level in levels):
            note_exact(self.alerts, levels)
            return Reservation(self, reserved, slots, price, demand, headers(levels, now, charged=True))
        note_spent(self.alerts, levels, now)
        self._remember(caller, levels, now)
        raise refusal(levels, now)

    def _remember(self, caller: Caller, levels: Sequence[Level], now: float) -> None:
        """Remember a refusal that time alone can end: requests, of all models together, are never given back."""
        waits = [
            gcra.wait(level.charge, level.value, now)
            for level in levels
            if level.limit.unit == "requests" and not level.limit.models
        ]
        if len(self._refused) > MOST_REMEMBERED:
            self._refused.clear()
        if any(waits):
            self._refused[caller.meter, caller.owner] = Refused(now + min(max(waits), MEMORY), levels)

    # Corrections

    def correct(self, charges: Sequence[Charge], slots: Sequence[Slot]) -> None:
        """Note corrections and slots given back; they are written at once, in the background."""
        self._slots.free(slots)
        for charge in charges:
            known = self._corrections.get(charge.meter.name)
            amount = charge.amount + (known.amount if known else 0.0)
            self._corrections[charge.meter.name] = Charge(charge.meter, amount)
        if charges and (self._flushing is None or self._flushing.done()):
            self._flushing = asyncio.create_task(self._flush())

    def worth_writing(self, corrections: Sequence[Charge]) -> list[Charge]:
        """Return the corrections that change something, or tell how much of a budget is used."""
        return [charge for charge in corrections if charge.amount or self.alerts.watches(charge.meter)]

    async def _flush(self) -> None:
        while self._corrections:
            corrections, self._corrections = self._corrections, {}
            try:
                charges = list(corrections.values())
                before = await self._store.charge(charges, self._clock(), enforce=False)
                for charge, value in zip(charges, before, strict=True):
                    self.alerts.used(charge.meter, value + charge.amount)
            except APIError:
                log.warning("rate limits: usage of %d limits not recorded: the store is unavailable", len(corrections))
            except Exception:
                log.exception("rate limits: recording usage failed")


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
        self._end([self._correction(one, usage) for one in self._reserved])

    def hand_over(self) -> None:
        """Give the slots back."""
        self._end(())

    def _end(self, corrections: Sequence[Charge]) -> None:
        if self._open:
            self._open = False
            self._limiter.correct(self._limiter.worth_writing(corrections), self._slots)

    def _correction(self, one: Reserved, usage: Usage) -> Charge:
        amount = one.charge.amount
        used = _used(one.limit, usage, self._price) if one.limit.unit in ("tokens", "cost") else amount
        return Charge(one.charge.meter, used - amount)


def _used(limit: Limit, usage: Usage, price: Price) -> float:
    """Return what counts of usage for a limit on tokens or cost."""
    if limit.unit == "tokens":
        return usage.input_tokens + usage.output_tokens
    return price.of(usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens)


def _expected(limit: Limit, demand: Demand, price: Price) -> float:
    """Return what to reserve. Per minute it is the whole limit at most: a large request waits for an empty meter."""
    if limit.unit == "requests":
        return 1
    if limit.unit == "cost":
        return price.of(demand.input_tokens, 0, demand.max_output_tokens or RESERVED_OUTPUT)
    output = demand.max_output_tokens or min(RESERVED_OUTPUT, limit.most // 4)
    tokens = demand.input_tokens + output
    return min(tokens, limit.most) if limit.period == "minute" else tokens


EXACT = frozenset(("requests", "searches", "images", "stored_bytes"))
"""Units of which what is reserved is what is used, as a rule."""


def note_exact(alerts: BudgetAlerts, levels: Sequence[Level]) -> None:
    """Note how much of budgets is used by what was just reserved, where that is known before the end."""
    for level in levels:
        if level.limit.unit in EXACT:
            alerts.used(level.charge.meter, level.value + level.charge.amount)


def note_spent(alerts: BudgetAlerts, levels: Sequence[Level], now: float) -> None:
    """Note the budgets that refuse something."""
    for level in levels:
        if not gcra.fits(level.charge, level.value, now):
            alerts.used(level.charge.meter, level.value)


def _key_of(caller: Caller, limit: Limit) -> str:
    """Return the key whose limit it is, "" where it is one of the owner."""
    return "" if limit.counted_as else caller.meter


def meter_of(counted_as: str, card: ModelCard | None, limit: Limit, now: float) -> Meter:
    """Return the meter of a limit, among those that are counted under a name."""
    span: Window = window(limit.period, now)
    of_model = (limit.models, card.id) if limit.models and card else ()
    soft = ("soft",) if limit.soft else ()
    name = "/".join((limit.counted_as or counted_as, limit.unit, span.name, *of_model, *soft))
    most = math.inf if limit.soft else limit.most
    return Meter(name=name, limit=most, window=span.seconds, expires_at=span.end)


def _slot(caller: Caller, card: ModelCard, limit: Limit) -> tuple[str, int]:
    """Return the name of a slot and how many there are."""
    of_model = (limit.models, card.id) if limit.models else ()
    return "/".join((limit.counted_as or caller.meter, "streams", *of_model)), int(limit.most)
