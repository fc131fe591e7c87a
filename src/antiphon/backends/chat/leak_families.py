"""`[leaks.NAME]` of the configuration → families of leaked calls, and the names of families that settings use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from antiphon.config import LeakConfig
from antiphon.config.reading import nearest, quoted
from antiphon.core.text.leaks import NAMES, Families, Row
from antiphon.errors import ConfigError


def configured_families(tables: Mapping[str, LeakConfig]) -> dict[str, tuple[Row, ...]]:
    """Return the families of `[leaks.NAME]`. Raises ConfigError."""
    return {name: (_row(name, table),) for name, table in tables.items()}


def _row(name: str, table: LeakConfig) -> Row:
    path = f"leaks.{quoted(name)}"
    if name in NAMES:
        raise ConfigError(f"{path}: '{name}' is a built-in format; choose another name")
    if table.shape == "markup":
        for field in ("closer", "parameter", "key_end", "value_end"):
            if not getattr(table, field):
                raise ConfigError(f"{path}.{field}: the shape 'markup' needs it")
    fields = msgspec.structs.asdict(table)
    return msgspec.convert(fields, Row)


def check_names(names: Iterable[str], own: Families, path: str) -> None:
    """Raise ConfigError for a name that is no family's."""
    for name in names:
        if name not in NAMES and name not in own:
            known = [*NAMES, *own]
            raise ConfigError(f"{path}: unknown format '{name}'{nearest(name, known)}")
