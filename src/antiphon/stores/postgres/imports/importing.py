"""Import of an SQLite store into PostgreSQL, in batches; an interrupted import continues after its last batch.

Rows that exist in the database are kept, so that an import can be repeated.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from antiphon.errors import ConfigError
from antiphon.stores.postgres.connection.address import DatabaseAddress
from antiphon.stores.postgres.connection.connecting import Connection
from antiphon.stores.postgres.connection.preparation import blocking, migrate, once
from antiphon.stores.postgres.imports.chunks import FILES, copy_chunks
from antiphon.stores.postgres.sql import imports
from antiphon.stores.sqlite.database import open_database
from antiphon.stores.sqlite.jobs import unpack
from antiphon.stores.sqlite.responses import whole_input

SQL = imports()
BATCH = 500

Row = Mapping[str, Any]

Progress = Callable[[str, int, int], None]
"""Told of a noun, how many of its rows are done, and how many there are."""


class Noun(msgspec.Struct, frozen=True, kw_only=True):
    """A noun to copy: the rows of `source` in the order of the columns `key`, after the last batch.

    The statement of this `name` in `imports/` inserts one.
    """

    name: str
    source: str
    key: Sequence[str]
    batch: int = BATCH
    unpack: Callable[[Row], Sequence[Row]] | None = None
    """Makes the rows of the target out of one of the source, where they are not the same."""


NOUNS = (
    Noun(name="secrets", source="SELECT * FROM secrets", key=["name"]),
    Noun(name="keys", source="SELECT * FROM keys", key=["id"]),
    Noun(name="meters", source="SELECT * FROM meters", key=["name"]),
    Noun(name="conversations", source="SELECT * FROM conversations", key=["number"]),
    Noun(
        name="conversation_items",
        source="SELECT item.*, conversation.id AS conversation FROM conversation_items AS item"
        " JOIN conversations AS conversation ON conversation.number = item.place >> 24",
        key=["place"],
    ),
    Noun(name="responses", source="SELECT * FROM responses", key=["place"], batch=200),
    Noun(
        name="response_log",
        source="SELECT * FROM response_log",
        key=["number"],
        unpack=lambda row: [{**row, "pairs": msgspec.json.decode(row["pairs"])}],
    ),
    Noun(
        name="foreign_items",
        source="SELECT item.*, response.id FROM foreign_items AS item"
        " JOIN responses AS response ON response.place = item.response",
        key=["generation", "owner", "item_id"],
    ),
    Noun(
        name="event_batches",
        source="SELECT batch.*, response.id FROM event_batches AS batch"
        " JOIN responses AS response ON response.place = batch.response",
        key=["number"],
        unpack=lambda row: [{**msgspec.structs.asdict(event), "id": row["id"]} for event in unpack(row["events"])],
    ),
    Noun(
        name="files",
        source="SELECT file.*, content.content FROM files AS file"
        " LEFT JOIN file_contents AS content ON content.file = file.number",
        key=["number"],
        batch=1,
    ),
    Noun(
        name="contents",
        source="SELECT content.*, file.id AS file_id FROM contents AS content JOIN files AS file ON file.number = content.file",
        key=["number"],
    ),
    Noun(
        name="content_rows",
        source="SELECT row.*, file.id AS file_id, content.start AS content_start FROM content_rows AS row"
        " JOIN contents AS content ON content.number = row.content JOIN files AS file ON file.number = content.file",
        key=["number"],
        batch=8,
    ),
    Noun(name="batches", source="SELECT * FROM batches", key=["number"]),
    Noun(
        name="batch_lines",
        source="SELECT line.*, batch.id AS batch_id FROM batch_lines AS line JOIN batches AS batch ON batch.number = line.batch",
        key=["batch", "line"],
        batch=50,
    ),
    Noun(name="containers", source="SELECT * FROM containers", key=["number"]),
    Noun(
        name="container_files",
        source="SELECT file.*, content.content FROM container_files AS file"
        " JOIN container_contents AS content ON content.file = file.number",
        key=["number"],
        batch=1,
    ),
    Noun(
        name="chats",
        source="SELECT * FROM chats",
        key=["number"],
        batch=8,
        unpack=lambda row: [{**row, "pairs": msgspec.json.decode(row["pairs"])}],
    ),
    Noun(name="audit", source="SELECT * FROM audit", key=["number"]),
    Noun(name="usage", source="SELECT * FROM usage", key=["day", "owner", "key", "model", "tool"]),
    Noun(name="skills", source="SELECT * FROM skills", key=["number"]),
    Noun(name="skill_versions", source="SELECT * FROM skill_versions", key=["number"], batch=1),
    Noun(name="container_skills", source="SELECT * FROM container_skills", key=["number"], batch=1),
    Noun(name="vector_stores", source="SELECT * FROM vector_stores", key=["number"]),
    Noun(
        name="file_batches",
        source="SELECT batch.*, store.id AS store_id FROM file_batches AS batch"
        " JOIN vector_stores AS store ON store.number = batch.store",
        key=["number"],
    ),
    Noun(
        name="vector_store_files",
        source="SELECT file.*, store.id AS store_id, batch.id AS batch_id FROM vector_store_files AS file"
        " JOIN vector_stores AS store ON store.number = file.store"
        " LEFT JOIN file_batches AS batch ON batch.number = file.batch WHERE file.gone = 0",
        key=["number"],
    ),
    Noun(name="webhook_endpoints", source="SELECT * FROM webhook_endpoints", key=["number"]),
    Noun(name="deliveries", source="SELECT * FROM deliveries", key=["id", "url"]),
    Noun(
        name="jobs",
        source="SELECT job.*, request.request, checkpoint.body AS checkpoint FROM jobs AS job"
        " JOIN job_requests AS request ON request.job = job.number"
        " LEFT JOIN checkpoints AS checkpoint ON checkpoint.job = job.number",
        key=["number"],
    ),
)


def import_sqlite(path: Path, address: DatabaseAddress, progress: Progress) -> None:
    """Copy an SQLite store into the database. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"Store not found: {path}.")
    with closing(open_database(path)) as source:
        source.row_factory = sqlite3.Row
        source.execute("BEGIN")  # one snapshot, whoever writes meanwhile
        blocking(lambda: once(address, migrate))
        blocking(lambda: once(address, Import(source, path, progress).run, transaction=False))


