"""docs/configuration.md and the JSON Schema of the file, made from the structs of `config`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Literal, get_args, get_origin

import msgspec

from antiphon.config.environment import SHORTCUTS, variable_of
from antiphon.config.shapes import SettingKind, Shape, bare_type, shapes
from antiphon.config.shortcuts import FLAGS
from antiphon.config.structs import Config
from antiphon.config.tables import Settings

_SHORTCUT_OF = {path: f"ANTIPHON_{name}" for name, path in SHORTCUTS.items()}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the TOML file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "antiphon.toml",
        **msgspec.json.schema(Config),
    }


def page() -> str:
    """Return docs/configuration.md."""
    intro = files("antiphon.config").joinpath("configuration.md").read_text(encoding="utf-8")
    tables = "\n".join(_table(heading, struct, path) for heading, struct, path in _tables())
    return f"{intro}\n{tables}"


def _tables(struct: type[Settings] = Config, path: str = "") -> Iterator[tuple[str, type[Settings], str]]:
    yield f"[{path}]" if path else "Server", struct, path
    for shape in shapes(struct):
        if shape.table is not None:
            yield from _tables(shape.table, _table_path(shape, path))


def _table_path(shape: Shape, table: str) -> str:
    path = f"{table}.{shape.name}" if table else shape.name
    return f"{path}.NAME" if shape.kind is SettingKind.TABLES else path


def _table(heading: str, struct: type[Settings], path: str) -> str:
    title = heading if not path else f"`{heading}`"
    lines = [f"### {title}", "", (struct.__doc__ or "").strip(), "", "| setting | type | default | meaning |"]
    lines += ["|---|---|---|---|", *(_row(shape, path) for shape in shapes(struct)), ""]
    return "\n".join(lines)


def _row(shape: Shape, table: str) -> str:
    if shape.table is not None:
        return f"| `{shape.name}` | table |  | {shape.description} See `[{_table_path(shape, table)}]`. |"
    path = f"{table}.{shape.name}" if table else shape.name
    also = [f"`{name}`" for name in (FLAGS.get(path), _SHORTCUT_OF.get(path) or variable_of(path)) if name]
    cells = [
        f"`{shape.name}`<br>{' '.join(also)}",
        type_name(shape.annotation),
        _default(shape),
        shape.description.replace("<", "&lt;"),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def type_name(annotation: Any) -> str:
    """Return a type in words that people who don't write Python know."""
    bare = bare_type(annotation)
    arguments = [bare_type(argument) for argument in get_args(bare)]
    if get_origin(bare) is Literal:
        return " ".join(f"`{value}`" for value in arguments)
    if get_origin(bare) is list:
        return f"list of {'strings' if arguments == [str] else 'tables'}"
    if get_origin(bare) is dict:
        return "table"
    names = {str: "string", int: "integer", float: "number", bool: "true/false"}
    return next(names[one] for one in (bare, *arguments) if one in names)


def _default(shape: Shape) -> str:
    if shape.default is msgspec.NODEFAULT:
        return "*required*"
    if shape.default in (None, "", [], {}):
        return ""
    return f"`{msgspec.json.encode(shape.default).decode()}`"
