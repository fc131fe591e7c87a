"""What has expired is deleted from the store from time to time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from antiphon.access.audit import AuditLog
from antiphon.errors import APIError
from antiphon.stores.base import StoreDatabase

PURGE_INTERVAL = 600.0  # seconds between two looks for responses that have expired

log = logging.getLogger("antiphon.composition")


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
        except Exception:
            log.exception("store: deleting expired responses failed")
        await asyncio.sleep(PURGE_INTERVAL)
