"""A store in a file that fails: refused before the model is called, told once, well again by itself."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.stores.base import Store
from antiphon.stores.open import open_sqlite
from antiphon.stores.sqlite.disk import keeper
from tests.server.serving import wait_until
from tests.server.whole import Client, turn, whole_server
from tests.stores.databases import sqlite

pytestmark = pytest.mark.slow

MODEL = "scripted"


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> list[Store]:
    """The stores that servers open."""
    opened: list[Store] = []

    def opening(spec: str, *, log_limit: int) -> Store:
        opened.append(open_sqlite(spec, wal_limit=log_limit))
        return opened[-1]

    monkeypatch.setattr("antiphon.composition.app.open_store", opening)
    return opened


@contextmanager
def full(path: Path, store: Store) -> Iterator[None]:
    """No page more."""
    connection = sqlite(store).keeper.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    connection.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def locked(path: Path, store: Store) -> Iterator[None]:
    """Another program is in the middle of a transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def moved(path: Path, store: Store) -> Iterator[None]:
    """Somebody took the file away, and brings it back."""
    path.rename(path.with_suffix(".away"))
    yield
    path.with_suffix(".away").rename(path)


@contextmanager
def deleted(path: Path, store: Store) -> Iterator[None]:
    """Somebody deleted the file, and puts a backup in its place."""
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(path.with_name("copy"))) as copy:
        connection.backup(copy)
    path.unlink()
    yield
    path.with_name("copy").rename(path)


@contextmanager
def read_only(path: Path, store: Store) -> Iterator[None]:
    """The connection may only read, as on a file system that was mounted anew after an error."""
    sqlite(store).keeper.connection.execute("PRAGMA query_only = ON")
    yield
    sqlite(store).keeper.connection.execute("PRAGMA query_only = OFF")


@contextmanager
def grown(path: Path, store: Store) -> Iterator[None]:
    """A reader holds its snapshot while the log grows beyond its limit."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM responses").fetchall()
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            while path.with_name(path.name + "-wal").stat().st_size <= 1 << 21:
                writer.execute("INSERT INTO meters VALUES (hex(randomblob(16)), 0, 0)")
        yield


@contextmanager
def altered(path: Path, store: Store) -> Iterator[None]:
    """Another version has taken a table away."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("ALTER TABLE responses RENAME TO renamed")
        yield
        other.execute("ALTER TABLE renamed RENAME TO responses")


FAULTS: dict[str, tuple[Callable[[Path, Store], Any], str]] = {
    "full": (full, "full"),
    "locked": (locked, "locked"),
    "moved": (moved, "missing"),
    "deleted": (deleted, "missing"),
    "read_only": (read_only, "read_only"),
    "grown": (grown, "log_full"),
    "altered": (altered, "schema"),
}


