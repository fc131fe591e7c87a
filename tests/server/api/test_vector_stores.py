"""`/v1/vector_stores` over a real socket with the official client, in every database: files become chunks and are found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.composition.app import build
from antiphon.config import BackendConfig, Config, FileSearchConfig, KeyConfig, ToolsConfig
from antiphon.stores.open import open_postgres
from tests.server.serving import serving
from tests.stores.postgres_server import Postgres, running
from tests.tools.retrieval.documents import docx, pdf

pytestmark = pytest.mark.slow

SETTINGS = FileSearchConfig(max_store_files=5, max_store_chunks=40, max_stores=3, max_file=2_000_000)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    match request.param:
        case "memory":
            store = "memory"
        case "sqlite":
            store = str(tmp_path / "store.db")
        case _:
            postgres = request.getfixturevalue("postgres")
            store = postgres.create(f"vectors{time.monotonic_ns()}")
            open_postgres(store)
    config = Config(
        store=store,
        backends={"scripted": BackendConfig(url="http://scripted", api="scripted")},
        keys={"ann": KeyConfig(key="ann-key-0123456789"), "bob": KeyConfig(key="bob-key-0123456789")},
        tools=ToolsConfig(file_search=SETTINGS),
        shutdown_grace=0,
    )
    with serving(build(config), config) as served:
        yield f"{served.url}/v1"


@pytest.fixture
def ann(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="ann-key-0123456789", max_retries=0)


@pytest.fixture
def bob(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="bob-key-0123456789", max_retries=0)


def uploaded(client: openai.OpenAI, name: str, content: bytes) -> str:
    return client.files.create(file=(name, content), purpose="assistants").id


def added(client: openai.OpenAI, store: str, name: str, content: bytes, **fields: Any) -> Any:
    """Add a file to a vector store and wait until it is ingested."""
    return client.vector_stores.files.create_and_poll(uploaded(client, name, content), vector_store_id=store, **fields)


def found(client: openai.OpenAI, store: str, query: str, **fields: Any) -> list[str]:
    page = client.vector_stores.search(store, query=query, **fields)
    return [hit.content[0].text for hit in page.data]


def refusal(call: Callable[[], Any]) -> tuple[int, Any, Any]:
    with pytest.raises(openai.APIStatusError) as refused:
        call()
    error = refused.value
    return error.status_code, error.param, error.code


def test_documents_of_many_kinds_are_found(ann: openai.OpenAI) -> None:
    store = ann.vector_stores.create(
        name="Papers", metadata={"a": "b"}, expires_after={"anchor": "last_active_at", "days": 7}
    )
    assert store.id.startswith("vs_") and store.status == "completed" and store.file_counts.total == 0
    assert store.expires_at == store.last_active_at + 7 * 86_400
    for name, content in {
        "a.pdf": pdf("Penguins live in Antarctica."),
        "b.docx": docx("Camels cross the desert."),
        "c.html": b"<html><script>wolves()</script><p>Owls hunt at night.</p></html>",
        "d.py": b"def bees():\n    return 'honey'\n",
    }.items():
        file = added(ann, store.id, name, content)
        assert (file.status, file.last_error) == ("completed", None), name
        assert file.usage_bytes > 0 and file.vector_store_id == store.id
    assert "Penguins" in found(ann, store.id, "where do penguins live?")[0]
    assert "Camels" in found(ann, store.id, "camel")[0]
    assert found(ann, store.id, "wolves") == []
    page = ann.vector_stores.search(store.id, query=["owls at night", "honey of bees"], max_num_results=2)
    assert {hit.filename for hit in page.data} == {"c.html", "d.py"}
    assert all(0 < hit.score <= 1 and hit.attributes == {} for hit in page.data)
    shown = ann.vector_stores.retrieve(store.id)
    assert shown.file_counts.completed == shown.file_counts.total == 4
    assert shown.usage_bytes > 100


def test_what_cannot_be_read_says_why(ann: openai.OpenAI) -> None:
    store = ann.vector_stores.create()
    for name, content, code in (
        ("a.pdf", b"%PDF-1.7 broken", "invalid_file"),
        ("b.zip", b"PK\x03\x04broken", "invalid_file"),
        ("c.png", b"\x89PNG\r\n\x1a\n\0\0\0", "unsupported_file"),
        ("d.txt", b" \n ", "invalid_file"),
    ):
        file = added(ann, store.id, name, content)
        assert file.status == "failed" and file.last_error is not None, name
        assert file.last_error.code == code and file.last_error.message.endswith(".")
    assert ann.vector_stores.retrieve(store.id).file_counts.failed == 4
    listed = ann.vector_stores.files.list(store.id, filter="failed", limit=3)
    assert len(listed.data) == 3 and listed.has_more


def test_chunks_are_cut_as_asked(ann: openai.OpenAI) -> None:
    store = ann.vector_stores.create()
    text = " ".join(f"w{number:03}" for number in range(300)).encode()
    static: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}}
    file = added(ann, store.id, "a.txt", text, chunking_strategy=static)
    assert file.chunking_strategy.to_dict() == static
    content = ann.vector_stores.files.content(file.id, vector_store_id=store.id)
    assert [len((part.text or "").split()) for part in content.data] == [100] * 5
    again = added(ann, store.id, "b.txt", text)
    assert again.chunking_strategy.to_dict()["static"] == {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}
    assert len(ann.vector_stores.files.content(again.id, vector_store_id=store.id).data) == 1


def test_attributes_filter_a_search(ann: openai.OpenAI) -> None:
    store = ann.vector_stores.create()
    first = added(ann, store.id, "a.txt", b"red apples", attributes={"year": 2023, "lang": "en"})
    added(ann, store.id, "b.txt", b"green apples", attributes={"year": 2024, "lang": "de"})
    assert first.attributes == {"year": 2023, "lang": "en"}
    newer: Any = {"type": "gt", "key": "year", "value": 2023}
    assert found(ann, store.id, "apples", filters=newer) == ["green apples"]
    both: Any = {"type": "and", "filters": [newer, {"type": "eq", "key": "lang", "value": "en"}]}
    assert found(ann, store.id, "apples", filters=both) == []
    ann.vector_stores.files.update(first.id, vector_store_id=store.id, attributes={"year": 2025, "lang": "en"})
    assert found(ann, store.id, "apples", filters=both) == ["red apples"]
    assert found(ann, store.id, "apples", ranking_options={"score_threshold": 1.0}) == []


def test_a_batch_of_files(ann: openai.OpenAI) -> None:
    ids = [uploaded(ann, f"{number}.txt", b"text number %d" % number) for number in range(3)]
    store = ann.vector_stores.create(file_ids=ids[:1])
    batch = ann.vector_stores.file_batches.create_and_poll(store.id, file_ids=ids[1:], attributes={"a": 1})
    assert batch.status == "completed" and batch.file_counts.completed == batch.file_counts.total == 2
    listed = ann.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, order="asc")
    assert [file.id for file in listed.data] == ids[1:]
    assert all(file.attributes == {"a": 1} for file in listed.data)
    files = [{"file_id": ids[0], "attributes": {"b": True}}, {"file_id": ids[1]}]
    other = ann.vector_stores.file_batches.create(store.id, files=files)  # type: ignore[arg-type]
    ann.vector_stores.file_batches.cancel(other.id, vector_store_id=store.id)
    ended = ann.vector_stores.file_batches.poll(other.id, vector_store_id=store.id)
    assert ended.status in ("cancelled", "completed") and ended.file_counts.in_progress == 0


def test_deletions(ann: openai.OpenAI) -> None:
    store = ann.vector_stores.create(name="first")
    first, second = (added(ann, store.id, f"{name}.txt", b"some text").id for name in "ab")
    assert ann.vector_stores.files.delete(first, vector_store_id=store.id).deleted
    assert ann.files.retrieve(first).filename == "a.txt"
    assert found(ann, store.id, "text") == ["some text"]
    ann.files.delete(second)
    assert found(ann, store.id, "text") == []
    assert ann.vector_stores.retrieve(store.id).file_counts.total == 0
    assert refusal(lambda: ann.vector_stores.files.retrieve(second, vector_store_id=store.id))[0] == 404
    changed = ann.vector_stores.update(store.id, name="second", metadata={"x": "y"})
    assert (changed.name, changed.metadata) == ("second", {"x": "y"})
    assert [one.name for one in ann.vector_stores.list()] == ["second"]
    assert ann.vector_stores.delete(store.id).deleted
    assert refusal(lambda: ann.vector_stores.retrieve(store.id))[0] == 404


def test_another_owner_sees_nothing(ann: openai.OpenAI, bob: openai.OpenAI) -> None:
    store = ann.vector_stores.create()
    file = added(ann, store.id, "a.txt", b"secret text")
    batch = ann.vector_stores.file_batches.create_and_poll(store.id, file_ids=[file.id])
    own = bob.vector_stores.create()
    stores, files, batches = bob.vector_stores, bob.vector_stores.files, bob.vector_stores.file_batches
    for call in (
        lambda: stores.retrieve(store.id),
        lambda: stores.update(store.id, name="his"),
        lambda: stores.delete(store.id),
        lambda: stores.search(store.id, query="secret"),
        lambda: files.list(store.id),
        lambda: files.retrieve(file.id, vector_store_id=store.id),
        lambda: files.update(file.id, vector_store_id=store.id, attributes={}),
        lambda: files.delete(file.id, vector_store_id=store.id),
        lambda: files.content(file.id, vector_store_id=store.id),
        lambda: files.create(own.id, file_id=file.id),
        lambda: batches.create(own.id, file_ids=[file.id]),
        lambda: batches.retrieve(batch.id, vector_store_id=store.id),
        lambda: batches.cancel(batch.id, vector_store_id=store.id),
        lambda: batches.list_files(batch.id, vector_store_id=store.id),
        lambda: stores.create(file_ids=[file.id]),
    ):
        assert refusal(call)[0] == 404
    assert [one.id for one in stores.list()] == [own.id]
    assert found(ann, store.id, "secret") == ["secret text"]


def test_bounds(ann: openai.OpenAI) -> None:
    store = ann.vector_stores.create()
    long = " ".join(f"w{number:05}" for number in range(20_000)).encode()
    file = added(ann, store.id, "a.txt", long)
    assert file.status == "failed" and file.last_error.code == "invalid_file" and "40 chunks" in file.last_error.message
    assert "bytes" in added(ann, store.id, "b.txt", b"x " * 1_100_000).last_error.message
    ids = [uploaded(ann, f"{number}.txt", b"text") for number in range(4)]
    full = refusal(lambda: ann.vector_stores.file_batches.create(store.id, file_ids=ids))
    assert full == (400, "vector_store_id", "vector_store_full")
    ids += [uploaded(ann, f"{number}.txt", b"text") for number in (4, 5)]
    there = len(ann.vector_stores.list().data)
    assert refusal(lambda: ann.vector_stores.create(file_ids=ids)) == (400, "file_ids", "vector_store_full")
    assert len(ann.vector_stores.list().data) == there
    ann.vector_stores.create()
    ann.vector_stores.create()
    assert refusal(ann.vector_stores.create) == (400, "", "vector_store_limit")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("", {"name": 1}, "name"),
        ("", {"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after.anchor"),
        ("", {"expires_after": {"anchor": "last_active_at", "days": 366}}, "expires_after.days"),
        ("", {"chunking_strategy": {"type": "auto"}}, "chunking_strategy"),
        ("", {"file_ids": ["file-none"]}, "file_id"),
        ("", {"metadata": {"a": 1}}, "metadata"),
        ("/ID/files", {}, "file_id"),
        ("/ID/files", {"file_id": "FILE", "attributes": {"a": None}}, "attributes"),
        ("/ID/files", {"file_id": "FILE", "attributes": {"a": "b" * 513}}, "attributes"),
        ("/ID/files", {"file_id": "FILE", "attributes": {f"a{n}": 1 for n in range(17)}}, "attributes"),
        ("/ID/files", {"file_id": "FILE", "chunking_strategy": {"type": "static"}}, "chunking_strategy.static"),
        (
            "/ID/files",
            {
                "file_id": "FILE",
                "chunking_strategy": {
                    "type": "static",
                    "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51},
                },
            },
            "chunking_strategy.static.chunk_overlap_tokens",
        ),
        ("/ID/file_batches", {}, "file_ids"),
        ("/ID/file_batches", {"file_ids": []}, "file_ids"),
        ("/ID/file_batches", {"files": [{"file_id": "file-none"}]}, "files[0].file_id"),
        ("/ID/search", {}, "query"),
        ("/ID/search", {"query": "a", "max_num_results": 51}, "max_num_results"),
        ("/ID/search", {"query": "a", "filters": {"type": "like"}}, "filters.type"),
        ("/ID/search", {"query": "a", "ranking_options": {"score_threshold": 2}}, "ranking_options.score_threshold"),
        ("/ID/files?filter=none", None, "filter"),
        ("/ID/files?after=file-none", None, "after"),
        ("?limit=101", None, "limit"),
        ("?after=vs_none", None, "after"),
    ],
)
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_is_refused(ann: openai.OpenAI, path: str, body: Any, param: str) -> None:
    store = ann.vector_stores.create()
    file = uploaded(ann, "a.txt", b"text")
    path = f"/vector_stores{path.replace('ID', store.id)}"
    if isinstance(body, dict) and body.get("file_id") == "FILE":
        body = {**body, "file_id": file}
    call = (
        (lambda: ann.get(path, cast_to=object)) if body is None else (lambda: ann.post(path, body=body, cast_to=object))
    )
    status, named, _ = refusal(call)
    assert (status, named) == (404 if "none" in str(body) else 400, param)


def test_a_client_is_told_when_to_ask_again(ann: openai.OpenAI) -> None:
    store = ann.vector_stores.create()
    raw = ann.vector_stores.files.with_raw_response.create(store.id, file_id=uploaded(ann, "a.txt", b"text"))
    assert raw.headers["openai-poll-after-ms"] == "50" or raw.parse().status == "completed"
    ann.vector_stores.files.poll(raw.parse().id, vector_store_id=store.id)
