"""Versions side by side: an older server goes on while a newer one migrates, and starts again afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from antiphon.cli import cli
from antiphon.errors import APIError, ConfigError
from antiphon.stores import schema_versions
from antiphon.stores.base import Store
from antiphon.stores.open import open_postgres, open_sqlite
from antiphon.stores.postgres import sql as postgres_sql
from antiphon.stores.postgres.connection import preparation
from antiphon.stores.records import Delivery, FileUsage
from antiphon.stores.sqlite import database
from antiphon.stores.sqlite import sql as sqlite_sql

from . import databases
from .postgres_server import Postgres
from .samples import ANN, conversation, event, file, item, response

pytestmark = pytest.mark.slow

EXPAND = {
    "sqlite": "CREATE TABLE newer (x TEXT); ALTER TABLE responses ADD COLUMN newer TEXT;"
    " ALTER TABLE jobs ADD COLUMN newer INTEGER NOT NULL DEFAULT 0; ALTER TABLE meters ADD COLUMN newer TEXT;"
    " ALTER TABLE slots ADD COLUMN newer TEXT; ALTER TABLE event_batches ADD COLUMN newer TEXT;"
    " ALTER TABLE conversation_items ADD COLUMN newer TEXT; ALTER TABLE foreign_items ADD COLUMN newer TEXT;"
    " ALTER TABLE file_contents ADD COLUMN newer TEXT; ALTER TABLE secrets ADD COLUMN newer TEXT;"
    " ALTER TABLE job_requests ADD COLUMN newer TEXT; ALTER TABLE checkpoints ADD COLUMN newer TEXT;",
    "postgres": "CREATE TABLE antiphon.newer (x text); ALTER TABLE antiphon.responses ADD COLUMN newer text;"
    " ALTER TABLE antiphon.jobs ADD COLUMN newer integer NOT NULL DEFAULT 0;"
    " ALTER TABLE antiphon.events ADD COLUMN newer text; ALTER TABLE antiphon.meters ADD COLUMN newer text;"
    " ALTER TABLE antiphon.conversation_items ADD COLUMN newer text; ALTER TABLE antiphon.slots ADD COLUMN newer text;",
}
CONTRACT = {
    "sqlite": "-- alone: it takes a table away.\nDROP TABLE event_batches;",
    "postgres": "-- alone: it takes a table away.\nDROP TABLE antiphon.events;",
}


class Versions:
    """Stores of one place by versions of Antiphon that know so many migrations."""

    def __init__(self, kind: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind = kind
        self._place = place
        self._monkeypatch = monkeypatch
        source = sqlite_sql if kind == "sqlite" else postgres_sql
        self.scripts: Sequence[str] = source.migrations()

    def open(self, *further: str) -> Store:
        """Open as a version does that has `further` migrations."""
        module = database if self.kind == "sqlite" else preparation
        with self._monkeypatch.context() as context:
            lines = [script.replace("; ", ";\n") for script in further]
            context.setattr(module, "migrations", lambda: [*self.scripts, *lines])
            return open_sqlite(self._place) if self.kind == "sqlite" else open_postgres(self._place)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def stores(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Versions:
    if request.param == "sqlite":
        return Versions("sqlite", str(tmp_path / "store.db"), monkeypatch)
    postgres: Postgres = request.getfixturevalue("postgres")
    name = f"versions_{tmp_path.name}"
    return Versions("postgres", postgres.create(name), monkeypatch)


async def work(store: Store, number: int) -> None:
    """Use whatever there is."""
    await store.responses.put(response(number, foreign_ids={"x": 0}))
    await store.conversations.create(conversation(number), [item(f"a{number}")])
    await store.responses.put(
        response(number + 1, conversation_id=f"conv_{number}"), conversation_items=[item(f"b{number}")]
    )
    row = response(number + 2, background=True)
    job = await store.responses.enqueue(row, b"{}", [event(0)], worker="w", lease_until=1e10)
    assert job is not None
    await store.jobs.append_events(row.id, job.fence, [event(1)], b"{}")
    assert await store.jobs.events(row.id, ANN) == [event(0), event(1)]
    await store.jobs.finish(row.id, job.fence)
    assert await store.keys.secret(f"s{number}", b"s") == b"s"
    assert await store.responses.get(response(number).id, ANN) == response(number, foreign_ids={"x": 0})


async def test_old_new_old(stores: Versions) -> None:
    old = stores.open()
    await work(old, 100)
    new = stores.open(EXPAND[stores.kind])
    await work(new, 200)
    await work(old, 300)  # it was never stopped
    await new.close()
    await work(old, 400)
    await old.close()
    again = stores.open()  # and it may start again
    await work(again, 500)
    for number in (100, 200, 300, 400):
        assert await again.responses.get(response(number).id, ANN) is not None
    await again.close()
    newest = stores.open(EXPAND[stores.kind])
    await work(newest, 600)
    await newest.close()


async def test_what_an_older_version_cannot_work_with_is_refused(stores: Versions) -> None:
    await stores.open().close()
    newer = stores.open(EXPAND[stores.kind], CONTRACT[stores.kind])
    await newer.close()
    with pytest.raises(ConfigError, match="was written by a newer version of Antiphon"):
        stores.open()
    with pytest.raises(ConfigError, match="was written by a newer version of Antiphon"):
        stores.open(EXPAND[stores.kind])
    await stores.open(EXPAND[stores.kind], CONTRACT[stores.kind]).close()


async def test_nothing_is_taken_away_from_a_file_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "ALONE_SECONDS", 0.3)
    each = Versions("sqlite", str(tmp_path / "store.db"), monkeypatch)
    old = each.open()
    await old.responses.put(response(1))
    with pytest.raises(ConfigError, match="stop all servers that use it first"):
        each.open(CONTRACT["sqlite"])
    await work(old, 100)
    await old.close()
    new = each.open(CONTRACT["sqlite"])
    assert await new.responses.get(response(1).id, ANN) == response(1)
    await new.close()


async def test_tables_that_are_taken_away_all_the_same_are_told(
    stores: Versions, caplog: pytest.LogCaptureFixture
) -> None:
    old = stores.open()
    await work(old, 100)
    row = response(1, background=True)
    if stores.kind == "postgres":
        await stores.open(CONTRACT["postgres"]).close()
    else:
        with closing(sqlite3.connect(stores._place)) as connection:
            connection.executescript(CONTRACT["sqlite"])
    for _ in range(3):
        with pytest.raises(APIError) as caught:
            await old.responses.enqueue(row, b"{}", [event(0)])
        assert caught.value.status == 503
    assert old.database.condition.reason == "schema"
    assert len([line for line in caplog.messages if "unavailable: schema" in line]) == 1
    await old.close()


def test_the_oldest_version_follows_from_the_scripts() -> None:
    assert schema_versions.oldest(["a", "b"]) == 1
    assert schema_versions.oldest(["a", "-- alone: x", "c"]) == 2
    assert not schema_versions.needs_alone(["a", "-- alone: x"], 0)
    assert schema_versions.needs_alone(["a", "-- alone: x"], 1)
    assert not schema_versions.needs_alone(["a", "-- alone: x"], 2)


@pytest.mark.parametrize("source", [sqlite_sql, postgres_sql])
def test_every_insert_names_its_columns(source: object) -> None:
    """Else a column more would stop older versions."""
    for queries in (source.FOLDER / "queries").iterdir():  # type: ignore[attr-defined]
        text = queries.read_text()
        for line in text.splitlines():
            if "INSERT INTO" in line:
                assert "(" in line.partition("INSERT INTO")[2].partition("VALUES")[0], (queries.name, line)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
async def test_a_copy_is_detached(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    place = str(tmp_path / "store.db")
    if kind == "postgres":
        place = request.getfixturevalue("postgres_url")
    stores = Versions(kind, place, monkeypatch)
    store = stores.open()
    await store.responses.enqueue(response(1, background=True), b"{}", [event(0)], worker="w", lease_until=1e10)
    await store.deliveries.put([Delivery(id="evt_1", url="u", owner=ANN, body=b"{}", due=0.0)])
    await store.close()
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["db", "detach", "--store", place])
    assert result.output.startswith("1 background responses and batches are cancelled, 1 webhook events are dropped"), (
        result.output
    )
    store = stores.open()
    job = await store.jobs.claim("w", 0.0, 1.0)
    assert job is not None and job.cancelled
    assert await store.deliveries.next_due() is None
    await store.close()


def test_a_file_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    databases.sqlite(open_sqlite(path)).keeper.truncate()
    assert "nothing is damaged" in CliRunner().invoke(cli, ["db", "check", "--store", str(path)]).output
    data = bytearray(path.read_bytes())
    data[5 * 4096 : 20 * 4096] = b"\xff" * (15 * 4096)
    path.write_bytes(data)
    result = CliRunner().invoke(cli, ["db", "check", "--store", str(path)])
    assert result.exit_code != 0 and "is damaged" in result.output
    with pytest.raises(ConfigError, match="is damaged"):
        open_sqlite(path)


# What the version before rows of contents does, in its own words.
OLD_FILES = {
    "sqlite": {
        "insert": "INSERT INTO files (id, owner, filename, purpose, media_type, size, created_at, expires_at)"
        " VALUES ('file_old', 'ann', 'a', 'user_data', 'text/plain', 3, 1, NULL);"
        " INSERT INTO file_contents (file, content) SELECT number, x'6f6c64' FROM files WHERE id = 'file_old';",
        "content": "SELECT content FROM file_contents WHERE file = (SELECT number FROM files WHERE id = '{}')",
        "delete": "DELETE FROM file_contents WHERE file = (SELECT number FROM files WHERE id = '{0}');"
        " DELETE FROM files WHERE number = (SELECT number FROM files WHERE id = '{0}');",
    },
    "postgres": {
        "insert": "INSERT INTO antiphon.files (id, owner, filename, purpose, media_type, size, created_at, expires_at, content)"
        " VALUES ('file_old', 'ann', 'a', 'user_data', 'text/plain', 3, 1, NULL, 'old');",
        "content": "SELECT content FROM antiphon.files WHERE id = '{}' AND content IS NOT NULL",
        "delete": "DELETE FROM antiphon.files WHERE id = '{}';",
    },
}


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
async def test_files_of_versions_side_by_side(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A file of the older version is read; the older one reads files of one row, misses larger ones, and deletes both."""
    name = f"files_{tmp_path.name}"
    postgres: Postgres | None = request.getfixturevalue("postgres") if kind == "postgres" else None
    place = str(tmp_path / "store.db") if postgres is None else postgres.create(name)
    versions, words = Versions(kind, place, monkeypatch), OLD_FILES[kind]
    scripts = versions.scripts
    before = next(number for number, script in enumerate(scripts) if "content_rows" in script)

    def old(statement: str) -> list[object]:
        if postgres is not None:
            return [line for line in postgres.psql(statement, name).splitlines() if "\\x" in line]
        with closing(sqlite3.connect(place)) as connection, connection:
            if statement.startswith("SELECT"):
                return connection.execute(statement).fetchall()
            connection.executescript(statement)
            return []

    versions.scripts = scripts[:before]
    await versions.open().close()
    old(words["insert"])
    versions.scripts = scripts
    new = versions.open()
    assert await new.files.content("file_old", ANN, 2) == b"old"
    await new.files.put(file(1, size=5), b"small")
    content = await new.files.begin(ANN, 10)
    await new.files.append(content, 0, b"large")
    await new.files.finish(file(2, size=5), [content])
    assert len(old(words["content"].format("file_001"))) == 1
    assert old(words["content"].format("file_002")) == []
    for id in ("file_old", "file_001", "file_002"):
        old(words["delete"].format(id))
    assert await new.files.list(ANN, 2) == []
    await new.database.purge(2)
    assert await new.files.row(content, 0) == b""
    assert await new.files.usage(ANN) == FileUsage(0, 0)
    await new.close()
