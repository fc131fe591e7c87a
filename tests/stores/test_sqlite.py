"""What only the store in a file promises."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from antiphon.errors import APIError, InvalidRequest
from antiphon.stores.base import Store
from antiphon.stores.open import open_sqlite
from antiphon.stores.sqlite import responses
from antiphon.stores.sqlite.database import open_database
from antiphon.stores.sqlite.sql import FOLDER, queries

from . import databases, processes
from .samples import ANN, conversation, event, item, response

pytestmark = pytest.mark.slow


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "store.db")
    await store.conversations.create(conversation(), [item("a")])
    await store.responses.enqueue(response(1, background=True), b"{}", [event(0)])
    await store.responses.put(response(2, foreign_ids={"x": 0}))
    await store.close()

    store = open_sqlite(tmp_path / "store.db")
    assert await store.responses.get(response(2).id, ANN) == response(2, foreign_ids={"x": 0})
    assert await store.conversations.list_items("conv_1", ANN) == [item("a")]
    assert await store.jobs.events(response(1).id, ANN) == [event(0)]
    assert await store.jobs.claim("worker", 0.0, 1.0) is not None
    await store.close()


@pytest.mark.parametrize("seconds", [0.3, 0.5, 0.8])
async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "store.db"
    process = processes.start("put", path)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    await asyncio.sleep(seconds)
    process.kill()
    acknowledged = [int(line) for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    assert len(acknowledged) > 50

    store = open_sqlite(path)
    for number in acknowledged:
        assert await store.responses.get(response(number).id, ANN) == response(number, outputs=5)
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_two_processes_never_claim_the_same_job(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_sqlite(path)
    await asyncio.gather(*(store.responses.enqueue(response(number), b"{}", []) for number in range(300)))
    workers = [processes.start("claim", path, f"worker {number}") for number in range(2)]
    claimed = [await asyncio.to_thread(worker.communicate) for worker in workers]
    ids = [line for output, _ in claimed for line in output.splitlines() if line != "open"]
    assert sorted(ids) == sorted(response(number).id for number in range(300))
    await store.close()


async def test_two_processes_fork_the_same_response(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_sqlite(path)
    trunk = response(0)
    await store.responses.put(trunk)
    workers = [processes.start("fork", path, start) for start in ("1000", "2000")]
    assert [await asyncio.to_thread(worker.wait) for worker in workers] == [0, 0]
    for number in (*range(1000, 1100), *range(2000, 2100)):
        mine, child = response(number), response(number + 50_000)
        expected = [trunk.input, trunk.output, mine.input, mine.output, child.input, child.output]
        assert await store.responses.history(child.id, ANN) == expected
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.close()
    await store.close()


async def test_deleted_text_is_nowhere_in_the_files(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_sqlite(path)
    await store.conversations.create(conversation(), [item("SECRETMARK")])
    for number in range(300):
        await store.responses.put(response(number, text="SECRETMARK" * 100 if number % 2 else "harmless"))
    await store.responses.put(response(900, text="SECRETMARK", background=True))
    await store.responses.put(response(900, text="harmless", background=True))
    assert b"SECRETMARK" in _all_bytes(tmp_path)
    for number in range(1, 300, 2):
        await store.responses.delete(response(number).id, ANN)
    await store.conversations.delete_item("conv_1", "SECRETMARK", ANN)
    await asyncio.sleep(1.5)
    assert b"SECRETMARK" not in _all_bytes(tmp_path)
    assert await store.responses.get(response(2).id, ANN) is not None
    await store.close()


def _all_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_the_log_is_gone_after_close(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "store.db")
    await store.responses.put(response())
    await store.close()
    assert list(_modes(tmp_path)) == ["store.db"]


async def test_files_are_private(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "store.db")
    await store.responses.put(response())
    assert _modes(tmp_path) == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
    await store.close()


def _modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_history_costs_one_range_read_per_fork(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "store.db")
    behind = None
    for number in range(12):
        await store.responses.put(response(number, previous_response_id=behind))
        behind = response(number).id
    fork = response(100, previous_response_id=response(5).id)
    await store.responses.put(fork)
    statements: list[str] = []
    databases.sqlite(store).reader.set_trace_callback(statements.append)
    for id, threads in ((response(11).id, 1), (fork.id, 2)):
        statements.clear()
        await store.responses.history(id, ANN)
        assert len([each for each in statements if "ORDER BY rowid DESC" in each]) == threads
        assert len([each for each in statements if "SELECT" in each]) <= 2 + 2 * threads
    plan = " ".join(
        row[3]
        for row in databases.sqlite(store).reader.execute(f"EXPLAIN QUERY PLAN {responses.SQL['thread']}", {"rowid": 1})
    )
    assert "SEARCH responses USING INTEGER PRIMARY KEY" in plan and "TEMP B-TREE" not in plan
    await store.close()


async def test_no_query_scans_what_grows(tmp_path: Path) -> None:
    """Every statement finds its rows by an index; jobs and deliveries that wait are few, as are keys, limits and parameters."""
    store = open_sqlite(tmp_path / "store.db")
    for noun in sorted(file.name.removesuffix(".sql") for file in (FOLDER / "queries").iterdir()):
        for name, statement in queries(noun).items():
            for row in databases.sqlite(store).reader.execute(f"EXPLAIN QUERY PLAN {statement}", _Anything()):
                few = "CONSTANT" in row[3] or row[3].endswith(
                    (
                        "vector_store_files_in_progress",
                        "vector_store_files_gone",
                        "batches_open",
                        "response_log_working",
                    )
                )
                # A page, which was found by an index; the pieces of one input.
                few = few or row[3].startswith("SCAN (subquery") or row[3] == "SCAN chain"
                if row[3].startswith("SCAN") and not few:
                    assert row[3].split()[1] in ("jobs", "json_each", "deliveries", "keys", "meters", "slots"), (
                        name,
                        row[3],
                    )
    await store.close()


class _Anything(dict[str, int]):
    def __missing__(self, name: str) -> int:
        return 1


async def test_a_full_disk_is_told_to_the_writer_and_passes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = open_sqlite(tmp_path / "store.db")
    await store.responses.put(response(1))
    databases.sqlite(store).keeper.connection.execute("PRAGMA max_page_count = 20")
    for _ in range(5):
        with pytest.raises(APIError) as caught:
            await store.responses.put(response(2, text="x" * 200_000))
        assert (caught.value.status, caught.value.code) == (503, "store_unavailable")
    assert store.database.condition.reason == "full"
    assert len([line for line in caplog.messages if "unavailable" in line]) == 1
    assert await store.responses.get(response(2).id, ANN) is None
    databases.sqlite(store).keeper.connection.execute("PRAGMA max_page_count = 1000000")
    await store.responses.put(response(2))
    assert await store.responses.get(response(1).id, ANN) == response(1)
    await store.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "store.db")
    await store.close()
    await store.close()
    with pytest.raises(RuntimeError, match="closed"):
        await store.responses.put(response())


def test_the_store_outlives_an_event_loop_that_went_away(tmp_path: Path) -> None:
    async def open_and_leave() -> Store:
        store = open_sqlite(tmp_path / "store.db")
        for number in range(50):
            databases.sqlite(store).writer.submit(partial(responses.put, response=response(number)))
        return store

    async def look(store: Store) -> int:
        await store.responses.put(response(100))
        found = [await store.responses.get(response(number).id, ANN) for number in range(50)]
        await store.close()
        return sum(row is not None for row in found)

    store = asyncio.run(open_and_leave())
    assert asyncio.run(look(store)) == 50


async def test_a_history_is_read_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one of many forks, of which each thread is short, and one of few large turns."""
    store = open_sqlite(tmp_path / "antiphon.db")
    try:
        previous: str | None = None
        for turn in range(60):
            for sibling in (1, 2):  # the first child goes on with its parent's thread, the second begins one
                last = response(10 * turn + sibling, previous_response_id=previous)
                await store.responses.put(last)
            previous = last.id
        arrays = await store.responses.history(last.id, ANN)
        assert arrays is not None
        assert len(arrays) == 120
        monkeypatch.setattr("antiphon.stores.sqlite.responses.MOST_ARRAYS", 100)
        with pytest.raises(InvalidRequest) as caught:
            await store.responses.history(last.id, ANN)
        assert caught.value.param == "previous_response_id"
    finally:
        await store.close()


def test_a_folder_that_was_not_there_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "antiphon"):
        open_database(tmp_path / "there.db").close()
        assert caplog.messages == []
        open_database(tmp_path / "typo/store.db").close()
    assert caplog.messages == [f"store {tmp_path}/typo/store.db: made its folder, which was not there"]
