"""The response log in an SQLite file: what SQLiteResponses says of it. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from antiphon.errors import StoreUnknown
from antiphon.stores.log_columns import (
    FIRST_ID,
    LAST_ID,
    LOG_COLUMNS,
    entry_of,
    from_json_pairs,
    json_pairs,
    log_columns,
    log_values,
    position_of,
    wanted,
)
from antiphon.stores.log_records import LogEntry, LogPage, LogQuery
from antiphon.stores.sqlite.sql import by_position, queries

SQL = queries("response_log")
PUT = by_position(SQL["put"], LOG_COLUMNS)
FARTHEST = -1e308


def put(connection: Connection, entry: LogEntry) -> None:
    """Write a response's entry."""
    connection.execute(PUT, log_values(entry, json_pairs))


def fill(connection: Connection, entry: LogEntry) -> None:
    """Write the entry of a response that an older version has stored or ended."""
    connection.execute(SQL["fill"], log_columns(entry, json_pairs))


def get(connection: Connection, id: str) -> LogEntry | None:
    """Return an entry, or None."""
    for row in connection.execute(SQL["get"], {"id": id}).fetchall():
        return _entry(row)
    return None


def page(connection: Connection, query: LogQuery) -> LogPage:
    """Return a page of the log. Raises StoreUnknown."""
    values = {**wanted(query, json_pairs), "limit": query.limit + 1}
    whose = "" if query.owner is not None else "_of_all"
    if not query.by_age:
        return _sorted(connection, query, whose, values)
    values["after"] = query.after or LAST_ID
    found = [_entry(row) for row in connection.execute(SQL[f"page{whose}"], values).fetchall()]
    if len(found) > query.limit:
        return LogPage(found[: query.limit], found[query.limit - 1].id)
    reached = connection.execute(SQL[f"reach{whose}"], values).fetchall()
    return LogPage(found, reached[0][0] if reached else None)


def _sorted(connection: Connection, query: LogQuery, whose: str, values: dict[str, Any]) -> LogPage:
    values |= {"sign": 1 if query.ascending else -1, "sort": query.sort, "place": FARTHEST, "after": FIRST_ID}
    if query.after is not None:
        last = get(connection, query.after)
        if last is None:
            raise StoreUnknown(query.after)
        values["place"], values["after"] = position_of(last, query)
    found = [_entry(row) for row in connection.execute(SQL[f"sorted{whose}"], values).fetchall()]
    shown = found[: query.limit]
    return LogPage(shown, shown[-1].id if len(found) > query.limit else None)


def unlogged(connection: Connection, before: str, since: str, limit: int) -> list[tuple[str, str]]:
    """Return ids and owners of responses without an entry."""
    return connection.execute(SQL["unlogged"], {"before": before, "since": since, "limit": limit}).fetchall()


def outdated(connection: Connection, limit: int) -> list[tuple[str, str]]:
    """Return ids and owners of responses that have ended, of which the log does not know it."""
    return connection.execute(SQL["outdated"], {"limit": limit}).fetchall()


def _entry(row: Sequence[Any]) -> LogEntry:
    return entry_of(row, from_json_pairs)
