"""Every statement finds its rows by an index, on tables that are filled."""

from __future__ import annotations

import re

import pytest

from antiphon.stores.open import open_postgres
from antiphon.stores.postgres.sql import FOLDER, queries

from .postgres_server import Postgres

pytestmark = pytest.mark.slow

FILL = """
CREATE EXTENSION vector;
INSERT INTO antiphon.responses (
    id, owner, model, status, created_at, expires_at, background, previous_response_id, output_start, output_end, input, body
)
SELECT 'resp_' || lpad(n::text, 32, '0'), 'owner' || n % 50, 'm', 'completed', n, 1000000 + n, false,
    'resp_' || lpad((n - 1)::text, 32, '0'), 0, 2, '[]', '[]'
FROM generate_series(1, 20000) AS n;
INSERT INTO antiphon.response_log (
    id, owner, model, status, created_at, background, question, answer, reason, error_code, tools, pairs,
    input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost, parameters, folded
)
SELECT id, owner, model, CASE WHEN number % 1000 = 0 THEN 'queued' ELSE status END, created_at, false,
    repeat('word ', 20), repeat('word ', 20), '', '', '', '{}', 1, 0, 1, 0, 0, '', repeat('word ', 40)
FROM antiphon.responses;
INSERT INTO antiphon.foreign_items (owner, item_id, response, position)
SELECT 'owner' || n % 50, 'item' || n, n, 0 FROM generate_series(1, 20000) AS n;
INSERT INTO antiphon.conversations (id, owner, created_at, metadata)
SELECT 'conv_' || n, 'owner' || n % 50, n, '{}' FROM generate_series(1, 5000) AS n;
INSERT INTO antiphon.conversation_items (conversation, id, body)
SELECT number, 'item' || number || '_' || n, '{}' FROM antiphon.conversations, generate_series(1, 5) AS n;
INSERT INTO antiphon.events (response, sequence_number, type, body)
SELECT response, n, 'type', '{}' FROM generate_series(1, 2000) AS response, generate_series(1, 20) AS n;
INSERT INTO antiphon.event_expiry SELECT n, 1000000 + n FROM generate_series(1, 5000) AS n;
INSERT INTO antiphon.files (id, owner, filename, purpose, media_type, size, created_at, expires_at, content)
SELECT 'file_' || n, 'owner' || n % 50, 'f', 'p', 't', 1, n, 1000000 + n, 'x' FROM generate_series(1, 5000) AS n;
INSERT INTO antiphon.contents (owner, file, expires_at)
SELECT 'owner' || n % 50, CASE WHEN n % 50 = 0 THEN NULL ELSE n END, 1000000 + n FROM generate_series(1, 5000) AS n;
INSERT INTO antiphon.content_rows (content, start, row)
SELECT number, n * 1000, 'x' FROM antiphon.contents, generate_series(0, 3) AS n;
INSERT INTO antiphon.uploads (id, owner, filename, purpose, media_type, size, created_at, expires_at, file_id, status)
SELECT 'upload_' || n, 'owner' || n % 50, 'f', 'p', 't', 1, n, 1000000 + n, 'file', 'pending' FROM generate_series(1, 3000) AS n;
INSERT INTO antiphon.upload_parts (id, upload, created_at, size, content)
SELECT 'part_' || number || '_' || n, id, 1, 1, 1 FROM antiphon.uploads, generate_series(1, 3) AS n;
INSERT INTO antiphon.meters SELECT 'meter' || n, 0, 1 FROM generate_series(1, 5000) AS n;
INSERT INTO antiphon.keys SELECT 'key' || n, 'owner', n::text::bytea, 0, '{}' FROM generate_series(1, 5000) AS n;
INSERT INTO antiphon.jobs (response_id, owner, request)
SELECT 'resp_' || lpad(n::text, 32, '0'), 'owner', '{}' FROM generate_series(1, 3000) AS n;
INSERT INTO antiphon.checkpoints SELECT number, '{}' FROM antiphon.jobs;
INSERT INTO antiphon.deliveries (id, url, owner, due, attempts, body)
SELECT 'evt_' || n, 'u', 'owner', n, 0, '{}' FROM generate_series(1, 3000) AS n;
INSERT INTO antiphon.slots SELECT 'slot' || n, 'holder' || n % 100, 1, 1 FROM generate_series(1, 3000) AS n;
INSERT INTO antiphon.vector_stores (id, owner, created_at, last_active_at, expires_at, name, description, metadata)
SELECT 'vs_' || n, 'owner' || n % 50, n, n, 1000000 + n, '', '', '{}' FROM generate_series(1, 3000) AS n;
INSERT INTO antiphon.file_batches (id, store, created_at)
SELECT 'vsfb_' || number, number, 1 FROM antiphon.vector_stores;
INSERT INTO antiphon.vector_store_files (store, file_id, filename, created_at, status, attributes, batch, gone)
SELECT number, 'file_' || number || '_' || n, 'f', 1, CASE WHEN n = 1 THEN 'in_progress' ELSE 'completed' END, '{}', number,
    n = 2
FROM antiphon.vector_stores, generate_series(1, 4) AS n;
INSERT INTO antiphon.vector_chunks (store, number, file, text)
SELECT store, number, number, 'text' FROM antiphon.vector_store_files;
INSERT INTO antiphon.vector_words (store, word, file, chunks, times, lengths)
SELECT store, 'word' || n, number, '{1}', '{1}', '{1}' FROM antiphon.vector_store_files, generate_series(1, 3) AS n;
INSERT INTO antiphon.vector_codes (store, number, file, code)
SELECT store, n, number, '1010' FROM antiphon.vector_store_files, generate_series(1, 4) AS n
ON CONFLICT (store, number) DO NOTHING;
INSERT INTO antiphon.vector_embeddings (store, number, file, vector)
SELECT store, number, file, '{0.5,0.5,0.5,0.5}' FROM antiphon.vector_codes;
INSERT INTO antiphon.vector_drafts (file, digest, model, code, vector)
SELECT file, number::text::bytea, 'm', code, '{0.5,0.5,0.5,0.5}' FROM antiphon.vector_codes;
INSERT INTO antiphon.containers (id, owner, name, memory, idle, created_at, last_active_at, expires_at)
SELECT 'cntr_' || n, 'owner' || n % 50, 'n', 1, 1, n, n, 1000000 + n FROM generate_series(1, 3000) AS n;
INSERT INTO antiphon.container_files (id, container, path, size, source, created_at, content)
SELECT 'cfile_' || number, id, '/mnt/data/f', 1, 'user', 1, 'x' FROM antiphon.containers;
INSERT INTO antiphon.webhook_endpoints (
    id, owner, name, url, event_types, secret, hint, created_at, updated_at, old_secret, old_until
)
SELECT 'whe_' || n, 'owner' || n % 50, 'n', 'u', '[]', 's', 'h', 1, 1, '', 0 FROM generate_series(1, 3000) AS n;
INSERT INTO antiphon.batches (id, owner, front, created_at, expires_at, status, open, keep_until, details, progress)
SELECT 'batch_' || n, 'owner' || n % 50, 'openai', n, n, 'completed', n % 100 = 0, 1000000 + n, '{}', '{}'
FROM generate_series(1, 3000) AS n;
INSERT INTO antiphon.batch_lines (batch, line, custom_id, start, size, state)
SELECT number, n, 'id' || n, 0, 1, n % 3 FROM antiphon.batches, generate_series(1, 20) AS n;
INSERT INTO antiphon.skills (id, owner, created_at, default_version, made)
SELECT 'skill_' || n, 'owner' || n % 50, n, 1, 2 FROM generate_series(1, 3000) AS n;
INSERT INTO antiphon.skill_versions (id, skill, version, created_at, name, description, digest, size, content)
SELECT 'skillver_' || number || '_' || n, id, n, 1, 'n', 'd', 'd', 1, 'x' FROM antiphon.skills, generate_series(1, 2) AS n;
INSERT INTO antiphon.chats (id, owner, model, created_at, expires_at, pairs, metadata, body, messages)
SELECT 'chatcmpl-' || n, 'owner' || n % 50, 'm', n, 1000000 + n, '{}', '{}', '{}', '[]' FROM generate_series(1, 3000) AS n;
INSERT INTO antiphon.usage
SELECT n % 300, 'owner' || n % 50, 'key' || n, 'model' || n % 20, '', 1, 0, 1, 1, 1, 1, 0, 0 FROM generate_series(1, 20000) AS n;
INSERT INTO antiphon.audit (id, at, action, actor, owner, subject, address, request_id, details)
SELECT 'audit_' || n, n, 'admin.read', 'actor' || n % 50, 'o', 's', '', '', '{}' FROM generate_series(1, 20000) AS n;
INSERT INTO antiphon.container_skills (container, folder, name, description, size, content)
SELECT id, 'f', 'n', 'd', 1, 'x' FROM antiphon.containers;
ANALYZE;
"""

