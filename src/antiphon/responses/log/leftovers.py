"""Leftovers: responses that did not come to their end are kept all the same: refused by the backend, or left by their client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from antiphon.errors import APIError

MOST = 256
"""Responses that wait to be written; what comes then is not kept."""

log = logging.getLogger("antiphon.responses.log")


class Leftovers:
    """Writes responses that nobody waits for. A server that is killed loses those that it has not written."""

    def __init__(self) -> None:
        self._writing: set[asyncio.Task[None]] = set()
        self.lost = 0

    def keep(self, write: Callable[[], Coroutine[object, object, None]]) -> None:
        """Have a response written, in a moment."""
        if len(self._writing) >= MOST:
            self.lost += 1
            return
        task = asyncio.create_task(_written(write()))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Wait until all are written."""
        while self._writing:
            await asyncio.gather(*self._writing, return_exceptions=True)
        if self.lost:
            log.warning("response log: %d failed or abandoned responses were not stored", self.lost)


async def _written(writing: Coroutine[object, object, None]) -> None:
    try:
        await writing
    except APIError:
        log.debug("response log: a failed or abandoned response was not stored: the store is unavailable")
    except Exception:  # a task of its own: nobody else would hear of it
        log.exception("response log: storing a failed or abandoned response failed")
