"""ToolMeters: limits on calls of hosted tools and on stored bytes, counted over all servers on the same store.

What a call will take at most is taken before it runs, and corrected once it has ended. ToolRights are what of a caller's rights
concerns hosted tools: a background response keeps them, so that whichever server runs it counts for the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from antiphon.access.budget_alerts import BudgetAlerts
from antiphon.access.caller import TOOL_SCOPES, TOOL_UNITS, TOOLS, Caller, Limit
from antiphon.access.limits import Reserved, meter_of, note_exact, note_spent
from antiphon.access.quota import Header, Level, headers, refusal
from antiphon.backends.base import ModelCard
from antiphon.core import gcra
from antiphon.core.gcra import Charge
from antiphon.core.programs import PROGRAMMATIC
from antiphon.core.tools.deferred_tools import HOSTED_TOOL_SEARCH
from antiphon.core.tools.environments import HOSTED_SHELL, SHELL
from antiphon.stores.base import LimitStore
from antiphon.stores.records import Slot

_SCOPES = {HOSTED_SHELL: SHELL, PROGRAMMATIC: "code_interpreter"}
CODE_SECONDS = "code_seconds"
STORED_BYTES = "stored_bytes"


class ToolRights(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a caller may do with hosted tools. `meter` is the name under which its `limits` are counted."""

    scopes: tuple[str, ...] = (TOOLS,)
    limits: tuple[Limit, ...] = ()
    meter: str = ""
    owner: str = ""

    def may_run(self, kind: str) -> bool:
        """Tell whether a kind of hosted tool may be used."""
        return kind == HOSTED_TOOL_SEARCH or TOOLS in self.scopes or scope_of(kind) in self.scopes


def scope_of(kind: str) -> str:
    """Return the scope that lets a key use one kind of hosted tool: the type by which requests declare it."""
    return _SCOPES.get(kind, kind)


ALL_RIGHTS = ToolRights()


def rights_of(caller: Caller) -> ToolRights:
    """Return what a caller may do with hosted tools."""
    scopes = (TOOLS,) if caller.may({TOOLS}) else tuple(scope for scope in TOOL_SCOPES if scope in caller.scopes)
    limits = tuple(limit for limit in caller.limits if limit.unit in TOOL_UNITS) if caller.limits else ()
    named = (caller.meter, caller.owner) if limits else ("", "")
    return ToolRights(scopes, limits, *named) if limits or scopes != (TOOLS,) else ALL_RIGHTS


class Taken(Protocol):
    """What a call has taken of its caller's limits."""

    def settle(self, used: Mapping[str, float], seconds: float) -> None:
        """Correct it by what was used, by unit; code whose time is not among that has used `seconds`."""
        ...


class NothingTaken:
    """What a call takes where nothing is limited."""

    def settle(self, used: Mapping[str, float], seconds: float) -> None:
        """Do nothing."""


NOTHING: Taken = NothingTaken()


class ToolAdmission(Protocol):
    """Limits on calls of hosted tools and on stored bytes."""

    async def take(self, rights: ToolRights, card: ModelCard, wanted: Mapping[str, float]) -> Taken:
        """Take what a call wants at most, by unit; 0 of a unit asks whether there is anything left.

        Raises APIError 429 or 402, and then nothing is taken.
        """
        ...

    async def store(self, caller: Caller, size: int) -> Sequence[Header]:
        """Count bytes that are to be stored; return what an answer tells of it. Raises APIError 429 or 402."""
        ...

    async def told(
        self, rights: ToolRights, card: ModelCard, units: Collection[str], needed: Collection[str]
    ) -> Sequence[Header]:
        """Return what an answer tells of limits on `units`. Raises APIError 429 or 402 where one of `needed` is spent."""
        ...


class Unmetered:
    """Hosted tools without limits."""

    async def take(self, rights: ToolRights, card: ModelCard, wanted: Mapping[str, float]) -> Taken:
        """Take nothing."""
        return NOTHING

    async def store(self, caller: Caller, size: int) -> Sequence[Header]:
        """Count nothing."""
        return ()

    async def told(
        self, rights: ToolRights, card: ModelCard, units: Collection[str], needed: Collection[str]
    ) -> Sequence[Header]:
        """Tell nothing."""
        return ()