ALL_OF_A_TABLE = {
    ("upkeep", "census"),  # counts what waits
    ("upkeep", "cancel_all"),  # by hand: `antiphon db detach`
    ("upkeep", "cancel_batches"),
    ("upkeep", "drop_deliveries"),
    ("jobs", "claim"),  # a row for each background run that has not ended: the planner reads a few thousand as they lie
    ("keys", "all"),
    ("keys", "count"),  # before a key is made; ends at the most that there may be
    ("limits", "purge_meters"),  # every ten minutes
    ("limits", "purge_slots"),
    ("usage", "drop"),  # once a day, a day's rows
}


@pytest.fixture(scope="module")
def filled(postgres: Postgres) -> Postgres:
    """A database of some size."""
    open_postgres(postgres.create("filled"))
    postgres.psql(FILL, "filled")
    return postgres


NAMES = [
    (noun, name)
    for noun in sorted(file.name.removesuffix(".sql") for file in (FOLDER / "queries").iterdir())
    for name in queries(noun)
]


@pytest.mark.parametrize(("noun", "name"), NAMES, ids=lambda name: name)
def test_no_statement_reads_a_whole_table(filled: Postgres, noun: str, name: str) -> None:
    if (noun, name) in ALL_OF_A_TABLE:
        return
    plan = filled.psql(f"EXPLAIN (GENERIC_PLAN) {queries(noun)[name].text}", "filled")
    assert not re.findall(r"Seq Scan on (\w+)", plan), plan


