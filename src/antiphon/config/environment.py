"""`ANTIPHON_…` variables → settings: `ANTIPHON_PORT`, `ANTIPHON_ENGINE_CONTEXT`, `ANTIPHON_BACKENDS_VLLM_KEY`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from antiphon.config.layers import Layer
from antiphon.config.reading import quoted
from antiphon.config.shapes import SettingKind, Shape, shapes
from antiphon.config.shortcuts import backend_tables
from antiphon.config.structs import Config
from antiphon.config.tables import Settings
from antiphon.errors import ConfigError

PREFIX = "ANTIPHON_"
SHORTCUTS = {"BACKEND": "backend", "BACKEND_KEY": "backend_key", "BACKEND_API": "backend_api", "MODEL": "engine.model"}
API_KEY = "API_KEY"
"""One key for both sides: a server takes it as its `api_keys`, the commands that talk to a server send it."""
OTHERS = ("CONFIG", "URL", API_KEY, "KEY")
"""Not settings of a server: the file to read, and what `antiphon chat` and `models` talk to (`KEY`: as it was called before)."""

_KUBERNETES = re.compile(r"(\w+_)?SERVICE_(HOST|PORT)(_\w+)?|(\w+_)?PORT_\d+_(TCP|UDP)(_\w+)?")
KeyPath = tuple[str, ...]


def environment(variables: Mapping[str, str], names: Mapping[str, Sequence[str]]) -> Layer:
    """Return the layer of the environment. `names` holds the tables that the file has, by setting (`backends` …).

    Raises ConfigError for a variable that is nearly, but not quite, a setting. What Kubernetes sets for a service
    called `antiphon` is left alone.
    """
    table: dict[str, Any] = {}
    origins: dict[str, str] = {}
    paths = dict(_paths())
    for variable, value in variables.items():
        name = variable.removeprefix(PREFIX)
        if name == variable or name in SHORTCUTS or name in OTHERS or _is_kubernetes(name, value):
            continue
        path = paths.get(name) or _named(name, names)
        if path is None:
            _refuse_typo(variable, [*paths, *SHORTCUTS, *OTHERS])
            continue
        _put(table, path, value)
        origins[".".join(quoted(step) for step in path)] = f"environment {variable}"
    _shortcuts(variables, table, origins)
    return Layer(name="environment", table=table, origins=origins, text=True)


def variable_of(path: str) -> str:
    """Return the variable of a key path."""
    return PREFIX + path.upper().replace(".", "_")


def _shortcuts(variables: Mapping[str, str], table: dict[str, Any], origins: dict[str, str]) -> None:
    given = {name: _split(variables.get(PREFIX + name, "")) for name in SHORTCUTS}
    backends = backend_tables(
        given["BACKEND"], given["BACKEND_KEY"], given["BACKEND_API"], f"environment {PREFIX}BACKEND"
    )
    for name, fields in backends.items():
        table.setdefault("backends", {}).setdefault(name, {}).update(fields)
        for field in fields:
            suffix = "" if field == "url" else f"_{field.upper()}"
            origins[f"backends.{quoted(name)}.{field}"] = f"environment {PREFIX}BACKEND{suffix}"
    if (key := variables.get(f"{PREFIX}{API_KEY}")) and "api_keys" not in table:
        table["api_keys"] = [key]
        origins["api_keys"] = f"environment {PREFIX}{API_KEY}"
    if model := variables.get(f"{PREFIX}MODEL"):
        table.setdefault("engine", {}).setdefault("model", model)
        origins.setdefault("engine.model", f"environment {PREFIX}MODEL")


def _paths(table: type[Settings] = Config, above: KeyPath = ()) -> Iterator[tuple[str, KeyPath]]:
    """Return variable names without prefix, and the settings that they mean, for all that need no table's name."""
    for shape in shapes(table):
        path = (*above, shape.name)
        if shape.kind is SettingKind.VALUE:
            yield "_".join(path).upper(), path
        elif shape.kind is SettingKind.TABLE and shape.table is not None:
            yield from _paths(shape.table, path)


def _named(name: str, names: Mapping[str, Sequence[str]]) -> KeyPath | None:
    """Find `BACKENDS_VLLM_KEY`; the table may be one of the file, written there with other characters."""
    for shape in shapes(Config):
        prefix = f"{shape.name.upper()}_"
        if shape.kind is not SettingKind.TABLES or not name.startswith(prefix):
            continue
        for field in sorted(_fields(shape), key=len, reverse=True):
            middle = name[len(prefix) :].removesuffix(f"_{field.upper()}")
            if middle and middle != name[len(prefix) :]:
                known = {_plain(table): table for table in names.get(shape.name, ())}
                return shape.name, known.get(_plain(middle), middle.lower()), field
    return None


def _fields(shape: Shape) -> list[str]:
    assert shape.table is not None
    return [field.name for field in shapes(shape.table)]


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _put(table: dict[str, Any], path: KeyPath, value: str) -> None:
    *tables, name = path
    for step in tables:
        table = table.setdefault(step, {})
    table[name] = value


def _split(text: str) -> list[str]:
    return [item for item in re.split(r"[,\s]+", text) if item]


def _is_kubernetes(name: str, value: str) -> bool:
    return _KUBERNETES.fullmatch(name) is not None or (name == "PORT" and "://" in value)


def _refuse_typo(variable: str, known: Sequence[str]) -> None:
    from difflib import get_close_matches

    found = get_close_matches(variable, [PREFIX + name for name in known], n=1, cutoff=0.85)
    if found:
        raise ConfigError(f"environment: unknown setting '{variable}'; did you mean '{found[0]}'?")
