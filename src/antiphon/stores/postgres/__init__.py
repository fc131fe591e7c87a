"""The store in a PostgreSQL database, which any number of servers may share. Needs `antiphon[postgres]`."""

from antiphon.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
