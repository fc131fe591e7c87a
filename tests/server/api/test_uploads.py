"""`/v1/uploads` over a real socket with the official client, in every database."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from antiphon.composition.app import build
from antiphon.config import BackendConfig, Config, KeyConfig
from antiphon.server.api import incoming, uploads
from antiphon.stores.open import open_postgres
from antiphon.stores.records import FILE_ROW
from tests.server.serving import serving
from tests.stores.postgres_server import Postgres, running

pytestmark = pytest.mark.slow

ANN, BOB = "ann-key-0123456789", "bob-key-0123456789"
DATA = bytes(range(256)) * 10_000  # three rows
SETTINGS = {"max_upload": 6_000_000, "owner_file_bytes": 9_000_000, "owner_files": 5}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    store = "memory" if request.param == "memory" else str(tmp_path / "store.db")
    if request.param == "postgres":
        store = request.getfixturevalue("postgres").create(f"uploads{time.monotonic_ns()}")
        open_postgres(store)
    config = Config(
        store=store,
        backends={"scripted": BackendConfig(url="http://scripted", api="scripted")},
        keys={"ann": KeyConfig(key=ANN, limits=("20000000 stored_bytes/day",)), "bob": KeyConfig(key=BOB)},
        shutdown_grace=0,
        **SETTINGS,
    )
    with serving(build(config), config) as served:
        yield f"{served.url}/v1"


@pytest.fixture
def ann(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=ANN, max_retries=0)


@pytest.fixture
def bob(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=BOB, max_retries=0)


def begun(client: openai.OpenAI, size: int = len(DATA), **fields: Any) -> openai.types.Upload:
    fields = {"filename": "a.txt", "mime_type": "text/plain", "purpose": "assistants", **fields}
    return client.uploads.create(bytes=size, **fields)


def refused(call: Callable[[], object]) -> tuple[int, str | None, str | None]:
    with pytest.raises(openai.APIStatusError) as caught:
        call()
    return caught.value.status_code, caught.value.code, caught.value.param


def test_the_official_client_uploads_a_file_in_chunks(ann: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_bytes(DATA)
    checksum = hashlib.md5(DATA).hexdigest()
    upload = ann.uploads.upload_file_chunked(
        file=path, mime_type="text/plain", purpose="assistants", part_size=1_000_000, md5=checksum
    )
    assert (upload.status, upload.object, upload.bytes, upload.filename) == (
        "completed",
        "upload",
        len(DATA),
        "large.txt",
    )
    assert upload.id.startswith("upload_") and upload.expires_at == upload.created_at + 3600
    assert upload.file is not None and upload.file.id.startswith("file-")
    assert (upload.file.bytes, upload.file.filename, upload.file.purpose) == (len(DATA), "large.txt", "assistants")
    assert ann.files.retrieve(upload.file.id) == upload.file
    assert ann.files.content(upload.file.id).content == DATA
    upload = ann.uploads.upload_file_chunked(
        file=b"in memory", filename="m.md", bytes=9, mime_type="text/markdown", purpose="assistants"
    )
    assert upload.file is not None and ann.files.content(upload.file.id).content == b"in memory"


def test_parts_have_the_order_in_which_they_are_named(ann: openai.OpenAI) -> None:
    upload = begun(ann, 9, expires_after={"anchor": "created_at", "seconds": 3600})
    assert (upload.status, upload.file) == ("pending", None)
    parts = [ann.uploads.parts.create(upload.id, data=data) for data in (b"three", b"one", b"two", b"not wanted")]
    assert all(part.id.startswith("part_") and part.upload_id == upload.id for part in parts)
    assert parts[0].object == "upload.part"
    wanted = [parts[1].id, parts[2].id, parts[0].id]
    assert refused(lambda: ann.uploads.complete(upload.id, part_ids=wanted)) == (
        400,
        "upload_size_mismatch",
        "part_ids",
    )
    upload = begun(ann, 11, expires_after={"anchor": "created_at", "seconds": 3600})
    parts = [ann.uploads.parts.create(upload.id, data=data) for data in (b"three", b"one", b"two", b"not wanted")]
    wanted = [parts[1].id, parts[2].id, parts[0].id]
    done = ann.uploads.complete(upload.id, part_ids=wanted)
    assert done.file is not None and done.file.expires_at == done.file.created_at + 3600
    assert ann.files.content(done.file.id).content == b"onetwothree"
    assert ann.uploads.complete(upload.id, part_ids=wanted) == done, "a client that lost the answer asks again"
    assert refused(lambda: ann.uploads.cancel(upload.id)) == (400, "upload_ended", "")
    assert refused(lambda: ann.uploads.parts.create(upload.id, data=b"x")) == (400, "upload_ended", "")
    ann.files.delete(done.file.id)
    assert refused(lambda: ann.uploads.complete(upload.id, part_ids=wanted)) == (400, "upload_ended", "")


def test_a_cancelled_upload_leaves_nothing(ann: openai.OpenAI) -> None:
    upload = begun(ann)
    part = ann.uploads.parts.create(upload.id, data=DATA)
    assert ann.uploads.cancel(upload.id).status == "cancelled"
    assert ann.uploads.cancel(upload.id).status == "cancelled"
    assert refused(lambda: ann.uploads.parts.create(upload.id, data=DATA)) == (400, "upload_ended", "")
    assert refused(lambda: ann.uploads.complete(upload.id, part_ids=[part.id])) == (400, "upload_ended", "")
    assert ann.files.list().data == []
    for _ in range(3):  # 2.5 MB each: nothing of them counts any more
        upload = begun(ann)
        ann.uploads.parts.create(upload.id, data=DATA)
        ann.uploads.cancel(upload.id)
    begun(ann, SETTINGS["max_upload"])


def test_what_is_refused(ann: openai.OpenAI, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(lambda: begun(ann, 6_000_001)) == (400, "file_too_large", "bytes")
    assert refused(lambda: begun(ann, -1))[::2] == (400, "bytes")
    assert refused(lambda: begun(ann, purpose="fun"))[::2] == (400, "purpose")
    assert refused(lambda: begun(ann, filename=""))[::2] == (400, "filename")
    assert refused(lambda: begun(ann, expires_after={"anchor": "created_at", "seconds": 1}))[::2] == (
        400,
        "expires_after.seconds",
    )
    for call in (ann.uploads.cancel, lambda id: ann.uploads.complete(id, part_ids=["x"])):
        assert refused(lambda call=call: call("upload_none")) == (404, "upload_not_found", "id")  # type: ignore[misc]
    upload = begun(ann)
    part = ann.uploads.parts.create(upload.id, data=DATA)
    complete = ann.uploads.complete
    assert refused(lambda: complete(upload.id, part_ids=["part_none"])) == (400, "part_not_found", "part_ids[0]")
    assert refused(lambda: complete(upload.id, part_ids=[part.id] * 2))[::2] == (400, "part_ids")
    assert refused(lambda: complete(upload.id, part_ids=[]))[::2] == (400, "part_ids")
    wrong = refused(lambda: complete(upload.id, part_ids=[part.id], md5="0" * 32))
    assert wrong == (400, "upload_checksum_mismatch", "md5")
    assert complete(upload.id, part_ids=[part.id], md5=hashlib.md5(DATA).hexdigest().upper()).file is not None
    upload = begun(ann)
    assert refused(lambda: ann.uploads.parts.create(upload.id, data=b"")) == (400, "empty_file", "data")
    headers = {"authorization": f"Bearer {ANN}"}
    posted = httpx2.post(f"{url}/uploads/{upload.id}/parts", headers=headers, json={}, trust_env=False)
    assert (posted.status_code, posted.json()["error"]["code"]) == (415, "unsupported_content_type")
    monkeypatch.setattr(uploads, "MOST_PART", 10)
    assert refused(lambda: ann.uploads.parts.create(upload.id, data=b"x" * 11))[:2] == (413, "request_too_large")
    monkeypatch.setattr(uploads, "MOST_PARTS", 1)
    ann.uploads.parts.create(upload.id, data=b"x")
    assert refused(lambda: ann.uploads.parts.create(upload.id, data=b"x"))[:2] == (400, "too_many_parts")
    monkeypatch.setattr(uploads, "MOST_PENDING", 1)
    assert refused(lambda: begun(ann))[:2] == (429, "too_many_uploads")


def test_what_an_owner_may_keep(ann: openai.OpenAI, bob: openai.OpenAI) -> None:
    upload = begun(ann, 5_000_000)
    ann.uploads.parts.create(upload.id, data=b"x" * 5_000_000)
    assert refused(lambda: begun(ann, 5_000_000)) == (400, "file_storage_full", "")
    create = ann.files.create
    assert refused(lambda: create(file=b"x" * 5_000_000, purpose="user_data")) == (400, "file_storage_full", "")
    made = create(file=b"x" * 3_900_000, purpose="user_data")
    assert refused(lambda: create(file=b"x" * 200_000, purpose="user_data")) == (400, "file_storage_full", "")
    ann.uploads.cancel(upload.id)
    assert refused(lambda: bob.files.create(file=b"x" * 6_000_001, purpose="user_data"))[:2] == (
        413,
        "request_too_large",
    )
    create(file=b"x" * 5_000_000, purpose="user_data")
    bob.files.create(file=b"x" * 5_000_000, purpose="user_data")
    for _ in range(3):
        create(file=b"x", purpose="user_data")
    assert refused(lambda: create(file=b"x", purpose="user_data")) == (400, "file_storage_full", "")
    ann.files.delete(made.id)
    create(file=b"x", purpose="user_data")


def test_stored_bytes_count_for_parts(ann: openai.OpenAI) -> None:
    for _ in range(4):  # a day's limit may be overdrawn by what reaches it
        upload = begun(ann, 6_000_000)
        answer = ann.uploads.parts.with_raw_response.create(upload.id, data=b"x" * 6_000_000)
        assert answer.headers["x-ratelimit-limit-stored-bytes"] == "20000000"
        ann.uploads.cancel(upload.id)
    for _ in range(2):
        upload = begun(ann, 6_000_000)
        assert refused(lambda: ann.uploads.parts.create(upload.id, data=b"x" * 6_000_000))[0] == 402  # noqa: B023
        assert refused(lambda: ann.files.create(file=b"x" * 6_000_000, purpose="user_data"))[0] == 402
    assert ann.files.list().data == [], "nothing of what was refused is kept, or counts"


def test_anothers_upload_is_not_there(ann: openai.OpenAI, bob: openai.OpenAI) -> None:
    upload = begun(ann)
    part = ann.uploads.parts.create(upload.id, data=DATA)
    for call in (
        lambda: bob.uploads.parts.create(upload.id, data=DATA),
        lambda: bob.uploads.complete(upload.id, part_ids=[part.id]),
        lambda: bob.uploads.cancel(upload.id),
    ):
        assert refused(call) == (404, "upload_not_found", "id")
    mine = begun(bob)
    assert refused(lambda: bob.uploads.complete(mine.id, part_ids=[part.id]))[1] == "part_not_found"


def test_an_upload_expires(url: str, ann: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "UPLOAD_SECONDS", 1)
    monkeypatch.setattr(incoming, "UPLOAD_SECONDS", 1)
    upload = begun(ann)
    part = ann.uploads.parts.create(upload.id, data=DATA)
    time.sleep(2)
    assert refused(lambda: ann.uploads.complete(upload.id, part_ids=[part.id]))[:2] == (404, "upload_not_found")
    assert refused(lambda: ann.uploads.parts.create(upload.id, data=DATA))[:2] == (404, "upload_not_found")


def test_a_large_file_is_used_like_any_other(ann: openai.OpenAI) -> None:
    """It is ingested into a vector store, and read as a file of a request within the bounds of that."""
    text = ("The crown of Antiphon is kept in the tower. " + "word " * 400 + "\n").encode() * 600
    upload = ann.uploads.upload_file_chunked(
        file=text,
        filename="large.txt",
        bytes=len(text),
        mime_type="text/plain",
        purpose="assistants",
        part_size=500_000,
    )
    assert upload.file is not None and upload.file.bytes > FILE_ROW
    store = ann.vector_stores.create(file_ids=[upload.file.id])
    deadline = time.monotonic() + 60
    while ann.vector_stores.retrieve(store.id).file_counts.in_progress and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ann.vector_stores.files.retrieve(upload.file.id, vector_store_id=store.id).status == "completed"
    found = ann.vector_stores.search(store.id, query="crown tower").data
    assert found and found[0].filename == "large.txt"
    content = [{"type": "input_file", "file_id": upload.file.id}]
    asked: Any = {"model": "scripted", "input": [{"role": "user", "content": content}]}
    assert refused(lambda: ann.responses.create(**asked))[1] == "context_length_exceeded", "the model has seen it"
