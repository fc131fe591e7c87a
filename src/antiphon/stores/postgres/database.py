"""Database: a pool of connections that outlives restarts of the server.

What fails because the server is away is tried again, with growing pauses, for a few seconds; after that it is told to
the client as 503, and as long as the outage goes on each call tries once. An attempt whose answer was lost may have
been committed: statements that care have a parameter `again`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, TypeVar

import asyncpg

from antiphon.errors import APIError
from antiphon.stores.postgres.address import Address
from antiphon.stores.postgres.sql import Query

log = logging.getLogger("antiphon.store")

T = TypeVar("T")
Row = Sequence[Any]
Connection = Any
"""An asyncpg connection, or the pool's stand-in for one."""

PATIENCE = 5.0  # seconds that callers wait for a server that is away
CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 40.0  # beyond the server's own statement_timeout: the network is gone, or a pooler is in between
CLOSE_SECONDS = 5.0
MOST_CONFLICTS = 8

AWAY = (
    OSError,  # TimeoutError too
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,  # it shuts down, starts, or has cancelled a statement that took too long
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,  # the connection broke off in the middle of preparing a statement
    asyncpg.ReadOnlySQLTransactionError,  # another server is the primary by now
)
CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)


def unavailable() -> APIError:
    """Return what clients are told while the database is away."""
    return APIError(
        503,
        "The store cannot be reached at the moment. Try again in a few seconds.",
        code="store_unavailable",
        headers={"retry-after": "2"},
    )


class Database:
    """Runs statements on whichever connection is free. All methods raise APIError 503 while the server is away."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._pool: Any = None
        self._closed = False
        self._down_since: float | None = None

    # Statements

    async def rows(self, query: Query, **values: Any) -> Sequence[Row]:
        """Return all rows."""
        found: Sequence[Row] = await self.run(
            lambda connection, again: connection.fetch(query.text, *query.arguments(values, again))
        )
        return found

    async def row(self, query: Query, **values: Any) -> Row | None:
        """Return the first row, or None."""
        found: Row | None = await self.run(
            lambda connection, again: connection.fetchrow(query.text, *query.arguments(values, again))
        )
        return found

    async def value(self, query: Query, **values: Any) -> Any:
        """Return the first row's first column, or None."""
        found = await self.row(query, **values)
        return None if found is None else found[0]

    async def many(self, query: Query, calls: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        """Run a statement that returns one value for each of the calls, all in one transaction and one round trip."""

        async def work(connection: Connection, again: bool) -> Sequence[Any]:
            arguments = [query.arguments(call, again) for call in calls]
            if len(arguments) == 1:
                return [await connection.fetchval(query.text, *arguments[0])]
            return [row[0] for row in await connection.fetchmany(query.text, arguments)]

        return await self.run(work)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run several statements in one transaction. `work` may run twice: it touches nothing but the database."""

        async def whole(connection: Connection, again: bool) -> T:
            async with connection.transaction():
                return await work(Transaction(connection))

        return await self.run(whole)

    # Attempts

    async def run(self, work: Callable[[Connection, bool], Awaitable[T]]) -> T:
        """Run `work` on a free connection, again where that may help. Raises APIError 503."""
        attempt = conflicts = 0
        while True:
            began = monotonic()
            try:
                result = await self._attempt(work, attempt > 0)
            except CONFLICTS:
                conflicts += 1
                if conflicts > MOST_CONFLICTS:
                    raise
                await asyncio.sleep(random.uniform(0.0, 0.02 * conflicts))  # noqa: S311  # a pause, not a secret
            except AWAY as error:
                if isinstance(error, asyncpg.InterfaceError) and "closed" not in str(error):
                    raise  # a mistake of ours
                attempt += 1
                pause = self._pause(error, began, attempt)
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                    await self._pool.expire_connections()
                await asyncio.sleep(pause)
            else:
                self._note_success()
                return result

    async def _attempt(self, work: Callable[[Connection, bool], Awaitable[T]], again: bool) -> T:
        if self._closed:
            raise RuntimeError("The store is closed.")
        if self._pool is None:
            self._pool = self._open_pool()
            await self._pool
        async with self._pool.acquire() as connection:
            try:
                if not self._address.pgbouncer:
                    return await work(connection, again)
                async with connection.transaction():  # holds one server connection for parse, bind and execute
                    return await work(connection, again)
            except asyncpg.InternalClientError:
                connection.terminate()  # nobody knows what state it is in
                raise

    def _open_pool(self) -> Any:
        return asyncpg.create_pool(
            self._address.url,
            min_size=0,
            max_size=self._address.pool_size,
            reset=_keep,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            server_settings=self._address.settings,
            **({"statement_cache_size": 0} if self._address.pgbouncer else {}),
        )

    def _pause(self, error: Exception, began: float, attempt: int) -> float:
        """Return how long to wait before the next attempt. Raises APIError where there shall be none."""
        if self._down_since is None:
            self._down_since = began
            log.warning("the store %s cannot be reached: %s", self._address.shown, type(error).__name__)
        if monotonic() - self._down_since > PATIENCE:
            raise unavailable() from error
        return min(1.0, 0.01 * 2.0**attempt) * random.uniform(1.0, 2.0)  # noqa: S311  # a pause, not a secret

    def _note_success(self) -> None:
        if self._down_since is not None:
            log.warning("the store %s answers again", self._address.shown)
            self._down_since = None

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.close()
        except (TimeoutError, *AWAY):
            self._pool.terminate()


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
