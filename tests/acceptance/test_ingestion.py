"""Three real servers ingest files into one PostgreSQL; one is killed by `kill -9` while it reads: nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import pytest
from openai import OpenAI

from antiphon.stores.postgres.connection.preparation import blocking
from tests.acceptance.command import Command, serving
from tests.bounds import bound
from tests.stores.postgres_server import running

pytestmark = [pytest.mark.slow, pytest.mark.needs("postgresql")]

REPLICAS, FILES, WORDS = 3, 9, 60_000
CONFIG = """
store = "{store}"
log_level = "error"
[backends.scripted]
url = "http://scripted"
api = "scripted"
discover = false
"""
HELD = "SELECT worker, file_id FROM antiphon.vector_store_files WHERE worker IS NOT NULL"
ROWS = "SELECT f.file_id, f.chunks, f.crashes, count(c.number) FROM antiphon.vector_store_files AS f "
ROWS += "LEFT JOIN antiphon.vector_chunks AS c ON c.file = f.number GROUP BY f.number"


@pytest.fixture
def group(tmp_path: Path) -> Iterator[tuple[Sequence[Command], str]]:
    with ExitStack() as stack:
        url = stack.enter_context(running()).create("ingestion")
        (tmp_path / "antiphon.toml").write_text(CONFIG.format(store=url))
        yield [stack.enter_context(serving(tmp_path, "--config", "antiphon.toml")) for _ in range(REPLICAS)], url


def rows(url: str, query: str) -> list[asyncpg.Record]:
    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    return blocking(fetch)


def killed_while_it_reads(servers: Sequence[Command], url: str) -> tuple[Command, str]:
    """Kill a server that holds a file; return it, and the file's id. It is stopped first, so that it holds it for certain."""
    end = time.monotonic() + bound(60)
    while time.monotonic() < end:
        for server in servers:
            os.kill(server.process.pid, signal.SIGSTOP)
            time.sleep(0.3)  # what it has sent already is committed
            for worker, file_id in rows(url, HELD):
                if worker.startswith(f"{server.process.pid}-"):
                    server.process.kill()
                    server.process.wait()
                    return server, file_id
            os.kill(server.process.pid, signal.SIGCONT)
    raise AssertionError("no server held a file when it was looked at")


def test_a_file_whose_server_is_killed_is_taken_over(group: tuple[Sequence[Command], str]) -> None:
    servers, url = group
    with OpenAI(base_url=f"{servers[0].url}/v1", api_key="none") as first:
        ids = []
        for number in range(FILES):
            text = " ".join(f"f{number}w{place}" for place in range(WORDS)).encode()
            ids.append(first.files.create(file=(f"{number}.txt", text), purpose="assistants").id)
        store = first.vector_stores.create(name="shared")
        batch = first.vector_stores.file_batches.create(store.id, file_ids=ids)
    dead, file_id = killed_while_it_reads(servers, url)
    alive = next(server for server in servers if server is not dead)
    with OpenAI(base_url=f"{alive.url}/v1", api_key="none") as client:
        end = time.monotonic() + bound(90)
        while client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id).status == "in_progress":
            assert time.monotonic() < end, "the file is not taken over"
            time.sleep(0.2)
        counts = client.vector_stores.retrieve(store.id).file_counts
        assert (counts.completed, counts.total) == (FILES, FILES)
        contents = []
        for id in ids:
            parts = client.vector_stores.files.content(id, vector_store_id=store.id).data
            contents.append(tuple(part.text for part in parts))
        assert len(set(contents)) == FILES and len({*map(len, contents)}) == 1
        for number, id in enumerate(ids):
            for place in (0, WORDS // 2, WORDS - 1):
                hits = client.vector_stores.search(store.id, query=f"f{number}w{place}").data
                assert {hit.file_id for hit in hits} == {id} and len(hits) <= 2  # chunks repeat half of the one before
    for id, chunks, crashes, kept in rows(url, ROWS):
        assert chunks == kept == len(contents[ids.index(id)])
        assert crashes == (id == file_id), "only the file of the dead server was begun twice"
