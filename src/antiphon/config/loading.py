"""Load all settings: flags > environment > one TOML file > defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from antiphon.config.environment import environment
from antiphon.config.layers import Layer
from antiphon.config.reading import Reader, quoted
from antiphon.config.rules import check
from antiphon.config.sections.engine import EngineConfig
from antiphon.config.shortcuts import FLAGS, backend_tables, nested
from antiphon.config.structs import DEFAULT_STORE, Config
from antiphon.errors import ConfigError

FILE = "antiphon.toml"
DEMO = "antiphon-demo"


class Loaded(msgspec.Struct, frozen=True):
    """The settings of a server; `origins` says where each came from, by key path, but for defaults."""

    config: Config
    origins: Mapping[str, str]
    file: Path | None


def load(flags: Mapping[str, Any], variables: Mapping[str, str], folder: Path = Path()) -> Loaded:
    """Return the settings, checked.

    `flags` are values by key path (`engine.context`), and the shortcuts `config`, `backend`, `backend_key`,
    `backend_api`. `folder` is where `antiphon.toml` is looked for. Raises ConfigError.
    """
    file = _file(flags, variables, folder)
    stored = _file_layer(file, variables) if file else None
    names = {name: list(table) for name, table in (stored.table if stored else {}).items() if isinstance(table, dict)}
    layers = [_flag_layer(flags), environment(variables, names), *([stored] if stored else [])]
    reader = Reader()
    config = reader.read(Config, [(layer, layer.table) for layer in layers])
    complete(config, variables)
    check(config)
    return Loaded(config, reader.origins, file)


def complete(config: Config, variables: Mapping[str, str]) -> None:
    """Fill in what depends on the machine or on other settings: the demo model where no model is named, home folders."""
    if config.engine is None and not config.backends:
        config.engine = EngineConfig()
    if config.engine:
        engine = config.engine
        engine.model = "" if engine.model == DEMO else _expand(engine.model, variables)
        engine.mmproj, engine.cache = _expand(engine.mmproj, variables), _expand(engine.cache, variables)
    if config.store == DEFAULT_STORE and variables.get("XDG_DATA_HOME"):
        config.store = str(Path(variables["XDG_DATA_HOME"]) / "antiphon" / "antiphon.db")
    config.store = _expand(config.store, variables)


def _expand(path: str, variables: Mapping[str, str]) -> str:
    """Fill in the home folder, from the variables that were handed in where they have one."""
    if not path.startswith("~/"):
        return path
    home = variables.get("HOME")
    return str(Path(home) / path[2:]) if home else str(Path(path).expanduser())


def _file(flags: Mapping[str, Any], variables: Mapping[str, str], folder: Path) -> Path | None:
    named = flags.get("config") or variables.get("ANTIPHON_CONFIG")
    if named:
        return Path(named)
    here = folder / FILE
    return here if here.is_file() else None


def _file_layer(file: Path, variables: Mapping[str, str]) -> Layer:
    try:
        with file.open("rb") as stream:
            table = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is not valid TOML: {error}") from None
    return Layer(name=str(file), table=table, variables=variables)


def _flag_layer(flags: Mapping[str, Any]) -> Layer:
    table = nested({path: value for path, value in flags.items() if path in FLAGS})
    origins = {path: f"flag {FLAGS[path]}" for path in flags if path in FLAGS}
    urls, keys, apis = (list(flags.get(name) or ()) for name in ("backend", "backend_key", "backend_api"))
    if keys and not urls:
        raise ConfigError("--backend-key: given without --backend")
    backends = backend_tables(urls, keys, apis, "--backend")
    if backends:
        table["backends"] = backends
    for name, fields in backends.items():
        for field in fields:
            origins[f"backends.{quoted(name)}.{field}"] = f"flag --backend{'' if field == 'url' else '-' + field}"
    return Layer(name="flags", table=table, origins=origins)
