"""Columns of the table of responses: one list for the statements of SQLite and PostgreSQL; StoredResponse ↔ row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from antiphon.runtime.offload import by_size
from antiphon.stores.log_columns import LOG_COLUMNS, SHOWN
from antiphon.stores.records import StoredResponse

COLUMNS = {
    "id": "text",
    "owner": "text",
    "model": "text",
    "status": "text",
    "created_at": "bigint",
    "expires_at": "bigint",
    "background": "boolean",
    "previous_response_id": "text",
    "conversation_id": "text",
    "output_start": "integer",
    "output_end": "integer",
    "foreign_ids": "bytea",
    "input": "bytea",
    "body": "bytea",
    "model_texts": "bytea",
}
"""Column → its type in PostgreSQL."""

KEPT = frozenset(("id", "owner"))
"""Columns that stay when a response is written again."""

_first = attrgetter(*tuple(COLUMNS)[:9])
_foreign_ids = msgspec.json.Decoder(dict[str, int])


async def with_array(response: StoredResponse) -> StoredResponse:
    """Return a response with its input as an array, where it is in pieces."""
    pieces = response.input_pieces
    if pieces is None:
        return response
    return msgspec.structs.replace(response, input=await by_size(pieces.end.size, pieces.array), input_pieces=None)


def values(response: StoredResponse, input: bytes | None = None) -> tuple[Any, ...]:
    """Return the value of each column, in order; `foreign_ids` is a JSON object, or None where there are none.

    `input`: what stands there instead of the array.
    """
    foreign = response.foreign_ids
    return (
        *_first(response),
        *response.output_span,
        msgspec.json.encode(foreign) if foreign else None,
        response.input if input is None else input,
        response.body,
        response.model_texts or None,
    )


def columns(response: StoredResponse) -> dict[str, Any]:
    """Return the values by their columns."""
    return dict(zip(COLUMNS, values(response), strict=True))


def response_of(row: Sequence[Any], text: Callable[[str], str] = str) -> StoredResponse:
    """Return the response of a row that has the values of COLUMNS, in order. `text` reads a text as the database keeps it."""
    id, owner, model, status, created_at, expires_at, background, previous, conversation, *rest = row
    start, end, foreign, input, body, texts = rest
    return StoredResponse(
        id=text(id),
        owner=text(owner),
        model=text(model),
        status=status,
        created_at=created_at,
        expires_at=expires_at,
        background=bool(background),
        previous_response_id=previous and text(previous),
        conversation_id=conversation and text(conversation),
        output_span=(start, end),
        foreign_ids=_foreign_ids.decode(foreign) if foreign else {},
        input=input,
        body=body,
        model_texts=texts or b"",
    )


def spelled(statement: str, value: str, update: str) -> str:
    """Return a statement whose marks are replaced by lists of the columns.

    `{columns}`: the names. `{values}`: `value` for each. `{updates}`: `update` for each that is not KEPT. In `value` and `update`
    `{0}` is the column and `{1}` its type. With `log_` before them they are the columns of the response log; `{log_shown}` are
    those that a LogEntry has.
    """
    lists = {"{log_shown}": ", ".join(SHOWN)}
    for before, table in (("", COLUMNS), ("log_", LOG_COLUMNS)):
        lists[f"{{{before}columns}}"] = ", ".join(table)
        lists[f"{{{before}values}}"] = ", ".join(value.format(name, type) for name, type in table.items())
        changed = [update.format(name, type) for name, type in table.items() if name not in KEPT]
        lists[f"{{{before}updates}}"] = ", ".join(changed)
    for mark, list in lists.items():
        statement = statement.replace(mark, list)
    return statement


def without_marks(blocks: Mapping[str, str]) -> dict[str, str]:
    """Return named statements without the marks that stand for texts of the same file: those named `{mark}`."""
    marks = {name: text for name, text in blocks.items() if name.startswith("{")}
    plain = {name: text for name, text in blocks.items() if name not in marks}
    for mark, meant in marks.items():
        plain = {name: text.replace(mark, meant) for name, text in plain.items()}
    return plain
