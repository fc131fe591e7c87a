"""Listener: notifications of other servers (LISTEN/NOTIFY): events of responses followed here, cancels.

An append notifies only if its job's row says that another server follows the response (`queries/jobs.sql`). Without
LISTEN (behind a pooler, or while the connection is lost) followers poll, as with the other stores.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from asyncio import Future
from collections.abc import Callable
from time import monotonic
from typing import Any

from antiphon.stores.nouns.jobs import POLL_INTERVAL
from antiphon.stores.postgres.connection.address import DatabaseAddress
from antiphon.stores.postgres.connection.connecting import CONNECT_SECONDS, connect
from antiphon.stores.postgres.connection.faults import FAULTS
from antiphon.stores.postgres.database import Database
from antiphon.stores.postgres.sql import queries

log = logging.getLogger("antiphon.stores.postgres.connection")

FOLLOW = queries("jobs")["follow"]

CHANNEL = "antiphon"
FOLLOW_SECONDS = 60.0  # how long a wish to be told stands; renewed after half of it
CHECK_SECONDS = 20.0  # between two looks whether the connection still lives
HEAR_SECONDS = 2.0  # for its own first notification
LONGEST_PAUSE = 5.0
DEAF_PAUSE = 60.0


class Followed:
    """A response with followers in this process."""

    def __init__(self) -> None:
        self.until = 0.0  # monotonic
        self.latest = -1
        self.waiting: set[Future[bool]] = set()

    def tell(self, news: bool) -> None:
        """Wake all waiting followers."""
        for future in self.waiting:
            if not future.done():
                future.set_result(news)


class Listener:
    """The listening connection, and the followers that wait for its notifications."""

    def __init__(self, address: DatabaseAddress, database: Database) -> None:
        self._address = address
        self._database = database
        self._followed: dict[str, Followed] = {}
        self._tell_cancel: Callable[[str], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        self._nonce = secrets.token_hex(8)
        self.listening = False

    def on_cancel(self, tell: Callable[[str], None]) -> None:
        """Call back with the id of a response that is to be cancelled."""
        self._tell_cancel = tell
        self._start()

    def _start(self) -> None:
        if self._task is None and not self._address.pgbouncer:
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # For followers

    async def wait(self, response_id: str, after: int, seconds: float) -> bool:
        """Wait for events above `after`; tell whether there may be some now."""
        self._start()
        if not self.listening:
            await asyncio.sleep(min(seconds, POLL_INTERVAL))
            return False
        followed = self._followed.setdefault(response_id, Followed())
        if followed.until < monotonic() + FOLLOW_SECONDS / 2:
            return await self._follow(response_id, followed, seconds)
        if followed.latest > after:
            followed.latest = -1  # once: what is not there after all (it was deleted) shall not make anybody spin
            return True
        return await _wait(followed, seconds)

    async def _follow(self, response_id: str, followed: Followed, seconds: float) -> bool:
        """Request notifications from now on; events appended before are in the store."""
        self._forget()
        values = {"response_id": response_id, "seconds": FOLLOW_SECONDS}
        if await self._database.row(FOLLOW, **values) is None:
            await asyncio.sleep(min(seconds, POLL_INTERVAL))  # nobody works on it any more
            return False
        followed.until = monotonic() + FOLLOW_SECONDS
        return True

    def _forget(self) -> None:
        now = monotonic()
        gone = [id for id, each in self._followed.items() if 0.0 < each.until < now and not each.waiting]
        for id in gone:
            del self._followed[id]

    # The connection

    async def _run(self) -> None:
        pause = 0.1
        while True:
            try:
                if await self._listen():
                    pause = 0.1
                else:
                    pause = DEAF_PAUSE
                    log.info("store %s: no notifications arrive (LISTEN/NOTIFY); polling instead", self._address.shown)
            except FAULTS as error:
                log.debug("store: listening for notifications failed: %s", type(error).__name__)
                pause = min(LONGEST_PAUSE, pause * 2)
            await asyncio.sleep(pause)

    async def _listen(self) -> bool:
        """Listen until the connection is lost; return False if the connection cannot receive notifications."""
        connection: Any = await connect(self._address, command_timeout=CONNECT_SECONDS)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            await connection.add_listener(CHANNEL, self._hear)
            if not await self._hears(connection):
                return False
            self.listening = True
            while not lost.is_set():
                await connection.execute("SELECT 1")
                await _elapsed(lost, CHECK_SECONDS)
            return True
        finally:
            self.listening = False
            connection.terminate()
            self._let_go()

    async def _hears(self, connection: Any) -> bool:
        self._heard.clear()
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"hello {self._nonce}")
        await _elapsed(self._heard, HEAR_SECONDS)
        return self._heard.is_set()

    def _let_go(self) -> None:
        """Wake all followers after a lost connection: they may have missed notifications."""
        followed, self._followed = self._followed, {}
        for each in followed.values():
            each.tell(False)

    def _hear(self, connection: Any, process: int, channel: str, payload: str) -> None:
        kind, _, rest = payload.partition(" ")
        id, _, number = rest.partition(" ")
        followed = self._followed.get(id)
        match kind:
            case "hello" if id == self._nonce:
                self._heard.set()
            case "cancel" if self._tell_cancel is not None:
                self._tell_cancel(id)
            case "events" if followed is not None:
                followed.latest = int(number)
                followed.tell(True)
            case "gone" if followed is not None:
                followed.latest = -1
                followed.tell(False)


async def _wait(followed: Followed, seconds: float) -> bool:
    future: Future[bool] = asyncio.get_running_loop().create_future()
    followed.waiting.add(future)
    try:
        async with asyncio.timeout(seconds):
            return await future
    except TimeoutError:
        return False
    finally:
        followed.waiting.discard(future)


async def _elapsed(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, some seconds at most."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
