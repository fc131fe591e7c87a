"""Opens the SQLite file: file mode 0600, pragmas, migrations."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection
from time import monotonic, sleep
from typing import Literal

from antiphon.errors import ConfigError
from antiphon.stores.schema_versions import check, needs_alone, oldest
from antiphon.stores.sqlite.disk.faults import reason_of
from antiphon.stores.sqlite.sql import migrations, statements

log = logging.getLogger("antiphon.stores.sqlite")

APPLICATION_ID = 0x416E7470  # "Antp" in the file's header: another program's database is left alone
BUSY_SECONDS = 10.0
START_CHECK_SECONDS = 1.0  # for the check whether a file is damaged, before it is used
ALONE_SECONDS = 3.0  # that a migration waits for others to close the file
LOG_LEFT = 16 << 20  # bytes of the write-ahead log that are kept once its content is in the file
PAGE_SIZE = 16384  # of new files, and of others once they are vacuumed while nobody else has them open
Synchronous = Literal["NORMAL", "FULL"]


def _as_it_is(value: bool | bytes | None) -> bool | bytes | None:
    return value


# Of a value that is no int, float or str sqlite3 asks first whether there is a way to adapt it, of the value itself last: 3,300
# instructions (CPython 3.11) for each None and each bytes; 1,400 where an adapter is registered.
for kind in (bool, bytes, type(None)):
    sqlite3.register_adapter(kind, _as_it_is)


def create(path: Path) -> None:
    """Make the file, readable by its owner only, and its folders. Raises ConfigError."""
    left = [other.name for other in (path.with_name(path.name + "-wal"), path.with_suffix(".key")) if other.exists()]
    if left and not path.exists():
        log.warning("store %s: file is missing although %s exists; creating an empty store", path, " and ".join(left))
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            log.info("store %s: made its folder, which was not there", path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigError(f"The store {path} cannot be opened: {error.strerror}.") from error


def connect(path: Path, *, synchronous: Synchronous = "NORMAL") -> Connection:
    """Open for reading and writing, in autocommit mode: transactions are begun by hand."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # changes nothing in a file that has content
    _use_wal(connection)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_LEFT}")
    return connection


def _use_wal(connection: Connection) -> None:
    """Switch to the write-ahead log, with retries: SQLite refuses one of two processes that do so at once."""
    deadline = monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
            sleep(0.01)


def connect_reader(path: Path, *, patience: float = BUSY_SECONDS) -> Connection:
    """Open for reading; `patience` in seconds is for another program that holds the whole file."""
    connection = connect(path)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA busy_timeout = {patience * 1000:.0f}")
    return connection


def damage(connection: Connection, seconds: float) -> str | None:
    """Check the file for damage, for some seconds at most; return the first finding, or None."""
    deadline = monotonic() + seconds
    connection.set_progress_handler(lambda: monotonic() > deadline, 20_000)
    try:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchall()[0][0])
        return None if found == "ok" else found
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return None
        return str(error)
    finally:
        connection.set_progress_handler(None, 0)


def open_database(path: Path, *, synchronous: Synchronous = "NORMAL") -> Connection:
    """Create the file where there is none, bring it to the newest schema and open it. Raises ConfigError."""
    create(path)
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as look:  # `connect` would change the file
            _checked_version(look, path, len(migrations()))
            _refuse_damage(look, path)
            alone = needs_alone(migrations(), _number(look, "user_version"))
        if alone:
            _migrate_alone(path)
        connection = connect(path, synchronous=synchronous)
    except sqlite3.Error as error:
        raise ConfigError(f"The store {path} cannot be opened: {error}.") from error
    try:
        migrate(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise ConfigError(f"The store {path} cannot be migrated to the newest schema: {error}.") from error
    except ConfigError:
        connection.close()
        raise
    return connection


def _refuse_damage(connection: Connection, path: Path) -> None:
    found = damage(connection, START_CHECK_SECONDS)
    if found is not None:
        raise ConfigError(
            f"The store {path} is damaged: {' '.join(found.split())}. Put a backup in its place, or take out what can be"
            f' read: sqlite3 {path.name} ".recover" | sqlite3 new.db'
        )


def migrate(connection: Connection, path: Path) -> None:
    """Run the missing migrations in one transaction: of several processes that start at once, one does it."""
    scripts = migrations()
    if _number(connection, "user_version") >= len(scripts) and _number(connection, "application_id") == APPLICATION_ID:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _checked_version(connection, path, len(scripts))
        for script in scripts[version:]:
            for statement in statements(script):
                connection.execute(statement)
        if version < len(scripts):
            connection.execute("DELETE FROM compatibility")
            connection.execute("INSERT INTO compatibility (oldest) VALUES (?)", (oldest(scripts),))
            connection.execute(f"PRAGMA user_version = {len(scripts)}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _migrate_alone(path: Path) -> None:
    """Run migrations marked `-- alone`, if no other process has the file open.

    Several processes of this version may start at once: each waits for the others. Raises ConfigError.
    """
    deadline = monotonic() + ALONE_SECONDS
    while True:
        with closing(sqlite3.connect(path, timeout=0.0, isolation_level=None)) as connection:
            try:  # it takes the file for itself, or fails
                version = _number(connection, "user_version")
                if not needs_alone(migrations(), version):
                    return
                if connection.execute("PRAGMA journal_mode = DELETE").fetchall()[0][0] == "delete":
                    migrate(connection, path)
                    return
            except sqlite3.OperationalError as error:
                if reason_of(error) != "locked":
                    raise
        if monotonic() > deadline:
            raise ConfigError(
                f"The store {path} is open in another process. To bring it to schema {len(migrations())} takes tables"
                " away from older versions of Antiphon: stop all servers that use it first."
            )
        sleep(random.uniform(0.02, 0.1))  # noqa: S311  # a pause, not a secret


def _checked_version(connection: Connection, path: Path, newest: int) -> int:
    version = _number(connection, "user_version")
    empty = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    if not empty and _number(connection, "application_id") != APPLICATION_ID:
        raise ConfigError(f"The store {path} is the database of another program.")
    check(str(path), version, newest, _oldest(connection) if version > newest else None)
    return version


def _oldest(connection: Connection) -> int | None:
    """Return the oldest schema that may work with the file, None where it does not say so."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'compatibility'").fetchall():
        return None
    found: int | None = connection.execute("SELECT max(oldest) FROM compatibility").fetchall()[0][0]
    return found


def _number(connection: Connection, pragma: str) -> int:
    number: int = connection.execute(f"PRAGMA {pragma}").fetchall()[0][0]
    return number
