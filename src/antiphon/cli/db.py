"""`antiphon db`: status, path, migrate, vacuum, check, backup, restore, detach, import, export, erase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.options import PARTS, SERVER, load_settings, with_options
from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antiphon.access.audit import AuditAction
    from antiphon.config import Config
    from antiphon.stores.status import StoreStatus

_STORE = [option for option in (*SERVER, *PARTS) if option.name in ("store", "config")]
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@click.group()
def db() -> None:
    """Manage the store: an SQLite file or a PostgreSQL database."""


@with_options(*_STORE)
@db.command()
def status(**given: Any) -> None:
    """Print the store's schema and sizes, without changing it.

    \b
    Examples:
      antiphon db status
      antiphon db status --store postgresql://antiphon@db/antiphon
    """
    from antiphon.stores import upkeep

    found = upkeep.status(load_settings(given).config.store)
    click.echo(f"{'store':<22}{found.shown}")
    click.echo(f"{'schema':<22}{_schema(found)}")
    click.echo(f"{'size':<22}{_size(found.bytes)}")
    about = "about " if found.estimated else ""
    for table in found.tables:
        size = "" if table.bytes is None else f"  {_size(table.bytes):>10}"
        click.echo(f"  {table.name:<20}{about + str(table.rows):>18} rows{size}")


@with_options(*_STORE)
@db.command()
def migrate(**given: Any) -> None:
    """Migrate the store to the newest schema. `antiphon serve` does this at its start, too."""
    from antiphon.stores import upkeep

    spec = load_settings(given).config.store
    before = upkeep.status(spec).schema
    upkeep.migrate(spec)
    after = upkeep.status(spec)
    click.echo(f"{after.shown}: schema {before} → {after.schema}" if before != after.schema else _newest(after))


@with_options(*_STORE)
@db.command()
def vacuum(**given: Any) -> None:
    """Free the disk space of deleted rows (VACUUM)."""
    from antiphon.stores import upkeep

    spec = load_settings(given).config.store
    before = upkeep.status(spec).bytes
    upkeep.vacuum(spec)
    click.echo(f"{_size(before)} → {_size(upkeep.status(spec).bytes)}")


@with_options(*_STORE)
@db.command()
def check(**given: Any) -> None:
    """Check the whole SQLite file for damage. Servers may keep running."""
    from antiphon.stores import upkeep

    spec = load_settings(given).config.store
    found = upkeep.check(spec)
    if found is not None:
        raise ConfigError(f"The store {spec} is damaged: {' '.join(found.split())}.")
    click.echo(f"{spec}: nothing is damaged")


@with_options(*_STORE)
@db.command()
def path(**given: Any) -> None:
    """Print where the store is: the SQLite file, or the database's address without its password."""
    from antiphon.config import mask

    click.echo(mask(load_settings(given).config.store))


@with_options(*_STORE)
@db.command()
@click.argument("target", metavar="FILE")
def backup(target: str, **given: Any) -> None:
    """Copy the SQLite store into FILE, and the secret beside it into FILE's .key. Servers may keep running.

    The copy is the store as it was at one moment; it is checked before it appears.

    \b
    Examples:
      antiphon db backup /backup/antiphon-$(date +%F).db
      antiphon db backup copy.db --store antiphon.db
    """
    from pathlib import Path

    from antiphon.stores import upkeep

    with _Bars() as bars:
        upkeep.backup(
            load_settings(given).config.store,
            Path(target).expanduser(),
            lambda done, total: bars.show("pages", done, total),
        )
    click.echo(f"{target}: a whole copy")


@with_options(*_STORE)
@db.command()
@click.argument("source", metavar="FILE")
@click.option(
    "--keep-work",
    is_flag=True,
    help="Let background responses go on and webhooks be sent: the original is not used any more.",
)
def restore(source: str, keep_work: bool, **given: Any) -> None:
    """Make the store from a backup. The store must not be there yet.

    Background responses that had not ended are cancelled and pending webhook events dropped, as the original may still do
    that work: --keep-work leaves both.

    \b
    Examples:
      antiphon db restore /backup/antiphon-2030-01-01.db
      antiphon db restore copy.db --store /srv/antiphon.db --keep-work
    """
    from pathlib import Path

    from antiphon.stores import upkeep

    store = load_settings(given).config.store
    with _Bars() as bars:
        found = upkeep.restore(
            Path(source).expanduser(), store, lambda done, total: bars.show("pages", done, total), keep_work=keep_work
        )
    click.echo(
        f"{store}: restored; {found.runs} background responses are cancelled, {found.deliveries} webhook events dropped"
    )


@with_options(*_STORE)
@db.command()
def detach(**given: Any) -> None:
    """Drop pending work from a copy of a store, such as a restored dump.

    Background responses that have not ended are cancelled when a server starts on the copy; pending webhook events are dropped.
    """
    from antiphon.stores import upkeep

    found = upkeep.detach(load_settings(given).config.store)
    click.echo(
        f"{found.runs} background responses and batches are cancelled, {found.deliveries} webhook events are dropped"
    )


