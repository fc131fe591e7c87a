"""The database as it is found: reachable or not, new, old, newer, opened by several at once; and what operators do."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from antiphon.cli import cli
from antiphon.core.retrieval.vectors import code, packed
from antiphon.errors import ConfigError
from antiphon.stores.base import Store
from antiphon.stores.nouns.chats import ChatFilter
from antiphon.stores.open import open_postgres, open_sqlite, open_store, shared_secret
from antiphon.stores.postgres.connection.address import read_address
from antiphon.stores.postgres.imports.importing import NOUNS, Import
from antiphon.stores.postgres.sql import migrations
from antiphon.stores.records import (
    Chunk,
    ChunkVector,
    Embedding,
    FileBatch,
    FileUsage,
    ListPage,
    StoredContainer,
    StoredContainerFile,
    StoredKey,
    StoredSkill,
    StoredSkillVersion,
    VectorFile,
    VectorStore,
)

from . import databases
from .postgres_server import Postgres
from .samples import ANN, BOB, NOW, conversation, delivery, event, file, item, response
from .test_chats import chat

# Reaching it


def test_many_open_a_new_database_at_once(postgres: Postgres) -> None:
    url = postgres.create("at_once")
    with ThreadPoolExecutor(8) as pool:
        for opened in [pool.submit(open_postgres, url) for _ in range(8)]:
            opened.result()
    assert postgres.psql("SELECT version FROM antiphon.migrations ORDER BY 1;", "at_once").split()[2:-2] == [
        str(number + 1) for number in range(len(migrations()))
    ]


def test_processes_open_a_new_database_at_once(postgres: Postgres) -> None:
    url = postgres.create("processes")
    program = "import sys; from antiphon.stores.open import open_store; open_store(sys.argv[1])"
    starting = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(3)]
    assert [process.wait(30) for process in starting] == [0, 0, 0]


def test_a_newer_database_is_refused(postgres: Postgres) -> None:
    url = postgres.create("newer")
    open_postgres(url)
    postgres.psql(
        "INSERT INTO antiphon.migrations (version) VALUES (99); UPDATE antiphon.compatibility SET oldest = 99;", "newer"
    )
    with pytest.raises(ConfigError, match=r"newer version of Antiphon .schema 99; this one knows \d+"):
        open_postgres(url)


def test_a_failed_migration_leaves_the_database_as_it_was(postgres: Postgres) -> None:
    url = postgres.create("in_the_way")
    postgres.psql("CREATE SCHEMA antiphon; CREATE TABLE antiphon.events (theirs int);", "in_the_way")
    with pytest.raises(ConfigError, match='relation "events" already exists'):
        open_postgres(url)
    tables = postgres.psql("SELECT tablename FROM pg_tables WHERE schemaname = 'antiphon';", "in_the_way")
    assert tables.split()[2:-2] == ["events"]


def test_other_programs_tables_are_left_alone(postgres: Postgres) -> None:
    url = postgres.create("theirs")
    postgres.psql("CREATE TABLE responses (x int); CREATE TABLE keys (y int);", "theirs")
    open_postgres(url)
    assert "x" in postgres.psql("SELECT * FROM responses;", "theirs")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://ann:hunter2@127.0.0.1:1/db", "cannot be reached: .*Connect call failed"),
        ("postgresql://ann:hunter2@localhost/db?host=%2Fnowhere", "cannot be reached"),
        ("postgresql://ann:hunter2@127.0.0.1/db?pool_size=none", "pool_size must be a number"),
        ("postgresql://ann:hunter2@[::1/db", "expected postgresql://"),
        ("mysql://ann:hunter2@127.0.0.1/db", "'mysql' is not known"),
    ],
)
def test_what_cannot_be_used_is_told_without_the_password(
    url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.stores.postgres.connection.preparation.PATIENCE", 0.0)
    monkeypatch.setattr("antiphon.stores.postgres.postgres_database.PATIENCE", 0.0)
    with pytest.raises(ConfigError, match=reason) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_an_unknown_database(postgres: Postgres) -> None:
    with pytest.raises(ConfigError, match='database "nobody" does not exist'):
        open_postgres(postgres.url("nobody"))


def test_a_database_that_starts_with_the_server_is_waited_for(
    postgres: Postgres, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    postgres.stop()
    with ThreadPoolExecutor(1) as pool, caplog.at_level(logging.WARNING, "antiphon.store"):
        opening = pool.submit(open_postgres, postgres_url)
        while "waiting until it can be reached" not in caplog.text and not opening.done():
            time.sleep(0.01)
        postgres.start()
        opening.result(10)
    assert "secret" not in caplog.text


def test_the_url_has_settings_of_ours() -> None:
    address = read_address("postgresql://ann:pw@db:5433/x?pool_size=3&sslmode=require&lock_timeout=5")
    assert address.url == "postgresql://ann:pw@db:5433/x?sslmode=require"
    assert (address.shown, address.pool_size, address.pgbouncer) == ("postgresql://db:5433/x", 3, False)
    assert (address.settings["lock_timeout"], address.settings["statement_timeout"]) == ("5", "30000")
    several = read_address("postgresql://db1,db2/x")
    assert several.url == "postgresql://db1,db2/x?target_session_attrs=read-write"
    assert read_address(several.url.replace("read-write", "any")).url.endswith("?target_session_attrs=any")
    pooled = read_address("postgres://db/x?pgbouncer=true")
    assert (pooled.url, pooled.pgbouncer, pooled.settings) == ("postgres://db/x", True, {})


def test_servers_share_the_secret_that_seals(postgres_url: str) -> None:
    assert len(shared_secret(postgres_url)) == 64
    assert shared_secret(postgres_url) == shared_secret(postgres_url)


async def test_it_works_without_a_session(postgres_url: str) -> None:
    """Through a pooler that changes sessions between transactions: nothing prepared, nothing heard."""
    store = open_postgres(f"{postgres_url}&pgbouncer=true")
    store.jobs.on_cancel(lambda id: None)
    await asyncio.gather(*(store.responses.put(response(number)) for number in range(20)))
    assert await store.responses.get(response(19).id, ANN) == response(19)
    assert await store.jobs.wait_for_events(response(1).id, -1, 0.05) is False
    assert await databases.postgres(store).pool.value(_prepared()) == 0
    await store.close()


def _prepared() -> object:
    from antiphon.stores.postgres.sql import Query

    return Query("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")


# Operators


def db(*arguments: str) -> str:
    """Run `antiphon db …`; return what it prints."""
    result = CliRunner().invoke(cli, ["db", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_status_migrate_and_vacuum(postgres: Postgres, tmp_path: Path) -> None:
    for spec in (postgres.create("operated"), str(tmp_path / "store.db")):
        assert "none yet" in db("status", "--store", spec)
        assert "schema 0 → " in db("migrate", "--store", spec)
        assert "is the newest" in db("migrate", "--store", spec)
        shown = db("status", "--store", spec)
        assert "(the newest)" in shown and "responses" in shown and "secret" not in shown.replace("secrets", "")
        assert "→" in db("vacuum", "--store", spec)


@pytest.mark.parametrize("arguments", [("vacuum", "--store", "memory"), ("status", "--store", "http://x/y")])
def test_what_is_no_store_is_told(arguments: Sequence[str]) -> None:
    result = CliRunner().invoke(cli, ["db", *arguments])
    assert result.exit_code == 2
    assert "antiphon: error:" in result.output


# Import


async def fill(path: Path) -> None:
    """Put something of everything into an SQLite store."""
    store = open_sqlite(path)
    for number in range(30):
        await store.responses.put(
            response(number, previous_response_id=response(number - 1).id if number % 10 else None)
        )
    for number in (101, 100):
        await store.responses.put(
            response(number, input=b'[{"id":"x","n":%d}]' % number, foreign_ids={"x": 0}, expires_at=9)
        )
    await store.responses.put(response(5, text="again", owner=ANN, previous_response_id=response(4).id))
    await store.conversations.create(conversation(), [item(name) for name in "cab"])
    await store.responses.put(response(200, conversation_id="conv_1"), conversation_items=[item("d\0")])
    await store.responses.enqueue(response(201, background=True), b'{"r":1}', [event(0)])
    job = await store.jobs.claim("worker", 0.0, 10.0)
    assert job is not None
    await store.jobs.append_events(job.response_id, job.fence, [event(number) for number in range(1, 700)], b'{"c":1}')
    await store.jobs.cancel(job.response_id, ANN)
    await store.files.put(file(1), b"\0content")
    contents = []
    for number in range(2):
        contents.append(await store.files.begin(ANN, 10))
        for place in range(3):
            await store.files.append(contents[-1], place * 5, b"%d-%d.." % (number, place))
    await store.files.finish(file(2, size=30), contents)
    await store.files.append(await store.files.begin(ANN, 10), 0, b"unfinished")
    await fill_vector_store(store)
    container = StoredContainer(
        id="cntr_1", owner=ANN, name="c", memory=1, idle=90, created_at=int(NOW), last_active_at=int(NOW)
    )
    await store.containers.put(container)
    kept = StoredContainerFile(id="cfile_1", container="cntr_1", path="a", size=1, source="user", created_at=1)
    await store.containers.put_file(kept, b"a")
    skill = StoredSkill(id="skill_1", owner=ANN, created_at=1, name="s", description="d")
    first = StoredSkillVersion(
        id="skillver_1", skill="skill_1", created_at=1, name="s", description="d", digest="x", size=3
    )
    await store.skills.create(skill, first, b"zip")
    await store.chats.put(chat(1, expires_at=int(NOW) + 9))
    await store.deliveries.put([delivery(1), delivery(2)])
    await store.keys.put(StoredKey(id="key_1", owner=BOB, digest=b"d", created_at=NOW, body=b"{}"))
    await store.keys.secret("pepper", b"theirs")
    await store.close()


V = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)]


async def fill_vector_store(store: Store) -> None:
    stores = store.vector_stores
    await stores.create(
        VectorStore(id="vs_1", owner=ANN, created_at=1, last_active_at=1, name="v", metadata=b'{"a":"b"}')
    )
    files = [
        VectorFile(file_id=f"file_{n}", filename=f"{n}.txt", created_at=1, attributes=b'{"n":1}') for n in range(5)
    ]
    batch = FileBatch(id="vsfb_1", store_id="vs_1", created_at=1)
    assert await stores.attach("vs_1", ANN, files, batch, most=10)
    for number in range(4):
        job = await stores.claim("w", 1.0, 10.0)
        assert job is not None
        if number == 3:
            await stores.fail(job, "invalid_file", "It is broken.")
            continue
        chunks = [Chunk(f"crown {number} {place}", ["crown", str(number), str(place)]) for place in range(3)]
        vectors = [ChunkVector(b"%d-%d" % (number, n), code(V[n]), packed(V[n])) for n in range(3)]
        await stores.draft(job, "m", vectors)
        embedding = Embedding(model="m", dimensions=3, digests=[one.digest for one in vectors])
        await stores.complete(job, chunks, most=100, embedding=embedding)
    await stores.detach("vs_1", "file_0", ANN)
    await stores.sweep()


async def same_vector_stores(old: Store, new: Store) -> None:
    a, b = old.vector_stores, new.vector_stores
    assert await b.get("vs_1", ANN, 1) == await a.get("vs_1", ANN, 1) is not None
    page = ListPage(descending=False)
    assert await b.files("vs_1", ANN, page) == await a.files("vs_1", ANN, page)
    assert await b.batch("vs_1", "vsfb_1", ANN) == await a.batch("vs_1", "vsfb_1", ANN) is not None
    assert await b.content("vs_1", "file_1", ANN, 0, 9) == await a.content("vs_1", "file_1", ANN, 0, 9) is not None
    for words in (["crown"], ["1", "2"], ["none"]):
        mine, theirs = await b.search("vs_1", ANN, words, 9), await a.search("vs_1", ANN, words, 9)
        assert (mine.chunks, mine.having) == (theirs.chunks, theirs.having)
        assert [(hit.number, hit.text, round(hit.score, 9)) for hit in mine.hits] == [
            (hit.number, hit.text, round(hit.score, 9)) for hit in theirs.hits
        ]
    near = [await one.nearest("vs_1", ANN, "m", V[1], 4) for one in (a, b)]
    assert [hit.text for hit in near[0].hits] == [hit.text for hit in near[1].hits] and len(near[0].hits) == 4


async def same(path: Path, url: str) -> None:
    """Compare what both stores say."""
    old, new = open_sqlite(path), open_postgres(url)
    for number in (*range(30), 100, 101, 200, 201):
        id = response(number).id
        assert await new.responses.get(id, ANN) == await old.responses.get(id, ANN) is not None
        assert await new.responses.history(id, ANN) == await old.responses.history(id, ANN)
    assert await new.responses.items(["x", "a", "d\0"], ANN) == await old.responses.items(["x", "a", "d\0"], ANN)
    assert await new.conversations.list_items("conv_1", ANN) == await old.conversations.list_items("conv_1", ANN)
    assert await new.jobs.events(response(201).id, ANN) == await old.jobs.events(response(201).id, ANN)
    assert await new.jobs.checkpoint(response(201).id) == b'{"c":1}'
    assert await new.files.content("file_001", ANN, NOW) == b"\0content"
    assert await new.files.list(ANN, NOW) == await old.files.list(ANN, NOW)
    for start in (0, 7, 15, 29):
        piece = await new.files.content("file_002", ANN, NOW, start)
        assert piece and piece == await old.files.content("file_002", ANN, NOW, start)
    assert await new.files.usage(ANN) == FileUsage(2, 33)
    await same_vector_stores(old, new)
    assert await new.containers.get("cntr_1", ANN, NOW) == await old.containers.get("cntr_1", ANN, NOW) is not None
    assert await new.containers.files("cntr_1") == await old.containers.files("cntr_1")
    assert await new.containers.file_content("cntr_1", "cfile_1") == b"a"
    assert await new.skills.get("skill_1", ANN) == await old.skills.get("skill_1", ANN) is not None
    assert await new.skills.content("skill_1", 1) == b"zip"
    assert await new.chats.get("chatcmpl-001", ANN, NOW) == await old.chats.get("chatcmpl-001", ANN, NOW) is not None
    assert await new.chats.list(ANN, NOW, ChatFilter(metadata={"colour": "grün"})) == await old.chats.list(ANN, NOW)
    assert await new.keys.list() == await old.keys.list()
    assert await new.keys.secret("pepper", b"mine") == b"theirs"
    assert await new.deliveries.next_due() == await old.deliveries.next_due()
    assert await new.jobs.claim("worker", 9.0, 10.0) is None
    assert await new.jobs.claim("worker", 10.0, 10.0) == await old.jobs.claim("worker", 10.0, 10.0)
    await new.close()
    await old.close()


async def test_an_import_copies_everything(postgres: Postgres, tmp_path: Path) -> None:
    path, url = tmp_path / "store.db", postgres.create("imported")
    await fill(path)
    (tmp_path / "store.key").write_text("5ea1" * 16)
    shown = await asyncio.to_thread(db, "import", str(path), url)
    assert all(noun.name in shown for noun in NOUNS)
    await asyncio.to_thread(db, "import", str(path), url)
    await same(path, url)
    assert await asyncio.to_thread(shared_secret, url) == "5ea1" * 16


async def test_an_import_that_broke_off_goes_on(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, url = tmp_path / "store.db", postgres.create("broken_off")
    await fill(path)
    write, written = Import._write, []

    async def breaking(self: Import, target: object, noun: object, rows: Sequence[object]) -> None:
        if len(written) == 8:
            raise ConfigError("broken off")
        await write(self, target, noun, rows)  # type: ignore[arg-type]
        written.append(rows)

    monkeypatch.setattr(Import, "_write", breaking)
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["db", "import", str(path), url])
    assert result.exit_code == 2
    monkeypatch.setattr(Import, "_write", write)
    await asyncio.to_thread(db, "import", str(path), url)
    await same(path, url)


def test_an_import_from_nowhere(postgres_url: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["db", "import", str(tmp_path / "none.db"), postgres_url])
    assert result.exit_code == 2
    assert "Store not found" in result.output
