"""Address: what the setting `store` says about a PostgreSQL database."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit, urlunsplit

import msgspec

from antiphon.errors import ConfigError

MOST_CONNECTIONS = 1000
_SETTINGS = {
    "application_name": "antiphon",
    "statement_timeout": "30000",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "30000",
    "jit": "off",
}
"""Of each session, unless the URL says otherwise. Times in milliseconds."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where the database is, and how to talk to it.

    `url` is for the driver, `shown` for people: without user, password and parameters. `pool_size` counts the
    connections of a server process, apart from the one that listens. `pgbouncer`: sessions change between
    transactions, so nothing may depend on one.
    """

    url: str
    shown: str
    settings: dict[str, str]
    pool_size: int = 10
    pgbouncer: bool = False


def read_address(url: str) -> Address:
    """Take the URL apart. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise ConfigError("store: expected postgresql://user:password@host:port/database") from None
    own = ("pool_size", "pgbouncer")
    rest = "&".join(pair for pair in parts.query.split("&") if pair.partition("=")[0] not in own)
    pgbouncer = given.get("pgbouncer", "false").lower() in ("true", "yes", "on", "1")
    return Address(
        url=urlunsplit((parts.scheme, parts.netloc, parts.path, rest, "")),
        shown=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
        settings={} if pgbouncer else {name: value for name, value in _SETTINGS.items() if name not in given},
        pool_size=_pool_size(given.get("pool_size", "10")),
        pgbouncer=pgbouncer,
    )


def _pool_size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_CONNECTIONS:
        raise ConfigError(f"store: pool_size is a number from 1 to {MOST_CONNECTIONS}")
    return int(text)
