"""`antiphon db` for SQLite: status, check, detach, vacuum."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from antiphon.errors import ConfigError
from antiphon.stores.condition import Census
from antiphon.stores.sqlite.database import BUSY_SECONDS, PAGE_SIZE, damage, open_database
from antiphon.stores.sqlite.sql import migrations, queries
from antiphon.stores.status import StoreStatus, TableSize

SQL = queries("upkeep")


def census(connection: sqlite3.Connection, now: float) -> Census:
    """Count what waits."""
    return Census(*connection.execute(SQL["census"], {"now": now}).fetchall()[0])


def status(path: Path) -> StoreStatus:
    """Look at the file without changing it. Raises ConfigError."""
    shown, newest = str(path), len(migrations())
    if not path.is_file():
        return StoreStatus(shown=shown, schema=0, newest=newest)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            schema = connection.execute("PRAGMA user_version").fetchall()[0][0]
            query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            names = [row[0] for row in connection.execute(query)]
            tables = [TableSize(name, _count(connection, name)) for name in names]
    except sqlite3.Error as error:
        raise ConfigError(f"The store {path} cannot be opened: {error}.") from error
    files = [path, path.with_name(path.name + "-wal")]
    size = sum(file.stat().st_size for file in files if file.exists())
    return StoreStatus(shown=shown, schema=schema, newest=newest, bytes=size, tables=tables)


def _count(connection: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    return int(connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchall()[0][0])  # noqa: S608  # quoted


def detach(path: Path) -> tuple[int, int]:
    """End all background work of a copy; return how many runs and deliveries there were. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"Store not found: {path}.")
    with closing(open_database(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        runs = sum(connection.execute(SQL[name]).rowcount for name in ("cancel_all", "cancel_batches"))
        found = (runs, connection.execute(SQL["drop_deliveries"]).rowcount)
        connection.execute("COMMIT")
    return found


def check(path: Path) -> str | None:
    """Read the whole file; return what is damaged. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"Store not found: {path}.")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return damage(connection, math.inf)


def vacuum(path: Path) -> None:
    """Rewrite the file without gaps; if nobody else has it open, with pages as new files have them. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"Store not found: {path}.")
    with closing(open_database(path)) as connection:
        try:
            with suppress(
                sqlite3.OperationalError
            ):  # it is open elsewhere: SQLite changes no page size beside a write-ahead log
                connection.execute("PRAGMA busy_timeout = 0")
                connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            connection.execute("VACUUM")
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise ConfigError(f"The store {path} cannot be vacuumed now: {error}.") from error
