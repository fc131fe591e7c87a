"""JWKS: public keys of an issuer, from a file or its server; fetched again when a key id is unknown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from antiphon.config import JwtConfig
from antiphon.errors import APIError, BackendError, ConfigError
from antiphon.net.http.address import parse_url
from antiphon.net.http.client import HttpClient, HttpResponse, Timeouts
from antiphon.net.proxies import proxy_for
from antiphon.server.auth.jwk import NamedKey, read_keys

MOST_BYTES = 1 << 20
FRESH = 3600.0  # seconds after which the keys are asked for again
PAUSE = 10.0  # seconds between two questions for a key that is not known, so that nobody makes us flood the issuer
TIMEOUTS = Timeouts(connect=5.0, first_byte=10.0, idle=10.0)

log = logging.getLogger("antiphon.server.auth")


class KeySource(Protocol):
    """An issuer's keys."""

    async def named(self, kid: str) -> Sequence[NamedKey]:
        """Return the keys that a token with this `kid` may be signed with. Raises APIError 503."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class FixedKeys:
    """Keys of a file."""

    def __init__(self, keys: Sequence[NamedKey]) -> None:
        self._keys = keys

    async def named(self, kid: str) -> Sequence[NamedKey]:
        """Return the keys of that name, and those without one."""
        return _named(self._keys, kid)

    async def close(self) -> None:
        """Do nothing."""


class FetchedKeys:
    """Keys of the issuer's server. `url` is its JWKS; empty: what its discovery document names."""

    def __init__(self, issuer: str, url: str) -> None:
        self._issuer = issuer
        self._url = url
        self._keys: Sequence[NamedKey] = ()
        self._asked_at = -FRESH
        self._asking: asyncio.Task[None] | None = None

    async def named(self, kid: str) -> Sequence[NamedKey]:
        """Return the keys of that name; one that is not known is asked for, every ten seconds at most."""
        age = monotonic() - self._asked_at
        known = _named(self._keys, kid)
        if age > FRESH or (not known and age > PAUSE):
            await self._ask()
            known = _named(self._keys, kid)
        if not self._keys:
            raise APIError(503, "The identity provider cannot be reached.", code="identity_provider_unavailable")
        return known

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        """Ask once for all who wait. What was known stays known where it fails."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._fetch())
        await asyncio.shield(self._asking)

    async def _fetch(self) -> None:
        self._asked_at = monotonic()
        try:
            url = self._url or await self._discover()
            self._keys = read_keys(await fetch(url))
        except (BackendError, ConfigError, ValueError, TimeoutError) as error:
            log.warning("JWT: fetching JWKS failed: %s", error)

    async def _discover(self) -> str:
        document = await fetch(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        return msgspec.json.decode(document, type=Discovery).jwks_uri


class Discovery(msgspec.Struct, frozen=True):
    """The used fields of an OpenID provider's configuration."""

    jwks_uri: str


def key_source(config: JwtConfig) -> KeySource:
    """Return the source that the configuration means. Raises ConfigError for a file that cannot be used."""
    if not config.key_file:
        return FetchedKeys(config.issuer, config.jwks_url)
    try:
        return FixedKeys(read_keys(Path(config.key_file).expanduser().read_bytes()))
    except OSError as error:
        raise ConfigError(f"jwt.key_file: {config.key_file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"jwt.key_file: {config.key_file} cannot be used: {error}") from None


async def fetch(url: str) -> bytes:
    """Return what an URL of the operator's leads to. Raises BackendError, ConfigError, ValueError and TimeoutError."""
    parts = urlsplit(url)
    address = parse_url(f"{parts.scheme}://{parts.netloc}")
    client = HttpClient(address, timeouts=TIMEOUTS, proxy=proxy_for(address))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        async with asyncio.timeout(TIMEOUTS.connect + TIMEOUTS.idle):
            response = await client.send("GET", target)
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            return await _whole(response)
    finally:
        await client.close()


async def _whole(response: HttpResponse) -> bytes:
    parts, size = [], 0
    while data := await response.read():
        parts.append(data)
        size += len(data)
        if size > MOST_BYTES:
            raise ValueError("response too large")
    return b"".join(parts)


def _named(keys: Sequence[NamedKey], kid: str) -> list[NamedKey]:
    return [key for key in keys if not kid or not key.kid or key.kid == kid]
