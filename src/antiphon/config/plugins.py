"""Plugins: kinds of backends, tool servers, guards and stores of other packages, as entry points.

Nothing is looked up before the configuration names a kind that is not built in, and nothing else is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from antiphon.config.reading import nearest
from antiphon.errors import ConfigError

BACKENDS = "antiphon.backends"
"""Name: a value of `backends.NAME.api`. Object: `(name, BackendConfig, Mapping[str, ModelConfig]) -> Backend`."""
TOOLS = "antiphon.tools"
"""Name: a value of `mcp_servers.LABEL.kind`. Object: `(label, McpServerConfig) -> ToolServer`, called for each response."""
GUARDS = "antiphon.guards"
"""Name: a value of `guards.NAME.kind`. Object: `(name, GuardConfig) -> Guard`."""
STORES = "antiphon.stores"
"""Name: the scheme of the URL in `store`. Object: `(url) -> Store`."""


def check_plugin(group: str, name: str, path: str, built_in: tuple[str, ...]) -> None:
    """Refuse a kind that is neither built in nor added by exactly one package. Raises ConfigError."""
    if name not in built_in:
        _entry_point(group, name, path, built_in)


def load_plugin(group: str, name: str, path: str) -> Callable[..., Any]:
    """Import what a package adds under a name. `path` is the setting that names it. Raises ConfigError."""
    found = _entry_point(group, name, path, ())
    try:
        loaded = found.load()
    except Exception as error:
        raise ConfigError(f"{path}: '{name}' ({found.value}) cannot be imported: {error}") from error
    if not callable(loaded):
        raise ConfigError(f"{path}: '{name}' ({found.value}) is not callable")
    return loaded  # type: ignore[no-any-return]  # what an entry point loads has no type


def _entry_point(group: str, name: str, path: str, built_in: tuple[str, ...]) -> EntryPoint:
    known = {(one.name, one.value): one for one in entry_points(group=group)}
    found = [one for one in known.values() if one.name == name]
    if len(found) > 1:
        raise ConfigError(f"{path}: several packages add '{name}': {', '.join(one.value for one in found)}")
    if not found:
        names = [*built_in, *sorted({one.name for one in known.values()})]
        listed = f"; known: {', '.join(names)}" if names else ""
        raise ConfigError(
            f"{path}: '{name}' is not known, and no package adds it ({group}){nearest(name, names) or listed}"
        )
    return found[0]
