"""Shapes of settings: value, table, or tables by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from functools import cache
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Meta

from antiphon.config.tables import Settings, is_secret


class SettingKind(Enum):
    """A value, a table of settings, or tables of settings by name."""

    VALUE = auto()
    TABLE = auto()
    TABLES = auto()


class Shape(msgspec.Struct, frozen=True):
    """A setting. `annotation` holds its constraints; `table` is the struct of a TABLE or of TABLES."""

    name: str
    kind: SettingKind
    annotation: Any
    description: str
    default: Any
    secret: bool
    table: type[Settings] | None = None


@cache
def shapes(struct: type[Settings]) -> Sequence[Shape]:
    """Return the settings of a table, in order. To read annotations takes long: each table's are read once."""
    return tuple(_shapes(struct))


def _shapes(struct: type[Settings]) -> Iterator[Shape]:
    for field in msgspec.structs.fields(struct):
        bare, note = _bare(field.type)
        kind, table = _kind(bare)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        yield Shape(
            field.name,
            kind,
            field.type,
            (note.description or "") if note else "",
            default,
            is_secret(field.type),
            table,
        )


def bare_type(annotation: Any) -> Any:
    """Return an annotation without its notes."""
    return _bare(annotation)[0]


def _bare(annotation: Any) -> tuple[Any, Meta | None]:
    if get_origin(annotation) is not Annotated:
        return annotation, None
    bare, *notes = get_args(annotation)
    return bare, next((note for note in notes if isinstance(note, Meta)), None)


def _kind(bare: Any) -> tuple[SettingKind, type[Settings] | None]:
    arguments = get_args(bare) or (bare,)
    table = next((argument for argument in arguments if _is_table(argument)), None)
    if table is None:
        return SettingKind.VALUE, None
    return (SettingKind.TABLES if get_origin(bare) is dict else SettingKind.TABLE), table


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Settings)
