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
from msgspec.structs import replace

from antiphon.access.caller import Caller
from antiphon.core.json_encoding import to_json
from antiphon.responses.sealing import Sealer
from antiphon.server.batches.work.base import BatchDetails
from antiphon.stores.base import Store
from antiphon.stores.batch_records import StoredBatch
from antiphon.stores.open import open_sqlite
from antiphon.stores.records import (
    FileBatch,
    StoredChat,
    StoredContainer,
    StoredContainerFile,
    StoredConversation,
    StoredFile,
    StoredItem,
    StoredPart,
    StoredResponse,
    StoredSkill,
    StoredSkillVersion,
    StoredUpload,
    VectorFile,
    VectorStore,
)
from antiphon.stores.webhook_records import StoredWebhook
from antiphon.types.response import Response

STORE = os.environ["SEEDED_STORE"]
OWNER = "local"
NOW = int(time.time())
TEXT = b"The crown is in the tower."
FILES = ("file_id", "file-abc123", "string")
STORES = {"vector_store_id": "batch_id", "vs_abc123": "vsfb_abc123"}
RESPONSES = ("resp_677efb5139a88190b512bc3fef8e535d", "resp_123", "previous_response_id", "response_id")
CONVERSATION, ITEM = "conv_123", "msg_abc"
EMPTIED = """
responses foreign_items conversations conversation_items chats event_batches jobs job_requests checkpoints
files file_contents contents content_rows uploads upload_parts
vector_stores vector_store_files file_batches containers container_files container_contents
skills skill_versions container_skills batches batch_lines webhook_endpoints deliveries
""".split()

EVENT = '{"type":"response.completed","sequence_number":0}'
EVENTS = f'[[0,"response.completed",{len(EVENT)}]]\n{EVENT}'.encode()
LOG = "INSERT INTO event_batches (response, last, events) SELECT rowid, 0, ? FROM responses WHERE id = ?"


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Do so in a thread: the test may run in an event loop."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(fill).result()


def fill() -> None:
    """Empty the tables and fill them."""
    asyncio.run(_seed())


async def _seed() -> None:
    with closing(sqlite3.connect(STORE, timeout=10)) as connection, connection:
        for table in EMPTIED:
            connection.execute(f"DELETE FROM {table}")
        indexes = "SELECT name FROM sqlite_master WHERE name LIKE 'vector_chunks_%' AND sql LIKE 'CREATE VIRTUAL%'"
        for (index,) in connection.execute(indexes).fetchall():  # they are read whenever a connection opens
            connection.execute(f"DROP TABLE {index}")
    store = open_sqlite(STORE)
    await _texts(store)
    with closing(sqlite3.connect(STORE, timeout=10)) as connection, connection:
        connection.execute(LOG, (EVENTS, RESPONSES[0]))
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


async def _texts(store: Store) -> None:
    """Put responses, a conversation and a chat completion there."""
    for id in RESPONSES:
        background = id == RESPONSES[0]
        await store.responses.put(response(id, background=background))
    created = StoredConversation(id=CONVERSATION, owner=OWNER, created_at=NOW, metadata=b"{}")
    message = {"type": "message", "id": ITEM, "role": "user", "status": "completed"}
    item = to_json({**message, "content": [{"type": "input_text", "text": "Hi."}]})
    await store.conversations.create(created, [StoredItem(ITEM, item)])
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi.", "refusal": None}, "finish_reason": "stop"}
    body = {"id": "completion_id", "object": "chat.completion", "created": NOW, "model": "m", "choices": [choice]}
    chat = StoredChat(id="completion_id", owner=OWNER, model="m", created_at=NOW, body=to_json(body))
    await store.chats.put(
        replace(chat, messages=b'[{"role":"assistant","content":"Hi."}]')
    )  # the package's type knows no other role


def response(id: str, *, background: bool) -> StoredResponse:
    """Return a stored response that has said nothing."""
    made = Response(
        id=id, created_at=NOW, completed_at=NOW, status="completed", model="scripted", background=background
    )
    body = to_json(made)
    start = body.index(b'"output":') + len(b'"output":')
    return StoredResponse(
        id=id,
        owner=OWNER,
        model="scripted",
        status="completed",
        created_at=NOW,
        body=body,
        output_span=(start, start + 2),
        background=background,
    )


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
