"""The database behind a store, as the kind that it is."""

from __future__ import annotations

from antiphon.stores.base import Store
from antiphon.stores.postgres.postgres_database import PostgresDatabase
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase


def sqlite(store: Store) -> SQLiteDatabase:
    assert isinstance(store.database, SQLiteDatabase)
    return store.database


def postgres(store: Store) -> PostgresDatabase:
    assert isinstance(store.database, PostgresDatabase)
    return store.database
