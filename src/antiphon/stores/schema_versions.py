"""Versions of the schema, and which versions of Antiphon can work with them.

A migration only adds: tables, columns with a default or NULL, indexes. A migration that removes what an
older version reads or writes begins with `-- alone`: it runs only while no older version does, and none starts afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.errors import ConfigError

ALONE = "-- alone"


def oldest(scripts: Sequence[str]) -> int:
    """Return the oldest schema whose version of Antiphon can use the database after all of these migrations."""
    return max((number for number, script in enumerate(scripts, 1) if script.startswith(ALONE)), default=1)


def needs_alone(scripts: Sequence[str], version: int) -> bool:
    """Tell whether one of the missing migrations must run alone."""
    return version > 0 and any(script.startswith(ALONE) for script in scripts[version:])


def check(shown: str, version: int, newest: int, oldest: int | None) -> None:
    """Refuse a store whose schema needs a newer version; `oldest` is the oldest schema version that it declares compatible.

    Raises ConfigError.
    """
    if version > newest and (oldest is None or oldest > newest):
        raise ConfigError(
            f"The store {shown} was written by a newer version of Antiphon (schema {version}; this one knows {newest})."
            " Update Antiphon, or name another store."
        )