class Import:
    """One import."""

    def __init__(self, source: sqlite3.Connection, path: Path, progress: Progress) -> None:
        self._source = source
        self._path = path.resolve()
        self._progress = progress

    async def run(self, target: Connection) -> None:
        """Copy noun by noun."""
        key_file = self._path.with_suffix(".key")
        if key_file.is_file():
            secret = {"name": "seal", "secret": key_file.read_text().strip().encode()}
            await target.execute(SQL["secrets"].text, *SQL["secrets"].arguments(secret))
        for noun in NOUNS:
            await self._copy(target, noun)
        await self._copy_chunks(target)
        await target.execute(SQL["forget"].text, str(self._path))

    async def _copy_chunks(self, target: Connection) -> None:
        files = self._source.execute(FILES).fetchall()
        for done, file in enumerate(files):
            self._progress("vector_chunks", done, len(files))
            await copy_chunks(self._source, target, file)
        self._progress("vector_chunks", len(files), len(files))

    async def _copy(self, target: Connection, noun: Noun) -> None:
        total = self._source.execute(f"SELECT count(*) FROM ({noun.source})").fetchall()[0][0]  # noqa: S608  # ours
        position = await target.fetchval(SQL["position"].text, str(self._path), noun.name)
        done = 0
        self._progress(noun.name, done, total)
        for rows in self._batches(noun, msgspec.json.decode(position) if position else None):
            await self._write(target, noun, rows)
            done += len(rows)
            self._progress(noun.name, done, total)
        self._progress(noun.name, total, total)

    def _batches(self, noun: Noun, position: Sequence[Any] | None) -> Iterator[Sequence[Row]]:
        keys = ", ".join(noun.key)
        marks = ", ".join("?" for _ in noun.key)
        while True:
            behind = f"WHERE ({keys}) > ({marks})" if position else ""
            query = f"SELECT * FROM ({noun.source}) {behind} ORDER BY {keys} LIMIT {noun.batch}"  # noqa: S608  # ours
            rows = [dict(row) for row in self._source.execute(query, position or ()).fetchall()]
            if not rows:
                return
            position = [rows[-1][name] for name in noun.key]
            if noun.name == "responses":
                rows = [{**row, "input": whole_input(self._source, row["id"], row["input"])} for row in rows]
            yield rows

    async def _write(self, target: Connection, noun: Noun, rows: Sequence[Row]) -> None:
        query = SQL[noun.name]
        position = msgspec.json.encode([rows[-1][name] for name in noun.key])
        note = {"source": str(self._path), "noun": noun.name, "position": position}
        if noun.unpack is not None:
            rows = [made for row in rows for made in noun.unpack(row)]
        async with target.transaction():
            await target.executemany(query.text, [query.arguments(_typed(row)) for row in rows])
            await target.execute(SQL["note"].text, *SQL["note"].arguments(note))


def _typed(row: Row) -> dict[str, Any]:
    """Convert SQLite's 0 and 1 to booleans."""
    return {name: bool(value) if name in ("background", "cancelled") else value for name, value in row.items()}
