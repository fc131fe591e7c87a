"""Opens the store that the setting `store` names: the class of each noun, for each database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.config.plugins import STORES, load_plugin
from antiphon.errors import ConfigError
from antiphon.stores.base import Store

if TYPE_CHECKING:
    from antiphon.stores.sqlite.database import Synchronous

StoreFactory = Callable[[str], Store]

LOG_LIMIT = 1 << 30
_SCHEMES = ("postgresql://", "postgres://")


def is_url(spec: str) -> bool:
    """Tell whether the setting `store` names a database server rather than a file or `memory`."""
    return "://" in spec


def is_foreign(spec: str) -> bool:
    """Tell whether a plugin package provides the store: the URL's scheme is not built in."""
    return is_url(spec) and not spec.startswith(_SCHEMES)


def open_store(spec: str, *, log_limit: int = LOG_LIMIT) -> Store:
    """Open the store that the setting `store` names. Raises ConfigError.

    `log_limit`: bytes that the write-ahead log of an SQLite file may take, 0 for any number.

    It is `memory`, the path of an SQLite file, the URL of a PostgreSQL database, or one whose scheme another package knows.
    """
    if spec == "memory":
        return open_memory()
    if is_foreign(spec):
        make: StoreFactory = load_plugin(STORES, spec.partition("://")[0], "store")
        return make(spec)
    if is_url(spec):
        require_postgres(spec)
        return open_postgres(spec)
    return open_sqlite(spec, wal_limit=log_limit)


def open_memory(*, max_responses: int = 10_000, max_file_bytes: int = 1 << 30) -> Store:
    """Open a store in memory. Beyond `max_responses` the oldest are dropped; beyond `max_file_bytes` the oldest files."""
    from antiphon.stores.memory import (
        audit,
        batches,
        chats,
        containers,
        conversations,
        deliveries,
        files,
        jobs,
        keys,
        limits,
        responses,
        skills,
        uploads,
        usage,
        vector_stores,
        webhook_endpoints,
    )
    from antiphon.stores.memory.memory_database import MemoryDatabase

    database = MemoryDatabase()
    background = jobs.MemoryJobs(database)
    talks = conversations.MemoryConversations()
    return Store(
        responses=responses.MemoryResponses(database, talks, background, max_responses),
        audit=audit.MemoryAudit(),
        batches=batches.MemoryBatches(database),
        conversations=talks,
        jobs=background,
        files=files.MemoryFiles(database, max_file_bytes),
        deliveries=deliveries.MemoryDeliveries(database),
        chats=chats.MemoryChats(database),
        containers=containers.MemoryContainers(database),
        keys=keys.MemoryKeys(),
        limits=limits.MemoryLimits(database),
        skills=skills.MemorySkills(),
        uploads=uploads.MemoryUploads(database),
        usage=usage.MemoryUsage(),
        vector_stores=vector_stores.MemoryVectorStores(database),
        webhook_endpoints=webhook_endpoints.MemoryWebhookEndpoints(),
        database=database,
    )


def open_sqlite(path: str | Path, *, synchronous: Synchronous = "NORMAL", wal_limit: int = LOG_LIMIT) -> Store:
    """Open an SQLite file, making it where there is none. Raises ConfigError.

    `wal_limit`: bytes of the write-ahead log from which on writes are refused, 0 for never.
    """
    from antiphon.stores.sqlite import (
        audit,
        batches,
        chats,
        containers,
        conversations,
        deliveries,
        files,
        jobs,
        keys,
        limits,
        responses,
        skills,
        uploads,
        usage,
        vector_stores,
        webhook_endpoints,
    )
    from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

    database = SQLiteDatabase(path, synchronous=synchronous, wal_limit=wal_limit)
    return Store(
        responses=responses.SQLiteResponses(database),
        audit=audit.SQLiteAudit(database),
        batches=batches.SQLiteBatches(database),
        conversations=conversations.SQLiteConversations(database),
        jobs=jobs.SQLiteJobs(database),
        files=files.SQLiteFiles(database),
        deliveries=deliveries.SQLiteDeliveries(database),
        chats=chats.SQLiteChats(database),
        containers=containers.SQLiteContainers(database),
        keys=keys.SQLiteKeys(database),
        limits=limits.SQLiteLimits(database),
        skills=skills.SQLiteSkills(database),
        uploads=uploads.SQLiteUploads(database),
        usage=usage.SQLiteUsage(database),
        vector_stores=vector_stores.SQLiteVectorStores(database),
        webhook_endpoints=webhook_endpoints.SQLiteWebhookEndpoints(database),
        database=database,
    )


def open_postgres(url: str, *, patience: float | None = None) -> Store:
    """Open a PostgreSQL database; wait `patience` seconds for it, else as long as is usual. Raises ConfigError."""
    from antiphon.stores.postgres import (
        audit,
        batches,
        chats,
        containers,
        conversations,
        deliveries,
        files,
        jobs,
        keys,
        limits,
        responses,
        skills,
        uploads,
        usage,
        vector_stores,
        webhook_endpoints,
    )
    from antiphon.stores.postgres.postgres_database import PostgresDatabase

    database = PostgresDatabase(url, patience=patience)
    return Store(
        responses=responses.PostgresResponses(database),
        audit=audit.PostgresAudit(database),
        batches=batches.PostgresBatches(database),
        conversations=conversations.PostgresConversations(database),
        jobs=jobs.PostgresJobs(database),
        files=files.PostgresFiles(database),
        deliveries=deliveries.PostgresDeliveries(database),
        chats=chats.PostgresChats(database),
        containers=containers.PostgresContainers(database),
        keys=keys.PostgresKeys(database),
        limits=limits.PostgresLimits(database),
        skills=skills.PostgresSkills(database),
        uploads=uploads.PostgresUploads(database),
        usage=usage.PostgresUsage(database),
        vector_stores=vector_stores.PostgresVectorStores(database),
        webhook_endpoints=webhook_endpoints.PostgresWebhookEndpoints(database),
        database=database,
    )


def shared_secret(url: str) -> str:
    """Return the secret that seals reasoning and that all servers on a database share. Raises ConfigError."""
    if is_foreign(url):
        raise ConfigError("secret: must be set, as a store of this kind keeps none for its servers")
    require_postgres(url)
    from antiphon.stores.postgres.connection.address import read_address
    from antiphon.stores.postgres.connection.preparation import sealing_secret

    return sealing_secret(read_address(url))


def require_postgres(url: str) -> None:
    """Check that a URL names PostgreSQL, and that its driver is installed. Raises ConfigError."""
    if not url.startswith(_SCHEMES):
        raise ConfigError(f"store: '{url.partition('://')[0]}://' is not supported; expected a file or postgresql://…")
    try:
        import asyncpg  # noqa: F401
    except ModuleNotFoundError:
        raise ConfigError("A store in PostgreSQL needs an extra: pip install 'antiphon[postgres]'") from None