def test_what_has_expired_is_found_by_its_time(filled: Postgres) -> None:
    for noun, name, index in (
        ("responses", "expired", "responses_by_expiry"),
        ("files", "purge", "files_by_expiry"),
        ("jobs", "expired_events", "event_expiry_by_time"),
    ):
        plan = filled.psql(f"EXPLAIN (GENERIC_PLAN) {queries(noun)[name].text}", "filled")
        assert f"using {index}" in plan, plan


@pytest.mark.parametrize(
    ("name", "index"),
    [("page", "response_log_by_owner"), ("page_of_all", "response_log_id_key"), ("sorted", "response_log_by_owner")],
)
def test_a_page_of_the_log_is_read_along_an_index(filled: Postgres, name: str, index: str) -> None:
    plan = filled.psql(f"EXPLAIN (GENERIC_PLAN) {queries('response_log')[name].text}", "filled")
    assert f"using {index}" in plan, plan
    assert name == "sorted" or "Sort" not in plan, plan


async def test_a_broken_index_is_built_again(filled: Postgres) -> None:
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'antiphon.responses_by_owner'::regclass"
    await filled.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'antiphon.responses_by_owner'::regclass", "filled"
    )
    assert await filled.fetch(valid, "filled") == [(False,)]
    await open_postgres(filled.url("filled")).close()
    assert await filled.fetch(valid, "filled") == [(True,)]
