"""`antiphon db` for PostgreSQL: status, detach, vacuum."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.stores.condition import Labels, Measure
from antiphon.stores.postgres.connection.address import read_address
from antiphon.stores.postgres.connection.connecting import Connection
from antiphon.stores.postgres.connection.preparation import blocking, once, version
from antiphon.stores.postgres.database import Database
from antiphon.stores.postgres.sql import migrations, queries
from antiphon.stores.status import StoreStatus, TableSize

SQL = queries("upkeep")

TABLES = """
SELECT relname, n_live_tup, pg_total_relation_size(relid) FROM pg_stat_user_tables
WHERE schemaname = 'antiphon' ORDER BY relname
"""


def status(url: str) -> StoreStatus:
    """Look at the database without changing it. Raises ConfigError."""
    address = read_address(url)

    async def look(connection: Connection) -> StoreStatus:
        schema = await version(connection)
        tables = [TableSize(*row) for row in await connection.fetch(TABLES)]
        size = sum(table.bytes or 0 for table in tables)
        return StoreStatus(
            shown=address.shown, schema=schema, newest=len(migrations()), bytes=size, tables=tables, estimated=True
        )

    return blocking(lambda: once(address, look))


def detach(url: str) -> tuple[int, int]:
    """End all background work of a copy; return how many runs and deliveries there were. Raises ConfigError."""

    async def end(connection: Connection) -> tuple[int, int]:
        runs = await connection.fetchval(SQL["cancel_all"].text)
        runs += await connection.fetchval(SQL["cancel_batches"].text)
        return int(runs), int(await connection.fetchval(SQL["drop_deliveries"].text))

    return blocking(lambda: once(read_address(url), end))


def vacuum(url: str) -> None:
    """Vacuum and analyse all tables; other servers go on meanwhile. Raises ConfigError."""
    address = read_address(url)

    async def clear(connection: Connection) -> None:
        for row in await connection.fetch(TABLES):
            await connection.execute(f'VACUUM (ANALYZE) antiphon."{row[0]}"')

    blocking(lambda: once(address, clear, transaction=False))


def measures(database: Database, listening: bool, purged: int) -> Iterable[Measure]:
    """Return the figures of a server process that uses the database."""
    used, idle = database.connections
    connections: dict[Labels, float] = {("used",): used, ("idle",): idle}
    yield Measure(
        name="connections", help="Connections of this process to the database.", labels=("state",), values=connections
    )
    yield Measure(
        name="connections_wanted", help="Calls that wait for a connection.", values={(): float(database.waiting)}
    )
    yield Measure(
        name="retries_total",
        help="Attempts that were made again after the database failed.",
        kind="counter",
        values={(): float(database.retries)},
    )
    yield Measure(
        name="listening", help="1 while notifications come in; else the database is polled.", values={(): listening}
    )
    yield Measure(
        name="purged_total",
        help="Expired responses and files that this process has deleted.",
        kind="counter",
        values={(): float(purged)},
    )
