"""SQLiteDatabase: writer thread, reading connections and expiry of an SQLite store, shared by its nouns.

Small reads (one row or one page) run on the event loop: about 20 µs, against 100 µs with a
hand-over to a thread. Reads that can be long (a deep history, a whole conversation) run in the reader thread.
In WAL mode readers do not wait for the writer.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlite3 import Connection
from typing import Concatenate, ParamSpec, TypeVar

from antiphon.stores.condition import Census, Condition, Labels, Measure
from antiphon.stores.expiry import Expiry
from antiphon.stores.sqlite.database import Synchronous, connect_reader, open_database
from antiphon.stores.sqlite.disk.keeper import WAL_LIMIT, Keeper
from antiphon.stores.sqlite.disk.upkeep import census
from antiphon.stores.sqlite.disk.writer import WriterThread

T = TypeVar("T")
P = ParamSpec("P")

Purge = Callable[[Connection, int, int], int]
"""Deletes rows that have expired by a time, at most so many; returns how many of them count."""

SHALLOW = 16  # turns of history, or items by their ids, that are read on the event loop
READ_SECONDS = 0.25  # that a read on the event loop waits for another program
PURGE_GROUP = 50  # rows deleted in one transaction: between two of them other writers get their turn
PURGE_REST = 2.0  # times as long as a group takes, others have the file to themselves


class SQLiteDatabase:
    """A file, which several processes may share. Satisfies StoreDatabase.

    A commit survives the death of the process (`kill -9`). With `synchronous` "NORMAL" a power cut can take the last
    commits with it, never the file's integrity; "FULL" waits for the disk at every commit.
    """

    remote = False

    def __init__(self, path: str | Path, *, synchronous: Synchronous = "NORMAL", wal_limit: int = WAL_LIMIT) -> None:
        """Open or create the file and bring it to the newest schema. Raises ConfigError.

        `wal_limit`: bytes of the write-ahead log from which on writes are refused, 0 for never.
        """
        self._path = Path(path).expanduser()
        self._synchronous: Synchronous = synchronous
        self.condition = Condition(str(self._path))
        self.keeper = Keeper(self._path, self._open, self.condition, wal_limit=wal_limit)
        self._expiry: Expiry[Purge] = Expiry(self._delete, group=PURGE_GROUP, rest=PURGE_REST)
        self.expires = self._expiry.expires
        self.sweeps = self._expiry.sweeps
        self._reader_thread = ThreadPoolExecutor(1, thread_name_prefix="antiphon-store-reader")
        self.writer = WriterThread(self.keeper)

    def _open(self) -> Connection:
        """Open the file, for the first time or anew. Connections that are in use elsewhere end with their use."""
        connection = open_database(self._path, synchronous=self._synchronous)
        self.reader = connect_reader(self._path, patience=READ_SECONDS)
        self._long_reader = connect_reader(self._path)
        return connection

    # For nouns

    def read(self, read: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a short read on the event loop. Raises APIError 503 if the file fails."""
        try:
            return read(self.reader, *args, **kwargs)
        except sqlite3.Error as error:
            raise self.keeper.told(error) from error

    async def read_long(self, read: Callable[[Connection], T]) -> T:
        """Run a read that may take long in the reader thread. Raises APIError 503 if the file fails."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader_thread, read, self._long_reader)
        except sqlite3.Error as error:
            raise self.keeper.told(error) from error

    # The store as a whole

    async def purge(self, now: int) -> int:
        """Delete what has expired; return how many rows that count."""
        return await self._expiry.purge(now, behind=self._empty_log)

    async def _delete(self, purge: Purge, now: int) -> int:
        return await self.writer.submit(lambda connection: purge(connection, now, PURGE_GROUP))

    async def _empty_log(self) -> None:
        """Overwrite the log; once for each purge, as it holds up whoever writes."""
        await self.writer.submit(lambda connection: None, erases=True)

    async def census(self, now: float) -> Census:
        """Count what waits."""
        return await self.read_long(lambda connection: census(connection, now))

    def measures(self) -> Iterable[Measure]:
        """Return the sizes of the file, and how many rows were deleted."""
        file = self.keeper.file
        sizes: dict[Labels, float] = {("file",): float(file.bytes()), ("log",): float(file.wal_bytes())}
        yield Measure(
            name="bytes", help="Sizes of the store's file and of its write-ahead log.", labels=("part",), values=sizes
        )
        yield Measure(
            name="purged_total",
            help="Expired responses and files that this process has deleted.",
            kind="counter",
            values={(): float(self._expiry.deleted)},
        )

    async def close(self) -> None:
        """Finish pending writes and close the file."""
        self._reader_thread.shutdown()
        self.reader.close()
        self._long_reader.close()
        await self.writer.close()
