"""What PostgreSQL's and the driver's errors say about the server, and which of them may pass when a call is made again."""

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
    """All connections of the pool are in use, and none was given back in time."""


def reason_of(error: Exception) -> Reason | None:
    """Return why the store failed; None where it is well and the error is a mistake of ours."""
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
    """Tell whether an error says of itself that the store is away; after others a probe decides."""
    return not isinstance(error, (BusyError, TimeoutError, *LOCKED, *CONFLICTS))
