"""Columns of the response log: one list for the statements of SQLite and PostgreSQL; LogEntry ↔ row, LogQuery → parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.stores.log_records import MOST_WORDS, SCANNED, SORTED, LogEntry, LogQuery

LOG_COLUMNS = {
    "id": "text",
    "owner": "text",
    "model": "text",
    "status": "text",
    "created_at": "bigint",
    "background": "boolean",
    "previous_response_id": "text",
    "conversation_id": "text",
    "question": "text",
    "answer": "text",
    "reason": "text",
    "error_code": "text",
    "tools": "text",
    "input_tokens": "bigint",
    "cached_tokens": "bigint",
    "output_tokens": "bigint",
    "reasoning_tokens": "bigint",
    "cost": "double precision",
    "duration": "double precision",
    "first_token": "double precision",
    "parameters": "text",
    "pairs": "text[]",
    "folded": "text",
}
"""Column → its type in PostgreSQL; all but `folded` are fields of LogEntry, of which `pairs` is kept in another form."""

SHOWN = tuple(LOG_COLUMNS)[:-1]
_plain = attrgetter(*SHOWN[:-1])
NO_ENTRY: Mapping[str, Any] = {**dict.fromkeys(LOG_COLUMNS), "pairs": [], "has_entry": False}
FIRST_ID, LAST_ID = "", "~"
"""Sort before and behind every id."""


def log_values(entry: LogEntry, pairs: Callable[[Sequence[str]], Any]) -> tuple[Any, ...]:
    """Return the value of each column, in order; `pairs` makes of the metadata's pairs what the database keeps."""
    return (*_plain(entry), pairs(entry.pairs), entry.folded)


def log_columns(entry: LogEntry, pairs: Callable[[Sequence[str]], Any]) -> dict[str, Any]:
    """Return the values by their columns."""
    return dict(zip(LOG_COLUMNS, log_values(entry, pairs), strict=True))


def entry_of(row: Sequence[Any], pairs: Callable[[Any], Sequence[str]], text: Callable[[str], str] = str) -> LogEntry:
    """Return the entry of a row that begins with the values of SHOWN. `pairs` and `text` read what the database keeps."""
    values: dict[str, Any] = dict(zip(SHOWN, row, strict=False))
    for name, value in values.items():
        if isinstance(value, str) and name != "pairs":
            values[name] = text(value)
    values["pairs"] = tuple(text(pair) for pair in pairs(values["pairs"]))
    values["background"] = bool(values["background"])
    return LogEntry(**values)


def wanted(query: LogQuery, pairs: Callable[[Sequence[str]], Any]) -> dict[str, Any]:
    """Return the parameters that say which entries a query wants; a word of "" is in every text."""
    words = [word.casefold() for word in query.words[:MOST_WORDS]]
    return {
        "owner": query.owner,
        "model": query.model,
        "status": query.status,
        "tool": f" {query.tool} " if query.tool else "",
        "pairs": pairs([to_json(pair).decode() for pair in query.metadata.items()]),
        "conversation": query.conversation,
        "background": query.background,
        "since": query.since,
        "until": query.until,
        "limit": query.limit,
        "scanned": SCANNED,
        "window": SORTED,
        **{f"word{number}": word for number, word in zip("abcdef", [*words, *[""] * MOST_WORDS], strict=False)},
    }


def position_of(entry: LogEntry, query: LogQuery) -> tuple[float, str]:
    """Return where an entry stands in a list that is sorted by something else than its age."""
    sign = 1 if query.ascending else -1
    match query.sort:
        case "created_at":
            return sign * float(entry.created_at), entry.id
        case "cost":
            return sign * entry.cost, entry.id
        case "total_tokens":
            return sign * float(entry.input_tokens + entry.output_tokens), entry.id
        case "duration":
            return sign * (entry.duration or 0.0), entry.id


def fits(entry: LogEntry, query: LogQuery) -> bool:
    """Tell whether an entry is wanted, as the statements of both databases do."""
    pairs = [to_json(pair).decode() for pair in query.metadata.items()]
    return (
        (query.owner is None or entry.owner == query.owner)
        and (query.model is None or entry.model == query.model)
        and (query.status is None or entry.status == query.status)
        and (not query.tool or f" {query.tool} " in entry.tools)
        and (query.conversation is None or entry.conversation_id == query.conversation)
        and (query.background is None or entry.background == query.background)
        and query.since <= entry.created_at < query.until
        and set(pairs) <= set(entry.pairs)
        and all(word.casefold() in entry.folded for word in query.words[:MOST_WORDS])
    )


def json_pairs(pairs: Sequence[str]) -> str:
    """Return pairs as one JSON text."""
    return to_json(list(pairs)).decode() if pairs else "[]"


def from_json_pairs(pairs: str) -> Sequence[str]:
    """Return the pairs of a JSON text."""
    return msgspec.json.decode(pairs, type=list[str])
