"""Several servers on one PostgreSQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from antiphon.stores.base import Store
from antiphon.stores.open import open_postgres


@asynccontextmanager
async def servers(url: str, count: int) -> AsyncIterator[Sequence[Store]]:
    """Open the same database several times."""
    stores = [open_postgres(url) for _ in range(count)]
    try:
        yield stores
    finally:
        for store in stores:
            await store.close()