@db.command("import")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def import_(source: str, target: str) -> None:
    """Copy an SQLite store into a PostgreSQL database.

    Stop the server of the SQLite store first. Rows that the database already has are kept. An interrupted
    import continues when it is started again.

    \b
    Example:
      antiphon db import ~/.local/share/antiphon/antiphon.db postgresql://antiphon@db/antiphon
    """
    from pathlib import Path

    from antiphon.stores.open import require_postgres

    require_postgres(target)
    from antiphon.stores.postgres.connection.address import read_address
    from antiphon.stores.postgres.imports.importing import import_sqlite

    with _Bars() as bars:
        import_sqlite(Path(source).expanduser(), read_address(target), bars.show)


@with_options(*_STORE)
@db.command()
@click.option("--owner", required=True, metavar="NAME", help="Owner of the objects, as in `antiphon keys list`.")
@click.argument("target", metavar="FILE")
def export(owner: str, target: str, **given: Any) -> None:
    """Write all that the store has of an owner into FILE: a line of JSON for each row. Servers may keep running.

    Keys are without their digests, webhook endpoints without their secrets; bytes of files are in base64.

    \b
    Examples:
      antiphon db export --owner ann ann.jsonl
      antiphon db export --owner ann ann.jsonl --store postgresql://antiphon@db/antiphon
    """
    import os
    from contextlib import suppress
    from pathlib import Path

    from antiphon.stores import upkeep

    config, file = _opened_config(given), Path(target).expanduser()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"FILE: {file} cannot be made: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as written:
            _record(config, "owner.exported", owner)
            counts = upkeep.export(config.store, owner, written.write)
    except BaseException:
        with suppress(OSError):
            file.unlink()
        raise
    click.echo(_counted(counts, f"No object of the owner {owner!r} is in the store."))


@with_options(*_STORE)
@db.command()
@click.option("--owner", required=True, metavar="NAME", help="Owner of the objects, as in `antiphon keys list`.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(owner: str, yes: bool, **given: Any) -> None:
    """Delete all that the store has of an owner, keys and usage included. Servers may keep running.

    Take the owner's keys out of the configuration first: a request that is still being answered stores its answer afterwards. The
    audit log stays. A backup still has what was deleted.

    \b
    Examples:
      antiphon db erase --owner ann
      antiphon db erase --owner ann --yes --store postgresql://antiphon@db/antiphon
    """
    from antiphon.config import mask
    from antiphon.stores import upkeep

    config = _opened_config(given)
    if not yes:
        click.confirm(f"Delete all objects, keys and usage of the owner {owner!r} in {mask(config.store)}?", abort=True)
    _record(config, "owner.erased", owner)
    click.echo(_counted(upkeep.erase(config.store, owner), f"No object of the owner {owner!r} is in the store."))


def _opened_config(given: dict[str, Any]) -> Config:
    """Return the settings, whose store exists. Raises ConfigError."""
    from antiphon.stores import upkeep

    config = load_settings(given).config
    if not upkeep.status(config.store).schema:
        raise ConfigError(f"Store not found: {config.store}.")
    return config


def _record(config: Config, action: AuditAction, owner: str) -> None:
    """Write an entry of the audit log."""
    import asyncio

    from antiphon.cli.keys import this_person
    from antiphon.composition.access import AccessParts
    from antiphon.stores.open import open_store

    async def write() -> None:
        store = open_store(config.store)
        try:
            await AccessParts(store, config).audit.record(action, this_person(), owner, {})
        finally:
            await store.close()

    asyncio.run(write())


def _counted(counts: Mapping[str, int], none: str) -> str:
    lines = [f"{table:<20}{count:>12} rows" for table, count in counts.items() if count]
    return "\n".join(lines) or none


class _Bars:
    """A progress bar for each noun."""

    def __init__(self) -> None:
        self._noun = ""
        self._bar: Any = None
        self._done = 0

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def show(self, noun: str, done: int, total: int) -> None:
        """Show how far a noun has come."""
        if noun != self._noun:
            self._end()
            self._noun, self._done = noun, 0
            self._bar = click.progressbar(length=total, label=f"{noun:<20}", show_pos=True)
            self._bar.__enter__()
        self._bar.update(done - self._done)
        self._done = done

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None


def _schema(found: StoreStatus) -> str:
    if found.schema == found.newest:
        return f"{found.schema} (the newest)"
    return f"{found.schema or 'none yet'} (the newest is {found.newest}: antiphon db migrate)"


def _newest(found: StoreStatus) -> str:
    return f"{found.shown}: schema {found.schema} is the newest"


def _size(count: float) -> str:
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.1f} {_UNITS[unit]}" if unit else f"{count:.0f} bytes"
