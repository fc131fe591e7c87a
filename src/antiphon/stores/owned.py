"""What of a store belongs to an owner: the tables, in the order in which `antiphon db erase` empties them; lines of an export.

Each database has its own list of `OwnedTable`s (sqlite/disk/owned.py, postgres/connection/owned.py): a table with a column
`owner`, and the tables whose rows go with its rows. tests/stores/test_owned.py compares both lists with the schemas.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

GROUP = 20
"""Rows with all that belongs to them that are deleted in one transaction: servers write in between."""

KEPT = {
    "audit": "the record of what was done, the erasure included, is not changed",
    "secrets": "the store's own, of no owner",
    "compatibility": "the store's own, of no owner",
    "migrations": "the store's own, of no owner",
    "imports": "the store's own, of no owner",
    "meters": "counts under digests, which expire",
    "slots": "counts under digests, which expire",
    "input_pieces": "inputs of the owner's responses: exported with these, and deleted with them by triggers",
    "vector_chunks": "pieces of the owner's files",
    "vector_words": "an index of the owner's files",
    "vector_codes": "computed from the owner's files",
    "vector_embeddings": "computed from the owner's files",
}
"""Tables that are in no list, and why: they are not exported, and go with others or stay."""

SECRET_COLUMNS = {"keys": {"digest"}, "webhook_endpoints": {"secret", "old_secret"}}
"""Columns that no export has."""

FILES = {"content", "row", "vector", "code", "digest"}
"""Columns of any bytes: in base64, whatever they look like."""


class OwnedChild(msgspec.Struct, frozen=True):
    """A table whose rows belong to a row of another: `where` names that row's key as `:key`, or its `:id`."""

    table: str
    where: str


class OwnedTable(msgspec.Struct, frozen=True):
    """A table with an owner in each row; `key` is its number, by which groups of rows are read.

    `key` is "" for a table of small rows that nothing belongs to: it is emptied by one statement.
    """

    table: str
    key: str = "number"
    children: tuple[OwnedChild, ...] = ()
    group: int = GROUP


def line(table: str, row: Mapping[str, Any]) -> bytes:
    """Return a row as a line of JSON: JSON columns as JSON, others as text, what is no text in base64."""
    hidden = SECRET_COLUMNS.get(table, ())
    shown = {name: _value(name, value) for name, value in row.items() if name not in hidden}
    return msgspec.json.encode({"table": table, "row": shown}) + b"\n"


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        return value if isinstance(value, (str, int, float, list, type(None))) else str(value)
    content = bytes(value)
    if name in FILES:
        return {"base64": base64.b64encode(content).decode()}
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
