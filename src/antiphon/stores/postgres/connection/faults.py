"""Errors of PostgreSQL and of the driver by reason, and which of them are worth a retry."""

from __future__ import annotations

import asyncpg

from antiphon.errors import AntiphonError
from antiphon.stores.condition import Reason

CONFLICTS = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InvalidCachedStatementError,  # another server has migrated the tables
)
LOCKED = (
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,  # the server's statement_timeout
)
SCHEMA = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError)
AWAY = (
    OSError,  # TimeoutError too
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,  # it shuts down or starts
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresIOError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,  # the connection broke off in the middle of preparing a statement
    asyncpg.ReadOnlySQLTransactionError,  # another server is the primary by now
)
FAULTS = (*AWAY, *CONFLICTS, *LOCKED, *SCHEMA)


class BusyError(AntiphonError):
    """No connection of the pool became free in time."""


def reason_of(error: Exception) -> Reason | None:
    """Return the reason why the store failed; None if the error is a bug of this program."""
    if isinstance(error, asyncpg.InterfaceError) and "closed" not in str(error):
        return None
    match error:
        case BusyError() | asyncpg.TooManyConnectionsError():
            return "busy"
        case asyncpg.ReadOnlySQLTransactionError():
            return "read_only"
        case asyncpg.DiskFullError():
            return "full"
        case asyncpg.PostgresIOError():
            return "io_error"
        case asyncpg.DataCorruptedError() | asyncpg.IndexCorruptedError():
            return "corrupt"
    if isinstance(error, (*LOCKED, *CONFLICTS)):
        return "locked"
    if isinstance(error, SCHEMA):
        return "schema"
    return "unreachable" if isinstance(error, AWAY) else None


def is_certain(error: Exception) -> bool:
    """Tell whether an error proves that the store is unavailable; after other errors a probe decides."""
    return not isinstance(error, (BusyError, TimeoutError, *LOCKED, *CONFLICTS))
