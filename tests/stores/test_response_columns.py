"""The one list of a response's columns is that of the tables, in both databases, and loses nothing on the way."""

from __future__ import annotations

import re
import sqlite3
import threading

import pytest

from antiphon.core.text.input_pieces import InputEnd, InputPieces
from antiphon.runtime.offload import LARGE
from antiphon.stores.open import open_postgres
from antiphon.stores.postgres import sql as postgres_sql
from antiphon.stores.records import StoredResponse
from antiphon.stores.response_columns import COLUMNS, KEPT, columns, response_of, spelled, with_array
from antiphon.stores.sqlite import sql as sqlite_sql
from tests.stores.postgres_server import Postgres
from tests.stores.samples import response

SQLITE_TYPES = {"text": "TEXT", "bigint": "INTEGER", "integer": "INTEGER", "boolean": "INTEGER", "bytea": "BLOB"}

WHOLE = response(
    previous_response_id="resp_a",
    conversation_id="conv_a",
    expires_at=7,
    background=True,
    foreign_ids={"x": 1},
    model_texts=b"{}",
)


def test_the_list_is_that_of_sqlites_table() -> None:
    connection = sqlite3.connect(":memory:")
    for script in sqlite_sql.migrations():
        connection.executescript(script)
    found = {row[1]: row[2] for row in connection.execute("PRAGMA table_info(responses)")}
    assert found.pop("place") == "INTEGER"  # the rowid
    assert found == {name: SQLITE_TYPES[type] for name, type in COLUMNS.items()}
    connection.close()


@pytest.mark.slow
async def test_the_list_is_that_of_postgresqls_table(postgres: Postgres) -> None:
    await open_postgres(postgres.create("columns")).close()
    query = (
        "SELECT column_name::text, data_type::text FROM information_schema.columns"
        " WHERE table_schema = 'antiphon' AND table_name = 'responses' AND is_identity = 'NO'"
    )
    assert dict(await postgres.fetch(query, "columns")) == dict(COLUMNS)


def test_every_field_of_a_response_comes_back() -> None:
    plain = StoredResponse(id="", owner="", model="", status="", created_at=0, body=b"", output_span=(0, 0))
    told = set(plain.__struct_fields__) - {"input_pieces"}  # those are of `input`
    assert not [name for name in told if getattr(WHOLE, name) == getattr(plain, name)]
    for one in (WHOLE, plain):
        values = columns(one)
        assert list(values) == list(COLUMNS)
        assert response_of(list(values.values())) == one


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_large_input_in_pieces_is_made_in_a_thread(size: int) -> None:
    threads: list[threading.Thread] = []

    def make() -> bytes:
        threads.append(threading.current_thread())
        return b'["\0i0000"'

    pieces = InputPieces(InputEnd(items=1), InputEnd("abc", size=size), b"", make)
    whole = await with_array(response(input=b"", input_pieces=pieces))
    assert whole == response(input=b'["abci0000"]')
    assert (threads[0] is threading.main_thread()) == (size < LARGE)
    assert await with_array(whole) is whole


@pytest.mark.parametrize(
    ("statements", "name"),
    [
        *((postgres_sql.queries("responses"), name) for name in ("put", "put_bound", "enqueue")),
        (postgres_sql.imports(), "responses"),
        *((sqlite_sql.queries("responses"), name) for name in ("insert", "replace")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_statement_that_writes_leaves_a_column_out(statements, name: str) -> None:
    query = statements[name]
    names = query.names if isinstance(query, postgres_sql.Query) else re.findall(r":(\w+)", query)
    wanted = set(COLUMNS) - KEPT if name == "replace" else set(COLUMNS)
    assert wanted <= set(names)


def test_values_that_sqlite_knows_are_bound_as_they_are() -> None:
    assert {(kind, sqlite3.PrepareProtocol) for kind in (bool, bytes, type(None))} <= set(sqlite3.adapters)
    found = sqlite3.connect(":memory:").execute("SELECT ?, ?, ?, typeof(?)", (None, b"\xff\0", True, False)).fetchone()
    assert found == (None, b"\xff\0", 1, "integer")


def test_marks_become_lists() -> None:
    text = spelled("{columns} {values} {updates}", ":{0}::{1}", "{0} = :{0}")
    assert "{" not in text
    assert text.startswith("id, owner, model, ")
    assert ":expires_at::bigint, " in text
    assert "id = :id, owner" not in text
    assert text.endswith("model_texts = :model_texts")
