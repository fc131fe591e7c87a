"""`antiphon db backup` and `restore` for SQLite: whole copies of a file and of the secret beside it, while servers run."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from antiphon.errors import ConfigError
from antiphon.stores.sqlite.database import damage
from antiphon.stores.sqlite.disk.upkeep import detach

PAGES = 2_000
"""Pages that are copied at a time: writers wait for no longer than that takes."""

Progress = Callable[[int, int], None]
"""Told the pages that are copied, and how many there are."""


def backup(store: Path, target: Path, progress: Progress) -> None:
    """Copy a store, as it was at one moment, and its secret. Raises ConfigError; a copy that breaks off leaves nothing."""
    if not store.is_file():
        raise ConfigError(f"Store not found: {store}.")
    _copy(store, target, progress)
    _copy_secret(store, target)


def restore(source: Path, store: Path, progress: Progress, *, keep_work: bool) -> tuple[int, int]:
    """Put a copy and its secret where no store is.

    Unless `keep_work`, its open background responses are cancelled and its pending webhooks dropped, so that a copy of a store in
    use does nothing twice; returns the numbers of both. Raises ConfigError.
    """
    if not source.is_file():
        raise ConfigError(f"Backup not found: {source}.")
    secret = store.with_suffix(".key")
    if secret.exists() and source.with_suffix(".key").exists():
        raise ConfigError(f"{secret} is there already: move it away first, with its store.")
    _copy(source, store, progress)
    _copy_secret(source, store)
    return (0, 0) if keep_work else detach(store)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    """Copy a database by SQLite's online backup; the copy is checked, and appears whole."""
    if target.exists():
        raise ConfigError(f"{target} is there already: move it away first.")
    new = target.with_name(f"{target.name}.new")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600))
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as there,
            closing(sqlite3.connect(new)) as here,
        ):
            there.backup(here, pages=PAGES, progress=lambda _, left, total: progress(total - left, total), sleep=0.01)
            if (found := damage(here, math.inf)) is not None:
                raise ConfigError(f"{source} is damaged, and is not copied: {' '.join(found.split())}.")
        _flush(new)
        os.rename(new, target)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"{source} cannot be copied to {target}: {error}.") from None
    finally:
        for left in (new, *(new.with_name(new.name + end) for end in ("-wal", "-shm", "-journal"))):
            with suppress(OSError):
                left.unlink()


def _copy_secret(source: Path, target: Path) -> None:
    """Copy the secret that seals reasoning, where there is one: without it what clients keep could not be opened."""
    secret, target_key = source.with_suffix(".key"), target.with_suffix(".key")
    if not secret.is_file():
        return
    try:
        with (
            open(target_key, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as new,
            secret.open("rb") as old,
        ):
            shutil.copyfileobj(old, new)
    except OSError as error:
        raise ConfigError(f"{secret} cannot be copied to {target_key}: {error.strerror}.") from None


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
