"""A plugin of pytest: before each test the objects that openai-python's generated tests name are in the store, as new.

The server has the store open as well: it is an SQLite file.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO

import msgspec
import pytest

from antiphon.access.caller import Caller
from antiphon.batches.base import BatchDetails
from antiphon.responses.sealing import Sealer
from antiphon.stores.base import Store
from antiphon.stores.batch_records import StoredBatch
from antiphon.stores.open import open_sqlite
from antiphon.stores.records import (
    FileBatch,
    StoredContainer,
    StoredContainerFile,
    StoredFile,
    StoredPart,
    StoredSkill,
    StoredSkillVersion,
    StoredUpload,
    StoredWebhook,
    VectorFile,
    VectorStore,
)

STORE = os.environ["SEEDED_STORE"]
OWNER = "local"
NOW = int(time.time())
TEXT = b"The crown is in the tower."
FILES = ("file_id", "file-abc123", "string")
STORES = {"vector_store_id": "batch_id", "vs_abc123": "vsfb_abc123"}
EMPTIED = """
files file_contents contents content_rows uploads upload_parts
vector_stores vector_store_files file_batches containers container_files container_contents
skills skill_versions container_skills batches batch_lines webhook_endpoints deliveries
""".split()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Empty the tables and fill them, in a thread: the test may run in an event loop."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(_seed())).result()


async def _seed() -> None:
    with closing(sqlite3.connect(STORE, timeout=10)) as connection, connection:
        for table in EMPTIED:
            connection.execute(f"DELETE FROM {table}")
    store = open_sqlite(STORE)
    await _files(store)
    for id, batch in STORES.items():
        await store.vector_stores.create(VectorStore(id=id, owner=OWNER, created_at=NOW, last_active_at=NOW))
        files = [VectorFile(file_id=file, filename="a.txt", created_at=NOW) for file in FILES]
        made = FileBatch(id=batch, store_id=id, created_at=NOW)
        await store.vector_stores.attach(id, OWNER, files, made, most=10)
    container = StoredContainer(
        id="container_id", owner=OWNER, name="c", memory=1 << 30, idle=1200, created_at=NOW, last_active_at=NOW
    )
    await store.containers.put(container)
    file = StoredContainerFile(
        id="file_id", container=container.id, path="a.txt", size=len(TEXT), source="user", created_at=NOW
    )
    await store.containers.put_file(file, TEXT)
    await _skill(store)
    await _batches(store)
    await store.close()


async def _batches(store: Store) -> None:
    """Make what tests of batches and webhooks name. The endpoint is a path of the server that takes no POST."""
    file = StoredFile(
        id="input_file_id",
        owner=OWNER,
        filename="a.jsonl",
        purpose="batch",
        media_type="application/jsonl",
        size=len(TEXT),
        created_at=NOW,
    )
    await store.files.put(file, TEXT)
    details = BatchDetails(
        endpoint="/v1/responses",
        input_file_id=file.id,
        window="24h",
        output_file_id="file-output",
        error_file_id="file-error",
        caller=Caller(owner=OWNER),
    )
    batch = StoredBatch(
        id="batch_id",
        owner=OWNER,
        front="openai",
        created_at=NOW,
        expires_at=NOW + 86_400,
        details=msgspec.json.encode(details),
        status="completed",
    )
    await store.batches.create(batch, 10)
    endpoint = StoredWebhook(
        id="whe_123",
        owner=OWNER,
        name="x",
        url=f"{os.environ['TEST_API_BASE_URL']}/models",
        event_types=b'["batch.completed"]',
        secret=Sealer([os.environ["SEEDED_SECRET"]]).seal("whsec_AAAA", "webhook", OWNER),
        hint="whsec_",
        created_at=NOW,
        updated_at=NOW,
    )
    await store.webhook_endpoints.create(endpoint, 10)


async def _skill(store: Store) -> None:
    bundle = BytesIO()
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("reading/SKILL.md", "---\nname: reading\ndescription: How to read.\n---\nSlowly.")
    content = bundle.getvalue()
    skill = StoredSkill(id="skill_123", owner=OWNER, created_at=NOW, name="reading", description="How to read.")
    version = StoredSkillVersion(
        id="skillver_123",
        skill=skill.id,
        created_at=NOW,
        name="reading",
        description="How to read.",
        digest=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )
    await store.skills.create(skill, version, content)


async def _files(store: Store) -> None:
    for id in FILES:
        file = StoredFile(
            id=id,
            owner=OWNER,
            filename="a.txt",
            purpose="assistants",
            media_type="text/plain",
            size=len(TEXT),
            created_at=NOW,
        )
        await store.files.put(file, TEXT)
    upload = StoredUpload(
        id="upload_abc123",
        owner=OWNER,
        filename="b.txt",
        purpose="assistants",
        media_type="text/plain",
        size=len(TEXT),
        created_at=NOW,
        expires_at=NOW + 3600,
        file_id="file-uploaded",
    )
    await store.uploads.put(upload)
    content = await store.files.begin(OWNER, NOW + 3600)
    await store.files.append(content, 0, TEXT)
    part = StoredPart(id="string", upload=upload.id, created_at=NOW, size=len(TEXT), content=content)
    await store.uploads.add(part, 10)
