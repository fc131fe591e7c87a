"""The PostgreSQL database in an operator's hands."""

from __future__ import annotations

from antiphon.stores.postgres.address import read_address
from antiphon.stores.postgres.database import Connection
from antiphon.stores.postgres.preparation import blocking, once, version
from antiphon.stores.postgres.sql import migrations
from antiphon.stores.upkeep import StoreStatus, TableSize

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
        return StoreStatus(shown=address.shown, schema=schema, newest=len(migrations()), bytes=size, tables=tables)

    return blocking(lambda: once(address, look))


def vacuum(url: str) -> None:
    """Vacuum and analyse all tables; other servers go on meanwhile. Raises ConfigError."""
    address = read_address(url)

    async def clear(connection: Connection) -> None:
        for row in await connection.fetch(TABLES):
            await connection.execute(f'VACUUM (ANALYZE) antiphon."{row[0]}"')

    blocking(lambda: once(address, clear, transaction=False))
