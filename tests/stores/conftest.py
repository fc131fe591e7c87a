"""One fixture, every implementation of Store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from antiphon.stores.base import Store
from antiphon.stores.open import open_memory, open_postgres, open_sqlite

from .postgres_server import Postgres, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def store_url(postgres: Postgres) -> str:
    """The URL of a database with the newest schema, shared by the tests."""
    url = postgres.create("shared")
    open_postgres(url)
    return url


@pytest.fixture
def postgres_url(postgres: Postgres, store_url: str) -> str:
    """The same, with empty tables."""
    postgres.empty("shared")
    return store_url


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = _open(request, tmp_path)
    yield store
    await store.close()


def _open(request: pytest.FixtureRequest, folder: Path) -> Store:
    match request.param:
        case "memory":
            return open_memory()
        case "sqlite":
            return open_sqlite(folder / "store.db")
        case _:
            return open_postgres(request.getfixturevalue("postgres_url"))