def calls(client: Client) -> float:
    """Return how many calls the backend has had."""
    text = client.get("/metrics")[1].decode()
    found = [line for line in text.splitlines() if line.startswith("antiphon_backend_calls_total")]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def refused(answer: tuple[int, Any]) -> None:
    status, body = answer
    assert (status, body["error"]["code"]) == (503, "store_unavailable"), body


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_before_the_model_is_called_and_passes(
    name: str, stores: list[Store], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    monkeypatch.setattr(keeper, "BUSY_SECONDS", 3.0)
    fault, reason = FAULTS[name]
    path = tmp_path / "store.db"
    with whole_server(store=str(path), store_log_limit=1 << 21) as client:
        kept = client.create(model=MODEL, input="hi")["id"]
        conversation = client.post("/v1/conversations")[1]["id"]
        assert client.get("/ready")[0] == 200
        caplog.clear()
        with fault(path, stores[0]):
            # Whatever comes before the fault is known is told as 503 all the same.
            if name != "grown":  # that is seen within a second
                refused(client.post("/v1/responses", model=MODEL, input="h" * 9000))
            wait_until(lambda: client.get("/ready")[0] == 503)
            status, ready = client.get("/ready")
            assert (status, ready["store"]) == (503, {"up": False, "reason": reason})
            assert client.get("/health")[0] == 200
            before = calls(client)
            for body in ({}, {"stream": True}, {"background": True}, {"conversation": conversation}):
                refused(client.post("/v1/responses", model=MODEL, input="hi", **body))
            with client.websocket() as connection:
                event = turn(connection, model=MODEL, input="hi")[-1]
                assert (event["status"], event["error"]["code"]) == (503, "store_unavailable")
            assert calls(client) == before, "the model was called in vain"
            assert client.create(model=MODEL, input="hi", store=False)["status"] == "completed"
            metrics = client.get("/metrics")[1].decode()
            assert "antiphon_store_up 0\n" in metrics
            assert f'antiphon_store_failures_total{{reason="{reason}"}}' in metrics
            loud = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
            told = [
                record for record in loud if record.name != "antiphon.server.process.loop_watch"
            ]  # a busy machine is no fault of the store
            assert [record.message for record in told if ": unavailable" in record.message], caplog.text
            assert len([record for record in told if "write-ahead log (WAL)" not in record.message]) == 1, caplog.text
        wait_until(lambda: client.get("/ready")[0] == 200)
        assert client.get(f"/v1/responses/{kept}")[0] == 200
        fresh = client.create(model=MODEL, input="hi")["id"]
        assert client.get(f"/v1/responses/{fresh}")[0] == 200
        assert "antiphon_store_up 1\n" in client.get("/metrics")[1].decode()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM responses WHERE id IN (?, ?)", (kept, fresh)).fetchone() == (2,)


def test_a_fault_at_the_end_is_told_in_the_stream(stores: list[Store], tmp_path: Path) -> None:
    with whole_server(store=str(tmp_path / "store.db")) as client:
        client.create(model=MODEL, input="hi")
        with full(tmp_path / "store.db", stores[0]):
            events = client.stream(model=MODEL, input="x" * 30_000)
            assert events[-1]["type"] == "response.failed"
            assert events[-1]["response"]["error"]["code"] == "store_unavailable"


def test_damaged_pages_are_told(stores: list[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "CHECK_PAUSE", 0.2)
    path = tmp_path / "store.db"
    with whole_server(store=str(path)) as client:
        ids = [client.create(model=MODEL, input="hi" * 2000)["id"] for _ in range(50)]
        sqlite(stores[0]).keeper.truncate()
        shutil.copy(path, tmp_path / "backup")
        damage(path)
        sqlite(stores[0]).reader.execute("PRAGMA cache_size = 0")
        answers = [client.get(f"/v1/responses/{id}") for id in ids]
        assert {status for status, _ in answers} <= {200, 503, 404}
        for answer in answers:
            if answer[0] == 503:
                refused(answer)
        wait_until(lambda: client.get("/ready")[0] == 503)
        assert client.get("/ready")[1]["store"]["reason"] == "corrupt"
        refused(client.post("/v1/responses", model=MODEL, input="hi"))
        (tmp_path / "backup").rename(path)
        wait_until(lambda: client.get("/ready")[0] == 200)
        assert all(client.get(f"/v1/responses/{id}")[0] == 200 for id in ids)


def damage(path: Path) -> None:
    """Overwrite the middle of a file."""
    with path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * (path.stat().st_size - 12 * 4096))


def test_a_conversation_that_is_deleted_meanwhile_is_the_clients_fault(tmp_path: Path) -> None:
    with whole_server(store=str(tmp_path / "store.db")) as client:
        conversation = client.post("/v1/conversations")[1]["id"]
        answers: list[tuple[int, Any]] = []
        asking = threading.Thread(
            target=lambda: answers.append(
                client.post("/v1/responses", model=MODEL, input="word " * 200, conversation=conversation)
            )
        )
        asking.start()
        client.send("DELETE", f"/v1/conversations/{conversation}")
        asking.join()
        assert answers[0][0] in (200, 404), answers


# In a process of its own: limits of the file's size, a small file system


CHILD = """
import asyncio, resource, sys
from antiphon.errors import APIError
from antiphon.stores.open import open_sqlite
from tests.stores.samples import response

async def main():
    store = open_sqlite(sys.argv[1])
    limit = int(sys.argv[2])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    stored, codes = [], set()
    for number in range(300):
        try:
            await store.responses.put(response(number, text="x" * 20_000))
            stored.append(number)
        except APIError as error:
            codes.add((error.status, error.code))
    print("failed", codes, store.database.condition.reason)
    sys.stdin.readline()
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sys.stdout.flush()
    for _ in range(200):
        if store.database.condition.reason is None:
            break
        await asyncio.sleep(0.05)
    await store.responses.put(response(1000))
    assert all([await store.responses.get(response(number).id, "ann") for number in (*stored, 1000)])
    print("recovered", len(stored))
    await store.close()

asyncio.run(main())
"""


def _child(path: Path, limit: int, relieve: Callable[[], object]) -> str:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(limit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdin is not None and process.stdout is not None
    with process, process.stdin, process.stdout:
        first = process.stdout.readline()
        relieve()
        process.stdin.write("\n")
        process.stdin.flush()
        rest = process.stdout.read()
        assert process.wait(30) == 0
    return first + rest


def test_a_limit_of_the_files_size(tmp_path: Path) -> None:
    said = _child(tmp_path / "store.db", 1_000_000, lambda: None)
    assert "failed {(503, 'store_unavailable')}" in said
    assert "recovered" in said


@pytest.mark.needs("mount")
def test_a_small_file_system(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", "-l", disk], check=True)
        said = _child(
            disk / "store.db", 0, lambda: subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        )
    assert "failed {(503, 'store_unavailable')} full" in said
    assert "recovered" in said
