"""Preparation of the database before the server starts: waits for it and migrates it, in an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from time import monotonic, time
from typing import Any, TypeVar

import asyncpg

from antiphon.errors import ConfigError
from antiphon.stores.postgres.connection.address import DatabaseAddress
from antiphon.stores.postgres.connection.connecting import CONNECT_SECONDS, Connection, changes_sessions, connect
from antiphon.stores.postgres.connection.faults import FAULTS
from antiphon.stores.postgres.sql import indexes, migrations, queries
from antiphon.stores.schema_versions import check, oldest

log = logging.getLogger("antiphon.stores.postgres.connection")

T = TypeVar("T")

PATIENCE = 20.0  # seconds for a database that starts together with the server
PAUSE = 0.25
MOST_SKEW = 1.0  # seconds between two clocks that nobody need know of
LOCK = 0x416E7469706E
INDEX_STATE = """
SELECT indisvalid AS valid, EXISTS (
    SELECT FROM pg_stat_progress_create_index AS building WHERE building.index_relid = indexrelid
) AS building
FROM pg_index WHERE indexrelid = to_regclass('antiphon.' || $1)
"""
VERSION = "SELECT coalesce(max(version), 0) FROM antiphon.migrations"
STARTING = (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)


def blocking(work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine from synchronous code; a running event loop is blocked meanwhile."""

    async def whole() -> T:
        return await work()

    with ThreadPoolExecutor(1, thread_name_prefix="antiphon-store") as pool:
        return pool.submit(lambda: asyncio.run(whole())).result()


def prepare(address: DatabaseAddress, patience: float = PATIENCE) -> None:
    """Migrate the database to the newest schema, waiting for it to start. Raises ConfigError."""

    async def whole() -> None:
        await once(address, _compare_clocks, patience)
        await _refuse_changing_sessions(address)
        await once(address, migrate, patience)
        await once(address, build_indexes, patience, transaction=False)

    blocking(whole)


async def _compare_clocks(connection: Connection) -> None:
    """Warn if the database's clock differs: leases use it, ids and times in answers use this server's."""
    before = time()
    theirs = float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::double precision"))
    ahead = (before + time()) / 2 - theirs
    if abs(ahead) > MOST_SKEW:
        log.warning("clock skew: this server's clock is %+.1f seconds off the store's", ahead)


async def _refuse_changing_sessions(address: DatabaseAddress) -> None:
    if address.pgbouncer:
        return
    try:
        pooled = await changes_sessions(address)
    except FAULTS:
        return  # no room for two connections: nothing can be told
    if pooled:
        raise ConfigError(
            f"The store {address.shown} stands behind a pooler that changes sessions between transactions"
            " (PgBouncer: pool_mode = transaction). Add pgbouncer=true to the URL, or let the pool use pool_mode = session."
        )


def sealing_secret(address: DatabaseAddress, patience: float = PATIENCE) -> str:
    """Return the secret that seals reasoning, the same for all servers on a database. Raises ConfigError."""

    async def read(connection: Connection) -> bytes:
        query = queries("keys")["secret"]
        proposal = secrets.token_hex(32).encode()
        known: bytes = await connection.fetchval(query.text, *query.arguments({"name": "seal", "proposal": proposal}))
        return known

    return blocking(lambda: once(address, read, patience)).decode()


async def once(
    address: DatabaseAddress,
    work: Callable[[Connection], Awaitable[T]],
    patience: float = PATIENCE,
    *,
    transaction: bool = True,
) -> T:
    """Connect, run `work` in a transaction, and disconnect. Raises ConfigError, whose text has no password."""
    try:
        connection = await _connect(address, monotonic() + patience)
        try:
            async with connection.transaction() if transaction else nullcontext():
                return await work(connection)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
    except asyncpg.PostgresError as error:
        raise ConfigError(f"The store {address.shown} cannot be used: {error}.") from error
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, ValueError) as error:
        reason = str(error) or "no answer"
        raise ConfigError(f"The store {address.shown} cannot be reached: {reason.rstrip('.')}.") from error


async def _connect(address: DatabaseAddress, deadline: float) -> Any:
    told = False
    while True:
        try:
            return await connect(address, lock_timeout="0", statement_timeout="0")
        except STARTING as error:
            if monotonic() > deadline:
                raise
            if not told:
                log.warning("store %s: waiting until it can be reached: %s", address.shown, error)
                told = True
            await asyncio.sleep(PAUSE)


async def version(connection: Connection) -> int:
    """Return the schema's version; 0 where there is none."""
    if await connection.fetchval("SELECT to_regclass('antiphon.migrations')") is None:
        return 0
    return int(await connection.fetchval(VERSION))


async def migrate(connection: Connection) -> None:
    """Run the missing migrations under a lock: of several servers that start at once, one does it. Raises ConfigError."""
    scripts = migrations()
    shown = "in PostgreSQL"
    if await _checked(connection, shown, len(scripts)) >= len(scripts):
        return
    await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
    await connection.execute("CREATE SCHEMA IF NOT EXISTS antiphon")
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS antiphon.migrations"
        " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    missing = range(await _checked(connection, shown, len(scripts)), len(scripts))
    for number in missing:
        await connection.execute(scripts[number])
        await connection.execute("INSERT INTO antiphon.migrations (version) VALUES ($1)", number + 1)
    if missing:
        await connection.execute("DELETE FROM antiphon.compatibility")
        await connection.execute("INSERT INTO antiphon.compatibility (oldest) VALUES ($1)", oldest(scripts))


async def _checked(connection: Connection, shown: str, newest: int) -> int:
    """Return the schema's version, if this version of Antiphon can work with it. Raises ConfigError."""
    found = await version(connection)
    least: int | None = None
    if found > newest and await connection.fetchval("SELECT to_regclass('antiphon.compatibility')") is not None:
        least = await connection.fetchval("SELECT max(oldest) FROM antiphon.compatibility")
    check(shown, found, newest, least)
    return found


async def build_indexes(connection: Connection) -> None:
    """Build the indexes that came with later versions, while other servers go on writing. It may take minutes."""
    for name, statement in indexes().items():
        state = await connection.fetchrow(INDEX_STATE, name)
        if state is not None and (state["valid"] or state["building"]):
            continue
        log.info("store: building index %s", name)
        try:
            if state is not None:  # a server that built it has died
                await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS antiphon.{name}")
            await connection.execute(statement.text)
        except (asyncpg.UniqueViolationError, asyncpg.DuplicateTableError, asyncpg.DeadlockDetectedError):
            log.info("store: another server is building index %s", name)
