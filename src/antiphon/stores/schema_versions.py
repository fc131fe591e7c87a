"""Schemas and which versions of Antiphon can work with them.

A migration only adds: tables, columns with a default or NULL, indexes. What an older version reads or writes is taken
away by a later migration, which begins with `-- alone`: no older version may run then, and none can start afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.errors import ConfigError

ALONE = "-- alone"


def oldest(scripts: Sequence[str]) -> int:
    """Return the oldest schema whose version of Antiphon can work with what all of these migrations have made."""
    return max((number for number, script in enumerate(scripts, 1) if script.startswith(ALONE)), default=1)


def needs_alone(scripts: Sequence[str], version: int) -> bool:
    """Tell whether the migrations that a store of this version lacks take something away from older versions."""
    return version > 0 and any(script.startswith(ALONE) for script in scripts[version:])


def check(shown: str, version: int, newest: int, oldest: int | None) -> None:
    """Refuse a store that a newer version has made unusable for this one; `oldest` is what it says of itself.

    Raises ConfigError.
    """
    if version > newest and (oldest is None or oldest > newest):
        raise ConfigError(
            f"The store {shown} was written by a newer version of Antiphon (schema {version}; this one knows {newest})."
            " Update Antiphon, or name another store."
        )
