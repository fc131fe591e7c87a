"""Database: a connection pool with retries and deadlines, which survives restarts of the PostgreSQL server.

A call that fails because the server is unavailable is retried with growing pauses until its deadline, then fails with
503. After that calls fail at once until a probe succeeds. An attempt whose answer was lost may have been committed:
statements for which that matters have a parameter `again`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

import asyncpg

from antiphon.errors import APIError
from antiphon.stores.condition import Condition, unavailable
from antiphon.stores.postgres.connection.address import DatabaseAddress
from antiphon.stores.postgres.connection.connecting import CONNECT_SECONDS, Connection, apply_settings, fixed_settings
from antiphon.stores.postgres.connection.faults import AWAY, CONFLICTS, FAULTS, LOCKED, BusyError, is_certain, reason_of
from antiphon.stores.postgres.sql import Query

T = TypeVar("T")
Row = Sequence[Any]

PATIENCE = 5.0  # seconds that a caller waits, however many attempts that takes
UPKEEP_PATIENCE = 30.0  # the same for large files and for what nobody waits for
PROBE_SECONDS = 2.0  # for one look whether the server takes writes
LEAST_SECONDS = 0.5  # left for another attempt after a wait for a lock
CLOSE_SECONDS = 2.0
MOST_CONFLICTS = 8

PROBE = """
SET LOCAL lock_timeout = '1s';
LOCK TABLE antiphon.responses, antiphon.jobs, antiphon.conversations, antiphon.conversation_items IN ROW EXCLUSIVE MODE;
INSERT INTO antiphon.meters (name, value, expires_at) VALUES ('antiphon/probe', 0, extract(epoch FROM now()) + 60)
ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at
"""
"""What any write needs: tables that nobody holds as a whole, a server that is no standby, room on its disk."""


class HeldError(APIError):
    """503: the call timed out waiting for a lock; the store itself is available."""

    def __init__(self) -> None:
        told = unavailable()
        super().__init__(told.status, told.message, code=told.code, headers=told.headers)


class Database:
    """Runs statements on a free connection of the pool. All methods raise APIError 503 while the server is unavailable."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.condition = Condition(address.shown)
        self.retries = 0
        self.waiting = 0  # callers without a connection
        self._address = address
        self._pool: Any = None
        self._closed = False
        self._prober: asyncio.Task[None] | None = None

    @property
    def connections(self) -> tuple[int, int]:
        """Numbers of connections in use and idle."""
        if self._pool is None:
            return 0, 0
        idle = self._pool.get_idle_size()
        return self._pool.get_size() - idle, idle

    # Statements

    async def rows(self, query: Query, **values: Any) -> Sequence[Row]:
        """Return all rows."""
        found: Sequence[Row] = await self.run(
            lambda connection, again: connection.fetch(query.text, *query.arguments(values, again))
        )
        return found

    async def row(self, query: Query, seconds: float | None = None, /, **values: Any) -> Row | None:
        """Return the first row, or None; `seconds` is the call's deadline where it may take longer than others."""
        found: Row | None = await self.run(
            lambda connection, again: connection.fetchrow(query.text, *query.arguments(values, again)), seconds
        )
        return found

    async def value(self, query: Query, seconds: float | None = None, /, **values: Any) -> Any:
        """Return the first row's first column, or None."""
        found = await self.row(query, seconds, **values)
        return None if found is None else found[0]

    async def many(self, query: Query, calls: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        """Run a statement that returns one value for each of the calls, all in one transaction and one round trip."""

        async def work(connection: Connection, again: bool) -> Sequence[Any]:
            arguments = [query.arguments(call, again) for call in calls]
            if len(arguments) == 1:
                return [await connection.fetchval(query.text, *arguments[0])]
            return [row[0] for row in await connection.fetchmany(query.text, arguments)]

        return await self.run(work)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]], seconds: float | None = None) -> T:
        """Run several statements in one transaction. `work` may run twice: it touches nothing but the database."""

        async def whole(connection: Connection, again: bool) -> T:
            async with connection.transaction():
                return await work(Transaction(connection))

        return await self.run(whole, seconds)

    # Attempts

    async def run(self, work: Callable[[Connection, bool], Awaitable[T]], seconds: float | None = None) -> T:
        """Run `work` on a free connection, again where that may help, for `seconds` at most. Raises APIError 503."""
        deadline = monotonic() + (PATIENCE if seconds is None else seconds)
        attempt = conflicts = 0
        while True:
            if self.condition.reason in ("unreachable", "busy"):
                self.condition.check()
            try:
                return await self._attempt(work, attempt > 0, deadline)
            except CONFLICTS as error:
                conflicts += 1
                pause = random.uniform(0.0, 0.02 * conflicts)  # noqa: S311  # a pause, not a secret
                if conflicts > MOST_CONFLICTS or monotonic() + pause >= deadline:
                    raise self._give_up(error) from error
            except (*FAULTS, BusyError) as error:
                if reason_of(error) is None:
                    raise  # a mistake of ours
                attempt += 1
                await self._after(error)
                pause = self._pause(error, attempt, deadline)
            self.retries += 1
            await asyncio.sleep(pause)

    def _pause(self, error: Exception, attempt: int, deadline: float) -> float:
        """Return how long to wait before the next attempt. Raises APIError where there shall be none."""
        pause = min(1.0, 0.01 * 2.0**attempt) * random.uniform(1.0, 2.0)  # noqa: S311  # a pause, not a secret
        late = monotonic() + pause + (LEAST_SECONDS if isinstance(error, LOCKED) else 0.0) >= deadline
        if late or self.condition.reason is not None:
            raise self._give_up(error) from error
        return pause

    def _give_up(self, error: Exception) -> APIError:
        """Return what the caller is told, and find out how the store is for others."""
        reason = reason_of(error)
        assert reason is not None
        self.condition.count(reason)
        if is_certain(error):
            self.condition.fail(reason, type(error).__name__)
        if self._prober is None and not self._closed:
            self._prober = asyncio.create_task(self._probe())
        return HeldError() if reason == "locked" else unavailable()

    async def _attempt(self, work: Callable[[Connection, bool], Awaitable[T]], again: bool, deadline: float) -> T:
        if self._closed:
            raise RuntimeError("The store is closed.")
        connection = await self._acquire(deadline)
        cut = asyncio.get_running_loop().call_later(max(0.05, deadline - monotonic()), _terminate, connection)
        try:
            if not self._address.pgbouncer:
                return await work(connection, again)
            async with connection.transaction():  # holds one server connection for parse, bind and execute
                return await work(connection, again)
        except asyncpg.InternalClientError:
            _terminate(connection)  # nobody knows what state it is in
            raise
        except AWAY as error:
            if cut.when() <= asyncio.get_running_loop().time():
                raise TimeoutError from error  # no answer: the connection was cut off
            raise
        finally:
            with suppress(*AWAY):
                await self._pool.release(connection)
            cut.cancel()

    async def _acquire(self, deadline: float) -> Connection:
        if self._pool is None:
            self._pool = self._open_pool()
            await self._pool
        pool = self._pool
        if pool.get_idle_size():
            return await pool.acquire()  # at once: a deadline would cost as much as the rest
        self.waiting += 1
        try:
            return await pool.acquire(timeout=max(0.05, deadline - monotonic()))
        except TimeoutError:
            if pool.get_size() >= self._address.pool_size and not pool.get_idle_size():
                raise BusyError from None
            raise
        finally:
            self.waiting -= 1

    def _open_pool(self) -> Any:
        address = self._address

        async def init(connection: Connection) -> None:
            await apply_settings(connection, address)

        return asyncpg.create_pool(
            address.url,
            min_size=0,
            max_size=address.pool_size,
            init=init,
            reset=_keep,
            timeout=CONNECT_SECONDS,
            **fixed_settings(address),
        )

    async def _after(self, error: Exception) -> None:
        """Discard all connections after a read-only error: another server may be the primary by now."""
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            await self._pool.expire_connections()

    # Probes

    async def _probe(self) -> None:
        """Probe the server until it takes writes."""
        try:
            while not self._closed:
                try:
                    await self._attempt(_write_something, False, monotonic() + PROBE_SECONDS)
                except (*FAULTS, BusyError) as error:
                    self.condition.fail(reason_of(error) or "unreachable", type(error).__name__)
                    await self._after(error)
                else:
                    self.condition.recover()
                    return
                await asyncio.sleep(self.condition.pause)
        finally:
            self._prober = None

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        if self._prober is not None:
            self._prober.cancel()
            await asyncio.gather(self._prober, return_exceptions=True)
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.close()
        except (TimeoutError, *AWAY):
            self._pool.terminate()


async def _write_something(connection: Connection, again: bool) -> None:
    async with connection.transaction():
        await connection.execute(PROBE)


def _terminate(connection: Connection) -> None:
    with suppress(*AWAY):  # it was given back meanwhile
        connection.terminate()


class Transaction:
    """Several statements on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def rows(self, query: Query, **values: Any) -> Sequence[Row]:
        """Return all rows."""
        found: Sequence[Row] = await self._connection.fetch(query.text, *query.arguments(values))
        return found

    async def value(self, query: Query, **values: Any) -> Any:
        """Return the first row's first column, or None."""
        return await self._connection.fetchval(query.text, *query.arguments(values))


async def _keep(connection: Connection) -> None:
    """Give a connection back as it is: no statement here changes a session, and a reset would be a round trip."""
