"""`antiphon db export` and `erase` for SQLite: all that belongs to an owner."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from antiphon.errors import ConfigError
from antiphon.stores.owned import OwnedChild, OwnedTable, line
from antiphon.stores.sqlite.database import open_database
from antiphon.stores.sqlite.responses import whole_input
from antiphon.stores.sqlite.vectors import vector_chunks, vector_embeddings

_STORE_FILES = "file IN (SELECT number FROM vector_store_files WHERE store = :key)"

TABLES = (
    OwnedTable("keys", ""),
    OwnedTable("webhook_endpoints"),
    OwnedTable("deliveries", "rowid"),
    OwnedTable("jobs", children=(OwnedChild("checkpoints", "job = :key"), OwnedChild("job_requests", "job = :key"))),
    OwnedTable("batches", children=(OwnedChild("batch_lines", "batch = :key"),)),
    OwnedTable(
        "responses",
        "place",
        (OwnedChild("event_batches", "response = :key"), OwnedChild("event_expiry", "response = :key")),
    ),
    OwnedTable("foreign_items", ""),
    OwnedTable("response_log"),
    OwnedTable(
        "conversations",
        children=(OwnedChild("conversation_items", "place >= :key << 24 AND place < (:key + 1) << 24"),),
    ),
    OwnedTable("chats"),
    OwnedTable("uploads", children=(OwnedChild("upload_parts", "upload = :id"),)),
    OwnedTable("contents", children=(OwnedChild("content_rows", "content = :key"),), group=1),
    OwnedTable("files", children=(OwnedChild("file_contents", "file = :key"),)),
    OwnedTable(
        "containers",
        children=(
            OwnedChild("container_contents", "file IN (SELECT number FROM container_files WHERE container = :id)"),
            OwnedChild("container_files", "container = :id"),
            OwnedChild("container_skills", "container = :id"),
        ),
    ),
    OwnedTable("skills", children=(OwnedChild("skill_versions", "skill = :id"),)),
    OwnedTable(
        "vector_stores",
        children=(
            OwnedChild("vector_drafts", _STORE_FILES),
            OwnedChild("file_batches", "store = :key"),
            OwnedChild("vector_store_files", "store = :key"),
        ),
    ),
    OwnedTable("usage", ""),
)

# Names of tables and conditions are those of the list above; values are parameters.


def export(path: Path, owner: str, write: Callable[[bytes], object]) -> Mapping[str, int]:
    """Write all that belongs to an owner as it is at one moment, a line for each row; return rows by table.

    Raises ConfigError.
    """
    counts: Counter[str] = Counter()
    with closing(_opened(path)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        for table in TABLES:
            for row in connection.execute(f"SELECT * FROM {table.table} WHERE owner = ?", (owner,)):  # noqa: S608  # see above
                counts[table.table] += 1
                shown = dict(row)
                if table.table == "responses":
                    shown["input"] = whole_input(connection, shown["id"], shown["input"])
                write(line(table.table, shown))
                for child in table.children:
                    for below in connection.execute(
                        f"SELECT * FROM {child.table} WHERE {child.where}",  # noqa: S608  # see above
                        {"key": row[table.key], "id": dict(row).get("id")},
                    ):
                        counts[child.table] += 1
                        write(line(child.table, dict(below)))
        connection.execute("ROLLBACK")
    return counts


def erase(path: Path, owner: str) -> Mapping[str, int]:
    """Delete all that belongs to an owner, a group of rows at a time; return rows by table. Raises ConfigError.

    Deleted pages are overwritten with zeros, and the write-ahead log is emptied where no server reads it.
    """
    counts: Counter[str] = Counter()
    with closing(_opened(path)) as connection:
        for table in TABLES:
            if not table.key:
                counts[table.table] += connection.execute(
                    f"DELETE FROM {table.table} WHERE owner = ?",  # noqa: S608  # see above
                    (owner,),
                ).rowcount
                continue
            for group in _groups(connection, table, owner):
                _erase_group(connection, table, group, counts)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return counts


def _opened(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise ConfigError(f"Store not found: {path}.")
    return open_database(path)


def _groups(connection: sqlite3.Connection, table: OwnedTable, owner: str) -> Iterator[Sequence[tuple[int, str]]]:
    id = "id" if any(":id" in child.where for child in table.children) else "''"
    select = (
        f"SELECT {table.key}, {id} FROM {table.table} WHERE owner = ? AND {table.key} > ?"  # noqa: S608  # see above
        f" ORDER BY {table.key} LIMIT {table.group}"
    )
    last = -1
    while group := connection.execute(select, (owner, last)).fetchall():
        yield group
        last = group[-1][0]


def _erase_group(
    connection: sqlite3.Connection, table: OwnedTable, group: Sequence[tuple[int, str]], counts: Counter[str]
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for key, id in group:
            for child in table.children:
                delete = f"DELETE FROM {child.table} WHERE {child.where}"  # noqa: S608  # see above
                counts[child.table] += connection.execute(delete, {"key": key, "id": id}).rowcount
            if table.table == "vector_stores":
                vector_embeddings.drop(connection, key)
                vector_chunks.drop(connection, key)
            delete = f"DELETE FROM {table.table} WHERE {table.key} = ?"  # noqa: S608  # see above
            counts[table.table] += connection.execute(delete, (key,)).rowcount
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
