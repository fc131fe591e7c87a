"""Authentication: keys and tokens → Caller (contract, "Authentication")."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Protocol

import msgspec
from msgspec.structs import replace

from antiphon.access.caller import LOCAL_OWNER, SCOPES, Caller
from antiphon.errors import APIError
from antiphon.server.auth.hosts import Hosts
from antiphon.server.http.messages import Header

log = logging.getLogger("antiphon.server.auth")

MEMORY = 2.0  # seconds that a caller is remembered: a revoked key works for as long at most
STORE_AWAY = 503  # an error of the store's, not of the key's
MOST_REMEMBERED = 10_000


class Authenticator(Protocol):
    """Finds the Caller of a request from its headers."""

    def visit(self, raw_path: bytes, host: bytes | None) -> None:
        """Look at what must be right of every request, of those for public paths too: its Host. Raises APIError 403."""
        ...

    def check_socket(self, headers: Sequence[Header]) -> None:
        """Look at the Origin of a WebSocket handshake. Raises APIError 403."""
        ...

    def shares(self, origin: bytes, host: bytes | None) -> bool:
        """Tell whether the pages of an origin may read the answer, of a request for a Host (CORS)."""
        ...

    def known(self, headers: Sequence[Header], origin: bytes | None) -> Caller | None:
        """Return a caller who is known at once; None where `authenticate` has to look. Raises APIError 403.

        `origin` is the first Origin of the headers, None where there is none.
        """
        ...

    async def authenticate(self, headers: Sequence[Header]) -> Caller:
        """Return the caller. Raises APIError 401 (`missing_api_key`, `invalid_api_key`) or 403."""
        ...


class Credentials(Protocol):
    """Keys or tokens of one kind, which are looked up or checked."""

    async def find(self, presented: bytes) -> Caller | None:
        """Return the caller, or None where this is nothing of the kind. Raises APIError 401 where it is, and is not good."""
        ...

    async def closed(self) -> bool:
        """Tell whether there are any, so that others have to bring one too."""
        ...


class RememberedKey(msgspec.Struct, frozen=True):
    """Cached result of a key look-up: a caller or an error."""

    caller: Caller | None
    error: APIError | None
    until: float


class KeyAuthenticator:
    """Knows fixed keys by digests under a secret of this process, and others for a moment: no key is kept."""

    def __init__(
        self, fixed: Mapping[str, Caller], others: Sequence[Credentials] = (), hosts: Hosts | None = None
    ) -> None:
        self._names = hosts or Hosts()
        self._hosts = hosts if hosts is not None and hosts.configured else None
        self._pepper = secrets.token_bytes(32)
        self._fixed = {self._digest(key.encode()): caller for key, caller in fixed.items()}
        self._others = others
        self._remembered: dict[bytes, RememberedKey] = {}

    def visit(self, raw_path: bytes, host: bytes | None) -> None:
        """Look at the Host where hosts are configured. Raises APIError 403."""
        if self._hosts is not None:
            self._hosts.check(raw_path, host, open=False)

    def check_socket(self, headers: Sequence[Header]) -> None:
        """Look at the Origin where origins are named. Raises APIError 403."""
        self._names.check_socket(headers)

    def shares(self, origin: bytes, host: bytes | None) -> bool:
        """Tell whether an origin is one that is named, or none is."""
        return self._names.origins.auto or self._names.origins.names(origin.decode("latin-1"))

    def known(self, headers: Sequence[Header], origin: bytes | None) -> Caller | None:
        """Return the caller of a first key that is fixed, or was looked up a moment ago."""
        given = presented_keys(headers)
        if not given:
            return None
        digest = self._digest(given[0])
        caller = self._fixed.get(digest)
        if caller is None:
            found = self._remembered.get(digest)
            caller = found.caller if found is not None and found.until > monotonic() else None
        return caller

    async def authenticate(self, headers: Sequence[Header]) -> Caller:
        """Return the caller of the first good key; a bad one beside it does no harm."""
        given = presented_keys(headers)
        error: APIError | None = None
        for key in given:
            # The lookup compares keyed digests: its timing tells nothing about a key to those who don't know the pepper.
            digest = self._digest(key)
            caller = self._fixed.get(digest)
            if caller is not None:
                return caller
            found = self._remembered.get(digest)
            if found is None or found.until <= monotonic():
                found = await self._look_up(digest, key, found)
            if found.caller is not None:
                return found.caller
            error = error or found.error
        raise error or (invalid() if given else _missing())

    async def _look_up(self, digest: bytes, key: bytes, known: RememberedKey | None) -> RememberedKey:
        if known is not None:  # of many requests at once, one asks; the others take what was known a moment ago
            self._remembered[digest] = replace(known, until=monotonic() + MEMORY)
        found = RememberedKey(None, None, 0.0)
        try:
            for credentials in self._others:
                found = replace(found, caller=found.caller or await credentials.find(key))
        except APIError as error:
            if error.status == STORE_AWAY:
                if known is None:
                    raise
                return known  # nor can anybody revoke it meanwhile
            found = RememberedKey(None, error, 0.0)
        except Exception:
            if known is None:
                raise
            log.exception("API keys: lookup in the store failed; the remembered key stays valid")
            return known
        self._remember(digest, found)
        return found

    def _remember(self, digest: bytes, found: RememberedKey) -> None:
        """Remember a caller; what is not known is not remembered: it may be made a moment later."""
        if found.caller is None:
            self._remembered.pop(digest, None)
            return
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[digest] = replace(found, until=monotonic() + MEMORY)

    def _digest(self, key: bytes) -> bytes:
        return hashlib.blake2b(key, key=self._pepper, digest_size=32).digest()


class OpenAuthenticator:
    """Accepts every request, except from web pages of other sites."""

    _caller = Caller(owner=LOCAL_OWNER, scopes=frozenset(SCOPES))

    def __init__(self, hosts: Hosts | None = None) -> None:
        self._hosts = hosts or Hosts()

    def visit(self, raw_path: bytes, host: bytes | None) -> None:
        """Look at the Host: a foreign name may be pointed at this machine (DNS rebinding). Raises APIError 403."""
        self._hosts.check(raw_path, host, open=True)

    def check_socket(self, headers: Sequence[Header]) -> None:
        """Do nothing: it is the same look as for every request."""

    def shares(self, origin: bytes, host: bytes | None) -> bool:
        """Tell whether an origin is our own, an app's, or one that is named."""
        return self._hosts.lets_read(origin, host)

    def known(self, headers: Sequence[Header], origin: bytes | None) -> Caller:
        """Return the one owner. Raises APIError 403 for a foreign web page."""
        if origin is not None:
            self._hosts.check_origin(headers)
        return self._caller

    async def authenticate(self, headers: Sequence[Header]) -> Caller:
        """Do the same."""
        self._hosts.check_origin(headers)
        return self._caller


