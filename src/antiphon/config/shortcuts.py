"""The short way to name backends, `--backend URL` and its keys → the table `backends`; flags of other settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from antiphon.errors import ConfigError

FLAGS: dict[str, str] = {
    "host": "--host",
    "port": "--port",
    "root_path": "--root-path",
    "tls_cert": "--tls-cert",
    "tls_key": "--tls-key",
    "workers": "--workers",
    "api_keys": "--api-key",
    "admin_keys": "--admin-key",
    "store": "--store",
    "url_guard_allow": "--url-guard-allow",
    "log_level": "--log-level",
    "tools.web_search.provider": "--web-search",
    "engine.model": "--model",
    "engine.mmproj": "--mmproj",
    "engine.context": "--context",
    "engine.threads": "--threads",
    "engine.gpu_layers": "--gpu-layers",
}
"""The flag of each setting that has one."""

_ADDRESS = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}(?:/[^\s]*)?")
_NAMED = re.compile(r"([A-Za-z0-9_.-]+)=(.+)")


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Return settings by key path, such as `engine.context`, as tables."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *tables, name = path.split(".")
        table = tree
        for step in tables:
            table = table.setdefault(step, {})
        table[name] = value
    return tree


def backend_tables(urls: Sequence[str], keys: Sequence[str], apis: Sequence[str], source: str) -> dict[str, Any]:
    """Return the table `backends`. Keys and APIs belong to the URLs by order; a single one belongs to all.

    `source` says in errors who gave them. Raises ConfigError.
    """
    tables: dict[str, Any] = {}
    for entry in urls:
        named = _NAMED.fullmatch(entry) if "://" not in entry.partition("=")[0] else None
        name, url = (named[1], named[2]) if named else (_name(entry, tables), entry)
        url = _with_scheme(url)
        if name in tables:
            raise ConfigError(f"{source}: duplicate backend name '{name}'")
        tables[name] = {"url": url} | ({"api": "anthropic"} if speaks_messages(url) else {})
    _spread(tables, "key", keys, f"{source}: backend keys")
    _spread(tables, "api", apis, f"{source}: backend APIs")
    return tables


def _with_scheme(url: str) -> str:
    """Return a URL; `host:port` and `host:port/v1` without a scheme stand for http://."""
    return f"http://{url}" if _ADDRESS.fullmatch(url) else url


def speaks_messages(url: str) -> bool:
    """Tell whether a URL is certainly one of a server that speaks Anthropic's Messages API."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    path = parts.path.rstrip("/").removesuffix("/v1")
    return parts.hostname == "api.anthropic.com" or path.endswith(("/anthropic", "/messages"))


def _spread(tables: dict[str, Any], field: str, values: Sequence[str], what: str) -> None:
    if not values:
        return
    if len(values) not in (1, len(tables)):
        raise ConfigError(f"{what}: expected 1 value for all backends or {len(tables)}, one for each")
    for index, table in enumerate(tables.values()):
        table[field] = values[index if len(values) > 1 else 0]


def _name(url: str, taken: dict[str, Any]) -> str:
    """Return host and port of a URL, numbered where two backends share them."""
    try:
        base = urlsplit(url).netloc.rpartition("@")[2] or "backend"
    except ValueError:
        base = "backend"
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
