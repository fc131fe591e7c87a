"""Settings of every PostgreSQL connection, set after the start of a session: poolers refuse startup parameters."""

from __future__ import annotations

from typing import Any

import asyncpg

from antiphon.stores.postgres.connection.address import DatabaseAddress

Connection = Any
"""An asyncpg connection, or the pool's stand-in for one."""

CONNECT_SECONDS = 5.0
LOOKS = 3
PROCESS = "SELECT pg_backend_pid()"
SET = "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS setting (name, value)"


def fixed_settings(address: DatabaseAddress) -> dict[str, Any]:
    """Return the startup parameters of a connection; poolers refuse most others."""
    if address.pgbouncer:
        return {"statement_cache_size": 0}
    return {"server_settings": {"application_name": address.application}}


async def apply_settings(connection: Connection, address: DatabaseAddress, **others: str) -> None:
    """Set the session's settings; `others` count more than the address's."""
    settings = {**address.settings, **others}
    if not settings or address.pgbouncer:
        return
    try:
        await connection.execute(SET, list(settings), list(settings.values()), timeout=CONNECT_SECONDS)
    except BaseException:
        connection.terminate()  # a pooler may have no session for it: nobody waits for a friendly end
        raise


async def connect(address: DatabaseAddress, *, command_timeout: float | None = None, **others: str) -> Connection:
    """Open one connection that prepares nothing, with `others` among its settings."""
    options = {**fixed_settings(address), "statement_cache_size": 0}
    connection = await asyncpg.connect(address.url, timeout=CONNECT_SECONDS, command_timeout=command_timeout, **options)
    await apply_settings(connection, address, **others)
    return connection


async def changes_sessions(address: DatabaseAddress) -> bool:
    """Tell whether a pooler stands in between that gives a connection another session for each transaction.

    Two connections are opened. Each has a server process of its own to the end, unless such a pooler lends them out.
    """
    one = await connect(address)
    try:
        other = await connect(address)
        try:
            for _ in range(LOOKS):
                before = await _process(one)
                async with other.transaction():
                    theirs = await other.fetchval(PROCESS)
                    if theirs == before or await _process(one) != before:
                        return True
            return False
        finally:
            await other.close(timeout=CONNECT_SECONDS)
    finally:
        await one.close(timeout=CONNECT_SECONDS)


async def _process(connection: Connection) -> int:
    async with connection.transaction():
        return int(await connection.fetchval(PROCESS))
