"""The schema: fresh, old, newer, foreign, and opened by several processes at once."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from antiphon.errors import ConfigError
from antiphon.stores.open import open_sqlite
from antiphon.stores.records import LoggedEvent, StoredResponse
from antiphon.stores.sqlite.database import APPLICATION_ID, open_database
from antiphon.stores.sqlite.sql import migrations, statements

from . import processes
from .samples import ANN, base, conversation, event, item, response

pytestmark = pytest.mark.slow


def schema(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    connection.close()
    return rows


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    number: int = connection.execute("PRAGMA user_version").fetchall()[0][0]
    connection.close()
    return number


def make(path: Path, version: int, application_id: int = APPLICATION_ID) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    for script in migrations()[:version]:
        connection.executescript(script)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute(f"PRAGMA application_id = {application_id}")
    return connection


def insert(connection: sqlite3.Connection, row: StoredResponse) -> None:
    """Insert a response as the first versions of the schema kept it; its place is 16777216."""
    connection.execute(
        "INSERT INTO responses VALUES (16777216, ?, ?, ?, ?, ?, NULL, 0, NULL, NULL, ?, ?, NULL, ?, ?)",
        (row.id, row.owner, row.model, row.status, row.created_at, *row.output_span, row.input, row.body),
    )


async def test_a_fresh_file(tmp_path: Path) -> None:
    await open_sqlite(tmp_path / "store.db").close()
    assert version(tmp_path / "store.db") == len(migrations()) >= 7


@pytest.mark.parametrize("old", [1, 2, 3, 4, 5, 6])
async def test_an_old_file_is_brought_up_with_its_data(tmp_path: Path, old: int) -> None:
    path = tmp_path / "store.db"
    connection = make(path, old)
    row = response()
    insert(connection, row)
    connection.commit()
    connection.close()

    store = open_sqlite(path)
    assert await store.responses.get(row.id, ANN) == row
    assert len(await store.responses.items([f"msg_{base(1)}0000"], ANN)) == 1
    await store.conversations.create(conversation(), [item("a")])
    await store.responses.enqueue(response(2, previous_response_id=row.id), b"{}", [])
    assert await store.responses.history(response(2).id, ANN) == [
        row.input,
        row.output,
        response(2).input,
        response(2).output,
    ]
    await store.close()
    await open_sqlite(tmp_path / "fresh.db").close()
    assert schema(path) == schema(tmp_path / "fresh.db")


async def test_events_of_a_running_response_survive_the_change_to_batches(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(make(path, 6)) as connection:
        row = response()
        insert(connection, row)
        odd = LoggedEvent(3, "odd", '{"ä":\n"\\ud800"}'.encode())
        for one in (event(2), event(0), event(1), odd):
            connection.execute(
                "INSERT INTO events VALUES (16777216, ?, ?, ?)", (one.sequence_number, one.type, one.body)
            )
        connection.commit()

    store = open_sqlite(path)
    assert await store.jobs.events(row.id, ANN) == [event(0), event(1), event(2), odd]
    assert await store.jobs.events(row.id, ANN, after=0, limit=1) == [event(1)]
    await store.close()


async def test_several_processes_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    starters = [processes.start("open", path) for _ in range(4)]
    assert [starter.communicate()[0] for starter in starters] == ["open\n"] * 4
    assert [starter.returncode for starter in starters] == [0] * 4
    assert version(path) == len(migrations())


async def test_several_processes_bring_up_an_old_file_at_once(tmp_path: Path) -> None:
    """Workers start together; none of them takes the others for older servers."""
    path = tmp_path / "store.db"
    with closing(make(path, 6)) as connection:
        insert(connection, response())
        connection.commit()
        connection.execute("PRAGMA journal_mode = WAL")
    starters = [processes.start("open", path) for _ in range(4)]
    assert [starter.communicate()[0] for starter in starters] == ["open\n"] * 4
    assert version(path) == len(migrations())


def test_many_open_a_new_file_at_the_same_moment(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for attempt in range(10):
            path, barrier = tmp_path / f"{attempt}.db", Barrier(8)

            def open_one(path: Path = path, barrier: Barrier = barrier) -> None:
                barrier.wait()
                open_database(path).close()

            for opened in [pool.submit(open_one) for _ in range(8)]:
                opened.result()
            assert version(path) == len(migrations())


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "store.db", 99).close()
    with pytest.raises(ConfigError, match=r"newer version of Antiphon .schema 99; this one knows \d+"):
        open_sqlite(tmp_path / "store.db")


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = make(path, 0, application_id=0)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another program"):
        open_sqlite(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("not a database, " * 100)
    with pytest.raises(ConfigError, match="file is not a database"):
        open_sqlite(tmp_path / "store.db")


def test_a_failed_migration_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = make(path, 1)
    connection.execute("CREATE TABLE events (in_the_way)")
    connection.commit()
    connection.close()
    before = schema(path)
    with pytest.raises(ConfigError, match="events already exists"):
        open_sqlite(path)
    assert (schema(path), version(path)) == (before, 1)


def test_scripts_are_split_at_statements_only() -> None:
    script = "-- a; b\nCREATE TABLE a (x DEFAULT ';\n');\nCREATE TRIGGER t BEFORE DELETE ON a BEGIN\nSELECT 1;\nEND;\n"
    assert len(list(statements(script))) == 2
    for migration in migrations():
        assert "".join(statements(migration)).strip() == migration.strip()