Correct = Callable[[Sequence[Charge], Sequence[Slot]], None]


class ToolMeters:
    """The limits on a store. `correct` writes corrections in the background (`Limiter.correct`)."""

    def __init__(self, store: LimitStore, clock: Callable[[], float], correct: Correct, alerts: BudgetAlerts) -> None:
        self._store = store
        self._clock = clock
        self._alerts = alerts
        self._correct = correct

    async def take(self, rights: ToolRights, card: ModelCard, wanted: Mapping[str, float]) -> Taken:
        """Take what a call wants at most. Raises APIError 429 or 402."""
        limits = [limit for limit in rights.limits if limit.unit in wanted and limit.concerns(card)]
        if not limits:
            return NOTHING
        now = self._clock()
        taken = [
            Reserved(limit, Charge(meter_of(rights.meter, card, limit, now), _within(limit, wanted[limit.unit])))
            for limit in limits
        ]
        await self._charge(taken, now, rights.owner, rights.meter)
        return TakenForCall(taken, self._correct)

    async def store(self, caller: Caller, size: int) -> Sequence[Header]:
        """Count bytes that are to be stored. Raises APIError 429 or 402."""
        limits = [limit for limit in caller.limits if limit.unit == STORED_BYTES]
        if not limits:
            return ()
        now = self._clock()
        taken = [
            Reserved(limit, Charge(meter_of(caller.meter, None, limit, now), _within(limit, size))) for limit in limits
        ]
        return headers(await self._charge(taken, now, caller.owner, caller.meter), now, charged=True)

    async def told(
        self, rights: ToolRights, card: ModelCard, units: Collection[str], needed: Collection[str]
    ) -> Sequence[Header]:
        """Return what an answer tells of limits. Raises APIError 429 or 402 where something that is needed is spent."""
        limits = [limit for limit in rights.limits if limit.unit in units and limit.concerns(card)]
        if not limits:
            return ()
        now = self._clock()
        charges = [Charge(meter_of(rights.meter, card, limit, now), 0.0) for limit in limits]
        values = await self._store.charge(charges, now, enforce=False)
        levels = [Level(*each) for each in zip(limits, charges, values, strict=True)]
        least = (
            Level(one.limit, Charge(one.charge.meter, _within(one.limit, 1)), one.value)
            for one in levels
            if one.limit.unit in needed
        )
        spent = [level for level in least if not gcra.fits(level.charge, level.value, now)]
        if spent:
            raise refusal(spent, now)
        return headers(levels, now, charged=False)

    async def _charge(self, taken: Sequence[Reserved], now: float, owner: str, key: str) -> Sequence[Level]:
        for one in taken:
            self._alerts.watch(one.limit, one.charge.meter, owner, "" if one.limit.counted_as else key)
        values = await self._store.charge([one.charge for one in taken], now)
        levels = [Level(one.limit, one.charge, value) for one, value in zip(taken, values, strict=True)]
        over = [level for level in levels if not gcra.fits(level.charge, level.value, now)]
        if over:
            note_spent(self._alerts, over, now)
            raise refusal(over, now)
        note_exact(self._alerts, levels)
        return levels


class TakenForCall:
    """What a call of a limited caller has taken."""

    def __init__(self, taken: Sequence[Reserved], correct: Correct) -> None:
        self._taken = taken
        self._correct = correct

    def settle(self, used: Mapping[str, float], seconds: float) -> None:
        """Correct it, once."""
        taken, self._taken = self._taken, ()
        corrections = []
        for one in taken:
            unit, amount = one.limit.unit, one.charge.amount
            usual = min(seconds, amount) if unit == CODE_SECONDS else amount
            corrections.append(Charge(one.charge.meter, used.get(unit, usual) - amount))
        self._correct([charge for charge in corrections if charge.amount], ())


def _within(limit: Limit, amount: float) -> float:
    """Return what to take. Per minute it is the whole limit at most: a large call waits for an empty meter."""
    return min(amount, limit.most) if limit.period == "minute" else amount
