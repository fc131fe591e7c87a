"""Ingestion: files become chunks once, whoever dies meanwhile; owners take turns."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.core.retrieval.words import query_words
from antiphon.stores.base import Store
from antiphon.stores.open import open_memory, open_store
from antiphon.stores.records import IngestJob, ListPage, StoredFile, VectorFile, VectorStore
from antiphon.tools.retrieval import ingestion
from antiphon.tools.retrieval.ingestion import IngestBounds, Ingestion
from antiphon.tools.retrieval.protocol import DocumentChunks, ReadTask
from antiphon.tools.retrieval.reader import DocumentReader
from tests.stores.postgres_server import Postgres, running

pytestmark = pytest.mark.slow

ANN, BOB = "ann", "bob"
FILES = 12


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    created: str = request.getfixturevalue("postgres").create(f"ingestion{time.monotonic_ns()}")
    return created


async def filled(store: Store, owner: str = ANN, count: int = FILES, content: bytes | None = None) -> str:
    """Make a vector store with files that wait; return its id."""
    id = f"vs_{owner}"
    await store.vector_stores.create(VectorStore(id=id, owner=owner, created_at=1, last_active_at=1))
    files = []
    for number in range(count):
        text = content or " ".join(f"word{number:02}x{place}" for place in range(2000)).encode()
        file = StoredFile(
            id=f"file-{owner}{number}",
            owner=owner,
            filename=f"{number}.txt",
            purpose="assistants",
            media_type="text/plain",
            size=len(text),
            created_at=1,
        )
        await store.files.put(file, text)
        files.append(VectorFile(file_id=file.id, filename=file.filename, created_at=1))
    assert await store.vector_stores.attach(id, owner, files, most=1000)
    return id


async def ended(store: Store, id: str, owner: str = ANN) -> list[VectorFile]:
    """Wait until no file is in progress; return the files."""
    while True:
        files = await store.vector_stores.files(id, owner, ListPage(limit=1000, descending=False))
        assert files is not None
        if all(file.status != "in_progress" for file in files):
            return list(files)
        await asyncio.sleep(0.02)


WORKER = """
import asyncio, sys, time
from antiphon.tools.retrieval import ingestion
from antiphon.stores.open import open_store
ingestion.LEASE, ingestion.POLL, ingestion.MOST_CRASHES = 0.5, 0.05, 1000
async def main():
    worker = ingestion.Ingestion(open_store(sys.argv[1]), ingestion.IngestBounds(workers=2, tokens=200, overlap=50), time.time)
    await worker.start()
    print("started", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_whoever_is_killed_loses_nothing_and_doubles_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "POLL", 0.05)
    monkeypatch.setattr(ingestion, "MOST_CRASHES", 1000)
    store = open_store(url)
    id = await filled(store)
    chance = random.Random(5)
    for _ in range(4):
        worker = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", WORKER, url], stdout=subprocess.PIPE
        )
        assert worker.stdout is not None
        await asyncio.to_thread(worker.stdout.readline)
        await asyncio.sleep(chance.uniform(0.05, 0.4))
        worker.kill()
        worker.wait()
        worker.stdout.close()
    heir = Ingestion(store, IngestBounds(workers=2, tokens=200, overlap=50), time.time)
    await heir.start()
    files = await ended(store, id)
    await heir.close()
    assert [file.status for file in files] == ["completed"] * FILES
    texts = [await store.vector_stores.content(id, file.file_id, ANN, 0, 1000) for file in files]
    assert len({tuple(one) for one in texts}) == FILES and len({len(one) for one in texts}) == 1
    for number in range(FILES):
        hits = await store.vector_stores.search(id, ANN, query_words(f"word{number:02}x7"), 50)
        assert [hit.file_id for hit in hits.hits] == [f"file-{ANN}{number}"]
    await store.close()


async def test_a_file_that_ends_servers_is_given_up() -> None:
    store = open_memory()
    id = await filled(store, count=1)
    for number in range(ingestion.MOST_CRASHES + 1):
        assert await store.vector_stores.claim("dead", number * 100.0, 1.0)
    worker = Ingestion(store, IngestBounds(), time.time)
    await worker.start()
    (file,) = await ended(store, id)
    await worker.close()
    assert (file.status, file.error_code) == ("failed", "invalid_file")
    assert "ended the server 3 times" in file.error_message


async def test_owners_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_memory()
    ids = {owner: await filled(store, owner, count) for owner, count in ((ANN, 6), (BOB, 2))}
    order: list[str] = []
    complete = store.vector_stores.complete

    async def noted(job: IngestJob, *args: object, **kwargs: object) -> None:
        order.append(job.owner)
        await complete(job, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(store.vector_stores, "complete", noted)
    worker = Ingestion(store, IngestBounds(), time.time)
    await worker.start()
    for owner, id in ids.items():
        await ended(store, id, owner)
    await worker.close()
    assert order[:4].count(BOB) == 2


async def test_what_is_held_at_a_stop_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_memory()
    id = await filled(store, count=1)
    reached = asyncio.Event()

    async def waits(*args: object) -> object:
        reached.set()
        return await asyncio.Event().wait()

    monkeypatch.setattr(DocumentReader, "read", waits)
    worker = Ingestion(store, IngestBounds(), time.time)
    await worker.start()
    await reached.wait()
    assert await store.vector_stores.claim("other", time.time(), 10.0) is None
    await worker.close()
    job = await store.vector_stores.claim("other", time.time(), 10.0)
    assert job is not None and job.store_id == id and job.crashes == 0


async def test_a_stop_just_behind_a_wake_stops() -> None:
    for _ in range(50):
        worker = Ingestion(open_memory(), IngestBounds(), time.time)
        await worker.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        worker.wake()
        async with asyncio.timeout(20):
            await worker.close()


async def test_a_stop_just_behind_a_completed_file_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_memory()
    await filled(store, count=1)
    completed = asyncio.Event()

    async def complete(*args: object, **kwargs: object) -> None:
        completed.set()

    async def read(*args: object) -> DocumentChunks:
        return DocumentChunks()

    monkeypatch.setattr(store.vector_stores, "complete", complete)
    monkeypatch.setattr(DocumentReader, "read", read)
    worker = Ingestion(store, IngestBounds(), time.time)
    await worker.start()
    await completed.wait()
    async with asyncio.timeout(20):
        await worker.close()


async def test_a_file_that_is_taken_out_meanwhile_is_not_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "LEASE", 0.05)
    store = open_memory()
    id = await filled(store, count=2)
    real, cancelled = DocumentReader.read, asyncio.Event()

    async def waits(self: object, task: ReadTask, *content: object) -> object:
        if task.filename == "0.txt":
            try:
                await store.vector_stores.detach(id, f"file-{ANN}0", ANN)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
        return await real(self, task, *content)  # type: ignore[arg-type]

    monkeypatch.setattr(DocumentReader, "read", waits)
    worker = Ingestion(store, IngestBounds(), time.time)
    await worker.start()
    await cancelled.wait()
    monkeypatch.setattr(ingestion, "LEASE", 15.0)
    files = await ended(store, id)
    await worker.close()
    assert [(file.file_id, file.status) for file in files] == [(f"file-{ANN}1", "completed")]
