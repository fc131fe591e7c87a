"""`antiphon db export` and `erase` for PostgreSQL: all that belongs to an owner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from antiphon.stores.owned import OwnedChild, OwnedTable, line
from antiphon.stores.postgres.connection.address import read_address
from antiphon.stores.postgres.connection.connecting import Connection
from antiphon.stores.postgres.connection.preparation import blocking, once, prepare
from antiphon.stores.postgres.sql import escape

TABLES = (
    OwnedTable("keys", ""),
    OwnedTable("webhook_endpoints"),
    OwnedTable("deliveries"),
    OwnedTable("jobs", children=(OwnedChild("checkpoints", "job = :key"),)),
    OwnedTable("batches", children=(OwnedChild("batch_lines", "batch = :key"),)),
    OwnedTable(
        "responses",
        children=(
            OwnedChild("events", "response = :key"),
            OwnedChild("event_expiry", "response = :key"),
            OwnedChild("foreign_items", "response = :key"),
        ),
    ),
    OwnedTable("response_log"),
    OwnedTable("conversations", children=(OwnedChild("conversation_items", "conversation = :key"),)),
    OwnedTable("chats"),
    OwnedTable("uploads", children=(OwnedChild("upload_parts", "upload = :id"),)),
    OwnedTable("contents", children=(OwnedChild("content_rows", "content = :key"),), group=1),
    OwnedTable("files"),
    OwnedTable(
        "containers",
        children=(OwnedChild("container_files", "container = :id"), OwnedChild("container_skills", "container = :id")),
    ),
    OwnedTable("skills", children=(OwnedChild("skill_versions", "skill = :id"),)),
    OwnedTable(
        "vector_stores",
        children=(
            OwnedChild("vector_drafts", "file IN (SELECT number FROM antiphon.vector_store_files WHERE store = :key)"),
            OwnedChild("file_batches", "store = :key"),
            OwnedChild("vector_store_files", "store = :key"),
        ),
    ),
    OwnedTable("usage", ""),
)

# Names of tables and conditions are those of the list above; values are parameters.


def export(url: str, owner: str, write: Callable[[bytes], object]) -> Mapping[str, int]:
    """Write all that belongs to an owner as it is at one moment, a line for each row; return rows by table.

    Raises ConfigError.
    """

    async def read(connection: Connection) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for table in TABLES:
                select = f"SELECT * FROM antiphon.{table.table} WHERE owner = $1"  # noqa: S608  # see above
                async for row in connection.cursor(select, escape(owner), prefetch=8):
                    counts[table.table] += 1
                    write(line(table.table, dict(row)))
                    for child in table.children:
                        where, value = _where(child, row[table.key], row.get("id"))
                        async for below in connection.cursor(
                            f"SELECT * FROM antiphon.{child.table} WHERE {where}",  # noqa: S608  # see above
                            value,
                            prefetch=8,
                        ):
                            counts[child.table] += 1
                            write(line(child.table, dict(below)))
        return counts

    address = read_address(url)
    prepare(address)
    return blocking(lambda: once(address, read, transaction=False))


def erase(url: str, owner: str) -> Mapping[str, int]:
    """Delete all that belongs to an owner, a group of rows at a time; return rows by table. Raises ConfigError."""

    async def delete(connection: Connection) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        for table in TABLES:
            if table.key:
                while await _erase_group(connection, table, escape(owner), counts):
                    pass
            else:
                statement = f"DELETE FROM antiphon.{table.table} WHERE owner = $1"  # noqa: S608  # see above
                counts[table.table] += _rows(await connection.execute(statement, escape(owner)))
        return counts

    address = read_address(url)
    prepare(address)
    return blocking(lambda: once(address, delete, transaction=False))


async def _erase_group(connection: Connection, table: OwnedTable, owner: str, counts: Counter[str]) -> int:
    id = "id" if any(":id" in child.where for child in table.children) else "''"
    select = (
        f"SELECT {table.key}, {id} FROM antiphon.{table.table} WHERE owner = $1"  # noqa: S608  # see above
        f" ORDER BY {table.key} LIMIT {table.group} FOR UPDATE"
    )
    async with connection.transaction():
        group = await connection.fetch(select, owner)
        for key, name in group:
            for child in table.children:
                where, value = _where(child, key, name)
                statement = f"DELETE FROM antiphon.{child.table} WHERE {where}"  # noqa: S608  # see above
                counts[child.table] += _rows(await connection.execute(statement, value))
            statement = f"DELETE FROM antiphon.{table.table} WHERE {table.key} = $1"  # noqa: S608  # see above
            counts[table.table] += _rows(await connection.execute(statement, key))
    return len(group)


def _where(child: OwnedChild, key: int, id: object) -> tuple[str, object]:
    """Return the condition as PostgreSQL wants it, and its parameter."""
    if ":id" in child.where:
        return child.where.replace(":id", "$1"), id
    return child.where.replace(":key", "$1"), key


def _rows(status: str) -> int:
    """Return the number of rows that a command's status, such as `DELETE 3`, tells."""
    return int(status.rpartition(" ")[2])
