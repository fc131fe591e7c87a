"""What is done to the store from time to time: what has expired is deleted, entries of the response log are filled in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from antiphon.access.audit import AuditLog
from antiphon.errors import APIError
from antiphon.responses.log.filling import LogFiller
from antiphon.stores.base import StoreDatabase

if TYPE_CHECKING:
    from antiphon.composition.app import Parts

PURGE_INTERVAL = 600.0  # seconds between two looks for responses that have expired

log = logging.getLogger("antiphon.composition")


def store_upkeep(parts: Parts) -> list[Coroutine[object, object, None]]:
    """Return what runs as long as the server does."""
    return [
        purge_forever(parts.store.database, parts.services.clock, parts.access.audit),
        LogFiller(parts.store.responses, parts.services.cost).run(),
    ]


async def purge_forever(database: StoreDatabase, clock: Callable[[], float], audit: AuditLog) -> None:
    """Delete what has expired, now and from time to time."""
    while True:
        try:
            gone = await database.purge(int(clock()))
            if gone:
                log.info("store: deleted %d expired responses", gone)
            await audit.drop_old()
        except APIError:
            log.debug("store: deleting expired responses failed: the store is unavailable")
        except Exception:  # the next round tries again
            log.exception("store: deleting expired responses failed")
        await asyncio.sleep(PURGE_INTERVAL)
