"""Work in the background while the store is unavailable: one line says what is lost or late, with no traceback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from antiphon.access.budget_alerts import BudgetAlerts
from antiphon.access.caller import parse_limit
from antiphon.access.limits import Limiter, meter_of
from antiphon.access.slots import Slots
from antiphon.config import WebhookConfig
from antiphon.core.gcra import Charge
from antiphon.responses.webhooks.delivery import Webhooks
from antiphon.stores.base import Store
from antiphon.stores.condition import unavailable
from antiphon.stores.open import open_memory
from antiphon.stores.records import Slot

NOON = 1_800_000_000.0
LIMIT = parse_limit("10 cost/month")
METER = meter_of("key_1", None, LIMIT, NOON)


async def _away(*_: object, **__: object) -> None:
    raise unavailable()


def _now() -> float:
    return NOON


async def alert(store: Store, patch: pytest.MonkeyPatch) -> None:
    """The use of a budget passes a threshold; when the store is there again, the next use tells of it."""
    told: list[int] = []

    async def tell(id: str, type: str, owner: str, data: dict[str, int]) -> None:
        told.append(data["percent"])

    alerts = BudgetAlerts(store.limits, _now)
    alerts.tell = tell
    alerts.watch(LIMIT, METER, "ann", "key_1")
    with patch.context() as away:
        away.setattr(type(store.limits), "charge", _away)
        alerts.used(METER, 6.0)
        await alerts.close()
    assert told == []
    alerts.used(METER, 6.0)
    await alerts.close()
    assert told == [50]


async def release(store: Store, patch: pytest.MonkeyPatch) -> None:
    """Slots are given back."""
    slots = Slots(store.limits, _now)
    taken = await slots.take([("a", 1)])
    patch.setattr(type(store.limits), "free_slot", _away)
    slots.free(taken)
    await slots.close()


async def renewal(store: Store, patch: pytest.MonkeyPatch) -> None:
    """Slots are kept."""
    slots = Slots(store.limits, _now)
    patch.setattr("antiphon.access.slots.LEASE", 0.03)
    asked = asyncio.Event()

    async def away(*_: object) -> None:
        asked.set()
        raise unavailable()

    patch.setattr(type(store.limits), "renew_slots", away)
    taken: list[Slot] = [*await slots.take([("a", 1)])]
    await asked.wait()
    await asyncio.sleep(0)
    slots.free(taken)
    await slots.close()


async def usage(store: Store, patch: pytest.MonkeyPatch) -> None:
    """What a response used is written behind it."""
    limiter = Limiter(store.limits, _now, {})
    patch.setattr(type(store.limits), "charge", _away)
    limiter.correct([Charge(METER, 1.0)], ())
    await limiter.close()


async def event(store: Store, patch: pytest.MonkeyPatch) -> None:
    """An event for a receiver of the configuration."""
    patch.setattr(type(store.deliveries), "put", _away)
    hook = WebhookConfig(url="http://127.0.0.1:9/", secret="secret")
    await Webhooks({"hook": hook}, store.deliveries).notify("response.completed", "resp_1", "ann")


async def deliveries(store: Store, patch: pytest.MonkeyPatch) -> None:
    """Events that wait are looked for."""
    asked = asyncio.Event()

    async def away(*_: object) -> None:
        asked.set()
        raise unavailable()

    patch.setattr(type(store.deliveries), "claim", away)
    hook = WebhookConfig(url="http://127.0.0.1:9/", secret="secret")
    webhooks = Webhooks({"hook": hook}, store.deliveries)
    await webhooks.start()
    await asked.wait()
    await asyncio.sleep(0)
    await webhooks.close()


Work = Callable[[Store, pytest.MonkeyPatch], Awaitable[None]]


@pytest.mark.parametrize("work", [alert, release, renewal, usage, event, deliveries])
async def test_one_line_tells_of_a_store_that_is_unavailable(
    work: Work, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_memory()
    with caplog.at_level(logging.DEBUG, "antiphon"):
        await work(store, monkeypatch)
    lines = [record for record in caplog.records if "the store is unavailable" in record.getMessage()]
    assert len({record.getMessage() for record in lines}) == 1
    assert not [record for record in caplog.records if record.exc_info]
