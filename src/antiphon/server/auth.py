"""Who is asking: keys → Identity (contract, "Authentication")."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Protocol

import msgspec

from antiphon.errors import APIError
from antiphon.server.http import Header

LOCAL_OWNER = "local"

# Names that can't be another site's, pointed here (DNS rebinding): localhost and addresses.
_LOCAL = re.compile(r"((\w+\.)*localhost|[\d.]+|\[[\da-f:.]+\])(:\d+)?", re.ASCII)


class Identity(msgspec.Struct, frozen=True):
    """Whom objects belong to. `owner` is the same in every replica and after a restart."""

    owner: str


class Authenticator(Protocol):
    """Tells who is asking, from a request's headers alone."""

    def authenticate(self, headers: Sequence[Header]) -> Identity:
        """Return the caller. Raises APIError 401 (`missing_api_key`, `invalid_api_key`) or 403."""
        ...


def authenticator(api_keys: Sequence[str]) -> Authenticator:
    """Return what the configured keys ask for; without keys everybody on this machine is let in."""
    return KeyAuthenticator(api_keys) if api_keys else OpenAuthenticator()


class KeyAuthenticator:
    """Knows the configured keys by digests under a secret of this process: the keys themselves are not kept."""

    def __init__(self, api_keys: Sequence[str]) -> None:
        self._pepper = secrets.token_bytes(32)
        self._identities = {self._digest(key.encode()): Identity(owner_of(key.encode())) for key in api_keys}

    def authenticate(self, headers: Sequence[Header]) -> Identity:
        """Return the owner of the first good key; a bad one beside it does no harm."""
        given = presented_keys(headers)
        for key in given:
            # The lookup compares keyed digests: its timing tells nothing about a key to those who don't know the pepper.
            identity = self._identities.get(self._digest(key))
            if identity is not None:
                return identity
        raise _invalid() if given else _missing()

    def _digest(self, key: bytes) -> bytes:
        return hashlib.blake2b(key, key=self._pepper, digest_size=32).digest()


class OpenAuthenticator:
    """Lets everybody in, but for pages of other sites that a browser on this machine happens to show."""

    _identity = Identity(LOCAL_OWNER)

    def authenticate(self, headers: Sequence[Header]) -> Identity:
        """Return the one owner. Raises APIError 403 for a foreign web page, DNS rebinding included."""
        origin = host = b""
        for name, value in headers:
            if name == b"origin":
                origin = value
            elif name == b"host":
                host = value
        if origin and not _is_own_page(origin.decode("latin-1"), host.decode("latin-1")):
            raise APIError(403, "Without an API key, other web sites' pages are not served.", code="foreign_origin")
        return self._identity


def presented_keys(headers: Sequence[Header]) -> list[bytes]:
    """Return the keys that a request brings, from `Authorization: Bearer` and `x-api-key`."""
    keys = []
    for name, value in headers:
        if name == b"authorization":
            scheme, _, key = value.strip().partition(b" ")
            if scheme.lower() == b"bearer" and key.strip():
                keys.append(key.strip())
        elif name == b"x-api-key" and value.strip():
            keys.append(value.strip())
    return keys


def owner_of(key: bytes) -> str:
    """Return the id under which a key's objects are stored: from the key alone, so that all replicas agree."""
    return "key_" + hashlib.blake2b(key, digest_size=16, person=b"antiphon.owner").hexdigest()


def _is_own_page(origin: str, host: str) -> bool:
    """Tell whether a page is ours. Only web pages have http origins: extensions and desktop programs pass."""
    scheme, _, place = origin.partition("://")
    if scheme not in ("http", "https"):
        return origin != "null"
    return place == host and _LOCAL.fullmatch(host) is not None


def _missing() -> APIError:
    message = "You didn't provide an API key. Send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'."
    return _unauthorised(message, "missing_api_key")


def _invalid() -> APIError:
    return _unauthorised("Incorrect API key provided.", "invalid_api_key")


def _unauthorised(message: str, code: str) -> APIError:
    return APIError(401, message, code=code, headers={"www-authenticate": "Bearer"})
