"""`/admin/budgets`: limits per day and month of keys and owners, and how much of each is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from antiphon.access.caller import Caller, Limit
from antiphon.access.keys import Keyring
from antiphon.access.limits import meter_of
from antiphon.backends.base import ModelCard, Router
from antiphon.core.gcra import Meter
from antiphon.errors import InvalidRequest
from antiphon.server.api.operator.auditing import PRIVATE
from antiphon.server.api.paging import MAX_LIMIT, whole_number
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.stores.base import LimitStore
from antiphon.stores.records import KeyQuery

MOST_MODELS = 50
"""Models of a limit with a pattern that are shown, each with its use."""
MOST_ROWS = 2000
"""Budgets of one answer; a page ends with the key that reaches them."""


class Holder(msgspec.Struct, frozen=True):
    """Whose limits are shown: a key's or an owner's."""

    kind: str
    id: str
    name: str
    owner: str
    meter: str
    limits: Sequence[Limit]


class BudgetRoutes:
    """The handler."""

    def __init__(
        self,
        store: LimitStore,
        keyring: Keyring,
        fixed: Callable[[], Mapping[str, Caller]],
        router: Router,
        clock: Callable[[], float],
    ) -> None:
        """`fixed`: the callers of the configuration's keys."""
        self._store = store
        self._keyring = keyring
        self._fixed = fixed
        self._router = router
        self._clock = clock

    async def list(self, request: Request) -> Reply:
        """GET /admin/budgets: owners and keys of the configuration, then keys of the store; `limit` and `after` (a key's id)."""
        limit = whole_number(request, "limit", MAX_LIMIT, 1, MAX_LIMIT)
        after = request.query["after"][-1] if request.query.get("after") else None
        keys = await self._keyring.page(KeyQuery(limit=limit + 1, after=after))
        if keys is None:
            raise InvalidRequest("Invalid 'after': key not found.", param="after")
        now = self._clock()
        owners = {key.owner for key in keys[:limit] if key.state(now) == "active"}
        first: Iterable[Holder] = () if after is not None else self._configured(owners)
        rows = [row for holder in first for row in self._rows(holder, now)]
        last = limit - 1
        for place, key in enumerate(keys[:limit]):
            if key.state(now) == "active":
                rows += self._rows(Holder("key", key.id, key.name, key.owner, key.line, key.caller().limits), now)
            if len(rows) >= MOST_ROWS:
                last = place
                break
        values = await self._store.values([meter.name for meter, _ in rows], now) if rows else {}
        data = [_shown(row, meter, values.get(meter.name, 0.0)) for meter, row in rows]
        more = len(keys) > last + 1
        body = {"object": "list", "data": data, "last_id": keys[last].id if more else None, "has_more": more}
        return json_reply(body, headers=PRIVATE)

    def _configured(self, owners: set[str]) -> Iterable[Holder]:
        """Return owners with limits, those of `owners` and of keys of the configuration; then these keys."""
        callers = list(self._fixed().values())
        for owner in sorted(owners | self._keyring.owners.named | {caller.owner for caller in callers}):
            yield Holder("owner", owner, owner, owner, "", self._keyring.owners.of(owner))
        for caller in callers:
            own = [limit for limit in caller.limits if not limit.counted_as]
            yield Holder("key", caller.key, caller.key.removeprefix("config/"), caller.owner, caller.meter, own)

    def _rows(self, holder: Holder, now: float) -> Iterable[tuple[Meter, dict[str, Any]]]:
        for limit in holder.limits:
            if limit.period not in ("day", "month"):
                continue
            cards: Iterable[ModelCard | None] = [None]
            if limit.models:
                cards = islice((card for card in self._router.cards() if limit.concerns(card)), MOST_MODELS)
            for card in cards:
                meter = meter_of(holder.meter, card, limit, now)
                yield (
                    meter,
                    {
                        "object": "budget",
                        "of": holder.kind,
                        "id": holder.id,
                        "name": holder.name,
                        "owner": holder.owner,
                        "limit": str(limit),
                        "unit": limit.unit,
                        "period": limit.period,
                        "model": "" if card is None else card.id,
                        "soft": limit.soft,
                        "most": limit.most,
                    },
                )


def _shown(row: Mapping[str, Any], meter: Meter, used: float) -> dict[str, Any]:
    percent = round(100 * used / row["most"], 1)
    return {**row, "used": round(used, 6), "percent": percent, "resets_at": int(meter.expires_at)}
