"""`antiphon db`: status, migrate, vacuum, backup, restore, detach, check, export and erase, for any store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from antiphon.errors import ConfigError
from antiphon.stores.open import is_url, require_postgres
from antiphon.stores.status import StoreStatus


def status(spec: str) -> StoreStatus:
    """Look at a store without changing it. Raises ConfigError."""
    if is_url(spec):
        require_postgres(spec)
        from antiphon.stores.postgres.connection import upkeep as postgres

        return postgres.status(spec)
    from antiphon.stores.sqlite.disk import upkeep as sqlite

    return sqlite.status(_path(spec))


def migrate(spec: str) -> None:
    """Bring a store to the newest schema, making it where there is none. Raises ConfigError."""
    if is_url(spec):
        require_postgres(spec)
        from antiphon.stores.postgres.connection.address import read_address
        from antiphon.stores.postgres.connection.preparation import prepare

        prepare(read_address(spec))
    else:
        from antiphon.stores.sqlite.database import open_database

        open_database(_path(spec)).close()


def vacuum(spec: str) -> None:
    """Vacuum a store: free the space of deleted rows and erase their text. Raises ConfigError."""
    if is_url(spec):
        require_postgres(spec)
        from antiphon.stores.postgres.connection import upkeep as postgres

        postgres.vacuum(spec)
    else:
        from antiphon.stores.sqlite.disk import upkeep as sqlite

        sqlite.vacuum(_path(spec))


class Detached(msgspec.Struct, frozen=True):
    """Numbers of background responses and batches, and of deliveries that `detach` ended."""

    runs: int
    deliveries: int


def detach(spec: str) -> Detached:
    """Detach a copy of a store: cancel its open background responses and batches, and drop its pending webhooks.

    Raises ConfigError.
    """
    if is_url(spec):
        require_postgres(spec)
        from antiphon.stores.postgres.connection import upkeep as postgres

        return Detached(*postgres.detach(spec))
    from antiphon.stores.sqlite.disk import upkeep as sqlite

    return Detached(*sqlite.detach(_path(spec)))


def backup(spec: str, target: Path, progress: Callable[[int, int], None]) -> None:
    """Copy an SQLite store and its secret into a file, while servers may run; told of pages copied. Raises ConfigError."""
    _refuse_postgres(spec)
    from antiphon.stores.sqlite.disk import backup as sqlite

    sqlite.backup(_path(spec), target, progress)


def restore(source: Path, spec: str, progress: Callable[[int, int], None], *, keep_work: bool) -> Detached:
    """Make an SQLite store of a backup; unless `keep_work`, the copy is detached. Raises ConfigError."""
    _refuse_postgres(spec)
    from antiphon.stores.sqlite.disk import backup as sqlite

    return Detached(*sqlite.restore(source, _path(spec), progress, keep_work=keep_work))


def export(spec: str, owner: str, write: Callable[[bytes], object]) -> Mapping[str, int]:
    """Write all that belongs to an owner, a JSON line for each row; return rows by table. Raises ConfigError."""
    if is_url(spec):
        require_postgres(spec)
        from antiphon.stores.postgres.connection import owned as postgres

        return postgres.export(spec, owner, write)
    from antiphon.stores.sqlite.disk import owned as sqlite

    return sqlite.export(_path(spec), owner, write)


def erase(spec: str, owner: str) -> Mapping[str, int]:
    """Delete all that belongs to an owner; return rows by table. Raises ConfigError."""
    if is_url(spec):
        require_postgres(spec)
        from antiphon.stores.postgres.connection import owned as postgres

        return postgres.erase(spec, owner)
    from antiphon.stores.sqlite.disk import owned as sqlite

    return sqlite.erase(_path(spec), owner)


def _refuse_postgres(spec: str) -> None:
    if is_url(spec):
        raise ConfigError(
            "PostgreSQL is backed up with its own tools, while servers run: pg_dump --format=custom --file=FILE URL; after"
            " pg_restore run `antiphon db detach` on the copy if the original stays in use."
        )


def check(spec: str) -> str | None:
    """Read a whole SQLite file and return what is damaged in it, None where nothing is. Raises ConfigError."""
    if is_url(spec):
        raise ConfigError("PostgreSQL checks its own files: see pg_amcheck and data checksums.")
    from antiphon.stores.sqlite.disk import upkeep as sqlite

    return sqlite.check(_path(spec))


def _path(spec: str) -> Path:
    if spec == "memory":
        raise ConfigError("A store in memory ends with its server: it has no file or database to manage.")
    return Path(spec).expanduser()
