"""DatabaseAddress: the PostgreSQL URL of the setting `store`, parsed."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit, urlunsplit

import msgspec

from antiphon.errors import ConfigError

MOST_CONNECTIONS = 1000
_SETTINGS = {
    "statement_timeout": "30000",
    "lock_timeout": "4000",
    "idle_in_transaction_session_timeout": "30000",
    "jit": "off",
}
"""Of each session, unless the URL says otherwise. Times in milliseconds."""


class DatabaseAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Address of the database and settings of its connections.

    `url` is for the driver, `shown` for people: without user, password and parameters. `pool_size` counts the
    connections of a server process, apart from the one that listens. `pgbouncer`: sessions change between
    transactions, so nothing may depend on one. `settings` are set in each session, `application` is told as it starts.
    """

    url: str
    shown: str
    settings: dict[str, str]
    pool_size: int = 10
    pgbouncer: bool = False
    application: str = "antiphon"


def read_address(url: str) -> DatabaseAddress:
    """Parse the URL. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise ConfigError("store: expected postgresql://user:password@host:port/database") from None
    own = {"pool_size", "pgbouncer", "application_name", *_SETTINGS}
    rest = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] not in own]
    several = "," in parts.netloc.rpartition("@")[2] or "," in given.get("host", "")
    if several and "target_session_attrs" not in given:
        rest.append("target_session_attrs=read-write")  # of several servers the primary
    pgbouncer = given.get("pgbouncer", "false").lower() in ("true", "yes", "on", "1")
    return DatabaseAddress(
        url=urlunsplit((parts.scheme, parts.netloc, parts.path, "&".join(rest), "")),
        shown=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
        settings={} if pgbouncer else {name: given.get(name, value) for name, value in _SETTINGS.items()},
        pool_size=_pool_size(given.get("pool_size", "10")),
        pgbouncer=pgbouncer,
        application=given.get("application_name", "antiphon"),
    )


def _pool_size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_CONNECTIONS:
        raise ConfigError(f"store: pool_size must be a number from 1 to {MOST_CONNECTIONS}")
    return int(text)
