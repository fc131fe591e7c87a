"""StoreStatus: what `antiphon db status` shows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class TableSize(msgspec.Struct, frozen=True):
    """How much a table holds. `rows` may be an estimate; `bytes` is None where it is not known by table."""

    name: str
    rows: int
    bytes: int | None = None


class StoreStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Status of a store; a `schema` of 0 means that it does not exist yet."""

    shown: str
    schema: int
    newest: int
    bytes: int = 0
    tables: Sequence[TableSize] = ()
    estimated: bool = False
    """Whether the numbers of rows are estimates."""
