"""Credentials: keys of the configuration and of the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from antiphon.access.caller import ADMIN, Caller, Limit, parse_limits
from antiphon.access.keys import Keyring
from antiphon.access.owner_limits import OwnerLimits
from antiphon.config import Config, KeyConfig
from antiphon.errors import ConfigError
from antiphon.server.auth.authenticator import Credentials, callers, invalid, owner_of


class StoredKeys:
    """The keys that `antiphon keys` makes."""

    def __init__(self, keyring: Keyring, clock: Callable[[], float], used: Callable[[str], None] | None = None) -> None:
        """`used` is told of each key that lets somebody in."""
        self._keyring = keyring
        self._clock = clock
        self._used = used

    async def find(self, presented: bytes) -> Caller | None:
        """Return the caller. Raises APIError 401 for a key that is revoked or has expired."""
        key = await self._keyring.find(presented)
        if key is None:
            return None
        state = key.state(self._clock())
        if state != "active":
            raise invalid("This API key has been revoked." if state == "revoked" else "This API key has expired.")
        if self._used is not None:
            self._used(key.id)
        return self._keyring.caller(key)

    async def closed(self) -> bool:
        """Tell whether a key was ever made: to revoke the last one does not open the server."""
        return bool(await self._keyring.count(1))


def fixed_callers(config: Config) -> dict[str, Caller]:
    """Return the callers of the configuration's keys. Raises ConfigError, also for limits that new keys could not have."""
    _limits("default_limits", config.default_limits)
    own = {key.key: _caller(name, key) for name, key in config.keys.items()}
    operators = {key: Caller(owner=owner_of(key.encode()), scopes=frozenset((ADMIN,))) for key in config.admin_keys}
    owners = owner_limits(config)
    return {key: owners.apply(caller) for key, caller in {**callers(config.api_keys), **operators, **own}.items()}


def owner_limits(config: Config) -> OwnerLimits:
    """Return the limits of owners. Raises ConfigError."""
    return OwnerLimits({name: _limits(f"owners.{name}.limits", one.limits) for name, one in config.owners.items()})


class OwnerLimited:
    """Credentials whose callers get the limits of their owners."""

    def __init__(self, credentials: Credentials, keyring: Keyring) -> None:
        self._credentials = credentials
        self._keyring = keyring

    async def find(self, presented: bytes) -> Caller | None:
        """Return the caller, or None."""
        caller = await self._credentials.find(presented)
        return None if caller is None else self._keyring.owners.apply(caller)

    async def closed(self) -> bool:
        """Tell whether there are any."""
        return await self._credentials.closed()


def _caller(name: str, key: KeyConfig) -> Caller:
    return Caller(
        owner=key.owner or owner_of(key.key.encode()),
        scopes=frozenset(key.scopes),
        models=tuple(key.models),
        mcp_servers=tuple(key.mcp_servers),
        limits=_limits(f"keys.{name}.limits", key.limits),
        meter=f"config/{name}",
        key=f"config/{name}",
    )


def _limits(path: str, texts: Sequence[str]) -> tuple[Limit, ...]:
    try:
        return parse_limits(texts)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
