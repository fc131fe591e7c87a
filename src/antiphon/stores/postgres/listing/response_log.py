"""The response log in PostgreSQL: what PostgresResponses says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.errors import StoreUnknown
from antiphon.stores.log_columns import FIRST_ID, LAST_ID, NO_ENTRY, entry_of, log_columns, position_of, wanted
from antiphon.stores.log_records import LogEntry, LogPage, LogQuery
from antiphon.stores.postgres.database import Database
from antiphon.stores.postgres.sql import queries, unescape

SQL = queries("response_log")
FARTHEST = -1e308


def entry_values(entry: LogEntry | None) -> dict[str, Any]:
    """Return the parameters that write a response's entry with it; of None, those that write none."""
    return dict(NO_ENTRY) if entry is None else {**log_columns(entry, list), "has_entry": True}


async def fill(database: Database, entry: LogEntry) -> None:
    """Write the entry of a response that an older version has stored or ended."""
    await database.rows(SQL["fill"], **log_columns(entry, list))


async def get(database: Database, id: str) -> LogEntry | None:
    """Return an entry, or None."""
    row = await database.row(SQL["get"], id=id)
    return None if row is None else _entry(row)


async def page(database: Database, query: LogQuery) -> LogPage:
    """Return a page of the log. Raises StoreUnknown."""
    values = {**wanted(query, list), "limit": query.limit + 1}
    whose = "" if query.owner is not None else "_of_all"
    if not query.by_age:
        return await _sorted(database, query, whose, values)
    values["after"] = query.after or LAST_ID
    found = [_entry(row) for row in await database.rows(SQL[f"page{whose}"], **values)]
    if len(found) > query.limit:
        return LogPage(found[: query.limit], found[query.limit - 1].id)
    reached = await database.value(SQL[f"reach{whose}"], **values)
    return LogPage(found, None if reached is None else unescape(reached))


async def _sorted(database: Database, query: LogQuery, whose: str, values: dict[str, Any]) -> LogPage:
    values |= {"sign": 1.0 if query.ascending else -1.0, "sort": query.sort, "place": FARTHEST, "after": FIRST_ID}
    if query.after is not None:
        last = await get(database, query.after)
        if last is None:
            raise StoreUnknown(query.after)
        values["place"], values["after"] = position_of(last, query)
    found = [_entry(row) for row in await database.rows(SQL[f"sorted{whose}"], **values)]
    shown = found[: query.limit]
    return LogPage(shown, shown[-1].id if len(found) > query.limit else None)


async def unlogged(database: Database, before: str, since: str, limit: int) -> list[tuple[str, str]]:
    """Return ids and owners of responses without an entry."""
    rows = await database.rows(SQL["unlogged"], before=before, since=since, limit=limit)
    return [(unescape(id), unescape(owner)) for id, owner in rows]


async def outdated(database: Database, limit: int) -> list[tuple[str, str]]:
    """Return ids and owners of responses that have ended, of which the log does not know it."""
    return [(unescape(id), unescape(owner)) for id, owner in await database.rows(SQL["outdated"], limit=limit)]


def _entry(row: Sequence[Any]) -> LogEntry:
    return entry_of(row, list, unescape)
