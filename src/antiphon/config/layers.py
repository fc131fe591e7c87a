"""One source of settings, and the interpolation of `${NAME}` in its values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from antiphon.errors import ConfigError

_VARIABLE = re.compile(r"\$(\$)?\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}")


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one source. `text` means that all values are strings, to be read as what the setting wants."""

    name: str
    table: dict[str, Any]
    origins: Mapping[str, str] = {}
    text: bool = False
    variables: Mapping[str, str] | None = None

    def origin(self, path: str) -> str:
        """Return who gave a setting: `flag --port`, `environment ANTIPHON_PORT`, or the file."""
        return self.origins.get(path, self.name)

    def resolve(self, value: Any, path: str) -> tuple[Any, bool]:
        """Return a value with its variables filled in, and whether it is text to be read. Raises ConfigError."""
        if self.variables is None:
            return value, self.text
        filled = _fill(value, self.variables, f"{self.name}: {path}")
        return filled, filled != value


def _fill(value: Any, variables: Mapping[str, str], where: str) -> Any:
    if isinstance(value, dict):
        return {name: _fill(item, variables, f"{where}.{name}") for name, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, variables, where) for item in value]
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        escaped, name, has_default, default = match.groups()
        if escaped:
            return match.group()[1:]
        found = variables.get(name)
        if has_default:
            return found or default
        if found is None:
            raise ConfigError(
                f"{where}: the environment variable {name} is not set (${{{name}:-}} would allow that)"
            ) from None
        return found

    return _VARIABLE.sub(replacement, value)