class UntilClosed:
    """Accepts every request until a key exists; from then on requires one."""

    def __init__(self, keys: KeyAuthenticator, others: Sequence[Credentials], hosts: Hosts | None = None) -> None:
        self._keys = keys
        self._others = others
        self._hosts = hosts or Hosts()
        self._open: OpenAuthenticator | None = OpenAuthenticator(self._hosts)
        self._look_at = 0.0
        self._looked = False

    def visit(self, raw_path: bytes, host: bytes | None) -> None:
        """Look at the Host. Raises APIError 403."""
        if self._open is not None:
            self._hosts.check(raw_path, host, open=True)
        else:
            self._keys.visit(raw_path, host)

    def check_socket(self, headers: Sequence[Header]) -> None:
        """Look at the Origin. Raises APIError 403."""
        (self._open or self._keys).check_socket(headers)

    def shares(self, origin: bytes, host: bytes | None) -> bool:
        """Tell whether the pages of an origin may read the answer."""
        return (self._open or self._keys).shares(origin, host)

    def known(self, headers: Sequence[Header], origin: bytes | None) -> Caller | None:
        """Return the one owner, as long as it was looked for a key a moment ago; then who is known by one."""
        if self._open is None:
            return self._keys.known(headers, origin)
        return self._open.known(headers, origin) if self._look_at > monotonic() else None

    async def authenticate(self, headers: Sequence[Header]) -> Caller:
        """Return the caller. Raises APIError 401 or 403."""
        if self._open is not None and self._look_at <= monotonic():
            self._look_at = monotonic() + MEMORY
            try:
                for credentials in self._others:
                    if await credentials.closed():
                        self._open = None
            except APIError:  # the store is away: the door stays as it was a moment ago
                if not self._looked:
                    self._look_at = 0.0
                    raise
            self._looked = True
        if self._open is not None:
            return await self._open.authenticate(headers)
        return await self._keys.authenticate(headers)


def authenticator(
    fixed: Mapping[str, Caller],
    others: Sequence[Credentials] = (),
    *,
    closed: bool = False,
    hosts: Hosts | None = None,
) -> Authenticator:
    """Return what asks for the fixed keys and the other credentials.

    Without any it lets everybody on this machine in, unless it is to be `closed`. `hosts` are the names that it answers to.
    """
    keys = KeyAuthenticator(fixed, others, hosts)
    return keys if fixed or closed else UntilClosed(keys, others, hosts)


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


def callers(api_keys: Sequence[str]) -> dict[str, Caller]:
    """Return the callers of keys that may do everything but what is the operator's, without limits."""
    return {key: Caller(owner=owner_of(key.encode())) for key in api_keys}


def owner_of(key: bytes) -> str:
    """Return the id under which a key's objects are stored: from the key alone, so that all replicas agree."""
    return "key_" + hashlib.blake2b(key, digest_size=16, person=b"antiphon.owner").hexdigest()


def unauthorised(message: str, code: str) -> APIError:
    """Return a 401."""
    return APIError(401, message, code=code, headers={"www-authenticate": "Bearer"})


def invalid(reason: str = "Incorrect API key provided.") -> APIError:
    """Return the 401 for a key that is not good."""
    return unauthorised(reason, "invalid_api_key")


def _missing() -> APIError:
    message = "You didn't provide an API key. Send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'."
    return unauthorised(message, "missing_api_key")
