"""Which store a setting means."""

from __future__ import annotations

from collections.abc import Callable

from antiphon.config.plugins import STORES, load_plugin
from antiphon.errors import ConfigError
from antiphon.stores.base import Store

StoreFactory = Callable[[str], Store]

LOG_LIMIT = 1 << 30
_SCHEMES = ("postgresql://", "postgres://")


def is_url(spec: str) -> bool:
    """Tell whether the setting `store` names a database server rather than a file or `memory`."""
    return "://" in spec


def is_foreign(spec: str) -> bool:
    """Tell whether another package is asked for the store: the URL's scheme is none of ours."""
    return is_url(spec) and not spec.startswith(_SCHEMES)


def open_store(spec: str, *, log_limit: int = LOG_LIMIT) -> Store:
    """Open the store that the setting `store` names. Raises ConfigError.

    `log_limit`: bytes that the write-ahead log of an SQLite file may take, 0 for any number.

    It is `memory`, the path of an SQLite file, the URL of a PostgreSQL database, or one whose scheme another package knows.
    """
    if spec == "memory":
        from antiphon.stores.memory import MemoryStore

        return MemoryStore()
    if is_foreign(spec):
        make: StoreFactory = load_plugin(STORES, spec.partition("://")[0], "store")
        return make(spec)
    if is_url(spec):
        require_postgres(spec)
        from antiphon.stores.postgres import PostgresStore

        return PostgresStore(spec)
    from antiphon.stores.sqlite import SQLiteStore

    return SQLiteStore(spec, wal_limit=log_limit)


def shared_secret(url: str) -> str:
    """Return the secret that seals reasoning and that all servers on a database share. Raises ConfigError."""
    if is_foreign(url):
        raise ConfigError("secret: must be set, as a store of this kind keeps none for its servers")
    require_postgres(url)
    from antiphon.stores.postgres.address import read_address
    from antiphon.stores.postgres.preparation import sealing_secret

    return sealing_secret(read_address(url))


def require_postgres(url: str) -> None:
    """Check that a URL names PostgreSQL, and that its driver is installed. Raises ConfigError."""
    if not url.startswith(_SCHEMES):
        raise ConfigError(f"store: '{url.partition('://')[0]}://' is not supported; expected a file or postgresql://…")
    try:
        import asyncpg  # noqa: F401
    except ModuleNotFoundError:
        raise ConfigError("A store in PostgreSQL needs an extra: pip install 'antiphon[postgres]'") from None
