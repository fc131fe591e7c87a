"""Layers of tables, the strongest first → one struct of `config`, and where each value came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from msgspec import NODEFAULT

from antiphon.config.layers import Layer
from antiphon.config.shapes import SettingKind, Shape, shapes
from antiphon.config.tables import Settings
from antiphon.config.values import convert
from antiphon.errors import ConfigError

S = TypeVar("S", bound=Settings)
Parts = Sequence[tuple[Layer, Any]]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or an empty string where nothing is near."""
    from difflib import get_close_matches

    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{found[0]}'?" if found else ""


class Reader:
    """Reads structs. `origins` says where each value came from that is not a default, by key path."""

    def __init__(self) -> None:
        self.origins: dict[str, str] = {}

    def read(self, struct: type[S], parts: Parts, path: str = "") -> S:
        """Return the struct that the parts describe. Raises ConfigError that names the source and the key path."""
        known = shapes(struct)
        for layer, table in parts:
            _check_names(layer, table, [shape.name for shape in known], path)
        given: dict[str, Any] = {}
        for shape in known:
            values = [(layer, table[shape.name]) for layer, table in parts if shape.name in table]
            if values:
                given[shape.name] = self._setting(shape, values, f"{path}{shape.name}")
        try:
            return struct(**given)
        except TypeError:
            missing = next(shape.name for shape in known if shape.name not in given and not _optional(shape))
            raise ConfigError(f"{parts[0][0].name}: {path}{missing} is missing") from None

    def _setting(self, shape: Shape, values: Parts, path: str) -> Any:
        if shape.table is None:
            return self._value(shape, values[0], path)
        if shape.kind is SettingKind.TABLE:
            return self.read(shape.table, values, f"{path}.")
        for layer, tables in values:
            _check_table(layer, tables, path)
        names = list(dict.fromkeys(name for _, tables in reversed(values) for name in tables))
        return {
            name: self.read(
                shape.table,
                [(layer, tables[name]) for layer, tables in values if name in tables],
                f"{path}.{quoted(name)}.",
            )
            for name in names
        }

    def _value(self, shape: Shape, part: tuple[Layer, Any], path: str) -> Any:
        layer, raw = part
        value, text = layer.resolve(raw, path)
        origin = layer.origin(path)
        try:
            converted = convert(value, shape.annotation, text=text)
        except ValueError as error:
            raise ConfigError(f"{origin}: {path}: {error}") from None
        self.origins[path] = origin
        return converted


def quoted(name: str) -> str:
    """Return a name as TOML writes it in a key path."""
    return name if name.replace("-", "").replace("_", "").isalnum() else f'"{name}"'


def _optional(shape: Shape) -> bool:
    return shape.default is not NODEFAULT


def _check_names(layer: Layer, table: Any, known: Sequence[str], path: str) -> None:
    _check_table(layer, table, path.rstrip("."))
    for name in table:
        if name not in known:
            raise ConfigError(f"{layer.name}: unknown setting '{path}{name}'{nearest(name, known)}")


def _check_table(layer: Layer, table: Any, path: str) -> None:
    if not isinstance(table, dict):
        raise ConfigError(f"{layer.origin(path)}: {path}: expected a table")
