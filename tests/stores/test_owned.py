"""`antiphon db export` and `erase`: every table of both schemas, one owner's rows and no others."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from antiphon.cli.db import db
from antiphon.stores import upkeep
from antiphon.stores.owned import KEPT, OwnedTable, line
from antiphon.stores.postgres.connection import owned as postgres_owned
from antiphon.stores.sqlite.disk import owned as sqlite_owned

ANN, BOB = "owner-ann", "owner-bob"
KEYS = {ANN: 3, BOB: 4}

Column = tuple[str, str]
"""The name and the type of a column."""


def value(name: str, type: str, owner: str, table: str) -> Any:
    """Return what a column holds in the row of an owner: each text and each content names the owner."""
    if name in ("number", "generation"):
        return KEYS[owner]
    kind = type.lower()
    if kind.endswith("[]"):
        return [f'["{owner}"]'] if kind.startswith("text") else [1]
    if kind == "boolean":
        return False
    if kind.startswith("bit"):
        return asyncpg.BitString("0101")
    if kind in ("blob", "bytea"):
        return json.dumps(f"{table} of {owner}").encode()
    if kind == "text":
        return owner if name == "owner" else f"{table} {name} of {owner}"
    return KEYS[owner]


def linked(where: str, owner: str, parent: Mapping[str, Any], table: OwnedTable) -> Mapping[str, Any]:
    """Return the column that ties a child's row to its parent's."""
    column = where.split()[0]
    if where.startswith("place"):
        return {"place": (parent[table.key] << 24) + 1}
    if " IN " in where:
        return {column: KEYS[owner]}
    return {column: parent["id"] if ":id" in where else parent[table.key]}


def rows(tables: Sequence[OwnedTable], columns: Mapping[str, Sequence[Column]]) -> list[tuple[str, dict[str, Any]]]:
    """Return a row of each table for each owner, parents first."""
    found = []
    for owner in (ANN, BOB):
        for table in tables:
            parent = {name: value(name, type, owner, table.table) for name, type in columns[table.table]}
            parent.update({table.key: KEYS[owner]} if table.key not in ("", "rowid") else {})
            found.append((table.table, parent))
            children = sorted(table.children, key=lambda child: " IN " in child.where)
            for child in children:
                row = {name: value(name, type, owner, child.table) for name, type in columns[child.table]}
                found.append((child.table, {**row, **linked(child.where, owner, parent, table)}))
    return found


def listed(tables: Sequence[OwnedTable]) -> set[str]:
    return {table.table for table in tables} | {child.table for table in tables for child in table.children}


def sqlite_columns(path: Path) -> dict[str, list[Column]]:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        names = [row[0] for row in connection.execute(query)]
        return {
            name: [(row[1], row[2]) for row in connection.execute(f'PRAGMA table_info("{name}")')] for name in names
        }


def exported(spec: str, owner: str) -> tuple[Mapping[str, int], list[dict[str, Any]]]:
    lines: list[bytes] = []
    counts = upkeep.export(spec, owner, lines.append)
    return counts, [json.loads(line) for line in lines]


def check(spec: str, tables: Sequence[OwnedTable]) -> None:
    """Export and erase the owner ann."""
    counts, found = exported(spec, ANN)
    assert {line["table"] for line in found} == listed(tables)
    assert counts == dict.fromkeys(listed(tables), 1)
    assert BOB not in json.dumps(found)
    key = next(line["row"] for line in found if line["table"] == "keys")
    assert "digest" not in key
    assert not {"secret", "old_secret"} & set(next(one["row"] for one in found if one["table"] == "webhook_endpoints"))
    _, bob = exported(spec, BOB)
    erased = upkeep.erase(spec, ANN)
    assert erased.keys() | {"response_log", "event_expiry"} >= listed(tables)
    assert exported(spec, ANN) == ({}, [])
    assert exported(spec, BOB)[1] == bob
    assert not any(upkeep.erase(spec, ANN).values())


def test_every_sqlite_table_is_listed_or_kept(tmp_path: Path) -> None:
    upkeep.migrate(str(tmp_path / "a.db"))
    assert sqlite_columns(tmp_path / "a.db").keys() - KEPT.keys() == listed(sqlite_owned.TABLES)


def test_one_owner_of_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    upkeep.migrate(str(path))
    columns = sqlite_columns(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table, row in rows(sqlite_owned.TABLES, columns):
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))
        connection.execute("CREATE VIRTUAL TABLE vector_chunks_3 USING fts5(words, text UNINDEXED)")
        connection.execute("INSERT INTO vector_chunks_3 VALUES ('a', ?)", (ANN,))
    check(str(path), sqlite_owned.TABLES)
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert ANN.encode() not in left and BOB.encode() in left


@pytest.mark.needs("postgresql")
def test_one_owner_of_postgresql(postgres_url: str) -> None:
    columns: dict[str, list[Column]] = {}

    async def fill() -> None:
        connection = await asyncpg.connect(postgres_url)
        query = """
            SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
            JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = 'antiphon' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
        """
        for table, name, type in await connection.fetch(query):
            columns.setdefault(table, []).append((name, type))
        for table, row in rows(postgres_owned.TABLES, columns):
            skipped = {name for name, type in columns[table] if type.startswith("timestamp")}
            row = {name: one for name, one in row.items() if name not in skipped}
            names, marks = ", ".join(row), ", ".join(f"${place}" for place in range(1, len(row) + 1))
            insert = f"INSERT INTO antiphon.{table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({marks})"
            await connection.execute(insert, *row.values())
        await connection.close()

    asyncio.run(fill())
    assert columns.keys() - KEPT.keys() == listed(postgres_owned.TABLES)
    check(postgres_url, postgres_owned.TABLES)


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        ("body", b'{"a":1}', {"a": 1}),
        ("events", b"[[1]]\n{}", "[[1]]\n{}"),
        ("request", b"\xff", {"base64": "/w=="}),
        ("content", b"[1]", {"base64": "WzFd"}),
    ],
)
def test_what_a_line_shows(name: str, content: bytes, shown: object) -> None:
    assert json.loads(line("jobs", {name: content})) == {"table": "jobs", "row": {name: shown}}


def test_the_commands(tmp_path: Path) -> None:
    def run(*words: str, input: str = "") -> tuple[int, str]:
        result = CliRunner().invoke(db, [*words, "--store", str(store)], input=input)
        return result.exit_code, result.output + str(result.exception or "")

    store, file = tmp_path / "a.db", tmp_path / "ann.jsonl"
    assert "Store not found" in run("erase", "--owner", ANN, "--yes")[1] and not store.exists()
    assert "Store not found" in run("export", "--owner", ANN, str(file))[1] and not file.exists()
    upkeep.migrate(str(store))
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("INSERT INTO conversations VALUES (1, 'conv_1', ?, 1, x'7b7d')", (ANN,))
    assert "conversations" in run("export", "--owner", ANN, str(file))[1]
    assert json.loads(file.read_text())["row"]["id"] == "conv_1" and file.stat().st_mode & 0o777 == 0o600
    assert "File exists" in run("export", "--owner", ANN, str(file))[1] and file.exists()
    assert run("erase", "--owner", ANN, input="n\n")[0] == 1
    assert "conversations" in run("erase", "--owner", ANN, input="y\n")[1]
    assert "No object" in run("erase", "--owner", ANN, "--yes")[1]
    with closing(sqlite3.connect(store)) as connection:
        actions = [row[0] for row in connection.execute("SELECT action FROM audit ORDER BY number")]
    assert actions[0] == "owner.exported"
    assert actions.count("owner.erased") == 2
