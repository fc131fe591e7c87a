"""Clients' keys: made, found, revoked and rotated on the store, which has a keyed digest of each and never the key."""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from antiphon.access.caller import USUAL_SCOPES, Caller, parse_limits
from antiphon.errors import ConfigError
from antiphon.stores.base import KeyStore
from antiphon.stores.records import StoredKey

PREFIX = "sk-antiphon-"
"""Keys fit `sk-antiphon-[0-9A-Za-z]{49}`, for scanners: 43 digits of 256 random bits, 6 of a CRC-32 of what precedes."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM, _CHECK = 43, 6


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key. `hint` is its end; times are Unix seconds.

    `line` is the id of the key that this one continues: with it go the limits, so that to rotate buys nothing.
    """

    id: str
    line: str
    owner: str
    name: str = ""
    hint: str = ""
    scopes: tuple[str, ...] = tuple(sorted(USUAL_SCOPES))
    models: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def state(self, now: float) -> str:
        """Return "active", "revoked" or "expired"."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def caller(self) -> Caller:
        """Return whom the key lets in."""
        return Caller(
            owner=self.owner,
            scopes=frozenset(self.scopes),
            models=self.models,
            mcp_servers=self.mcp_servers,
            limits=parse_limits(self.limits),
            meter=self.line,
        )


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """What a new key is to be. An empty `owner` makes one of its own."""

    owner: str = ""
    name: str = ""
    scopes: tuple[str, ...] = tuple(sorted(USUAL_SCOPES))
    models: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    expires_at: float | None = None


class Made(msgspec.Struct, frozen=True):
    """A new key, and the secret that is shown this once."""

    secret: str
    key: Key


class Keyring:
    """The keys of a store."""

    def __init__(self, store: KeyStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._pepper = b""

    async def create(self, rights: Rights) -> Made:
        """Make a key."""
        id = f"key_{secrets.token_hex(8)}"
        fields = msgspec.structs.asdict(rights) | {"owner": rights.owner or id}
        return await self._make(Key(id=id, line=id, created_at=self._clock(), **fields))

    async def list(self) -> Sequence[Key]:
        """Return all keys, oldest first."""
        return [_key(stored) for stored in await self._store.list()]

    async def find(self, secret: bytes) -> Key | None:
        """Return the key with a secret, whatever its state; what is no key of ours is not looked up."""
        if not well_formed(secret):
            return None
        stored = await self._store.find(await self._digest(secret))
        return None if stored is None else _key(stored)

    async def revoke(self, id: str) -> Key:
        """End a key now. Raises ConfigError for an unknown id."""
        stored = await self._get(id)
        key = _key(stored)
        if key.revoked_at is None:
            key = replace(key, revoked_at=self._clock())
            await self._store.put(_stored(key, stored.digest))
        return key

    async def rotate(self, id: str, overlap: float) -> Made:
        """Make a key with the same rights; the old one ends after `overlap` seconds. Raises ConfigError."""
        stored = await self._get(id)
        old, now = _key(stored), self._clock()
        if old.state(now) != "active":
            raise ConfigError(f"Key {id} is {old.state(now)}. Create a new one.")
        new = replace(old, id=f"key_{secrets.token_hex(8)}", created_at=now)
        made = await self._make(new)
        end = now + overlap if old.expires_at is None else min(now + overlap, old.expires_at)
        await self._store.put(_stored(replace(old, expires_at=end), stored.digest))
        return made

    async def _make(self, key: Key) -> Made:
        secret = new_secret()
        key = replace(key, hint=secret[-4:])
        await self._store.put(_stored(key, await self._digest(secret.encode())))
        return Made(secret, key)

    async def _get(self, id: str) -> StoredKey:
        for stored in await self._store.list():
            if stored.id == id:
                return stored
        raise ConfigError(f"Unknown key {id}. See `antiphon keys list`.")

    async def _digest(self, secret: bytes) -> bytes:
        if not self._pepper:
            self._pepper = await self._store.secret("keys", secrets.token_bytes(32))
        return hashlib.blake2b(secret, key=self._pepper, digest_size=32).digest()


def new_secret() -> str:
    """Return a new key."""
    body = PREFIX + _base62(int.from_bytes(secrets.token_bytes(32)), _RANDOM)
    return body + _checksum(body.encode())


def well_formed(secret: bytes) -> bool:
    """Tell whether something looks like a key of ours, its checksum included."""
    if not secret.startswith(PREFIX.encode()) or len(secret) != len(PREFIX) + _RANDOM + _CHECK:
        return False
    return secret[-_CHECK:] == _checksum(secret[:-_CHECK]).encode()


def _checksum(body: bytes) -> str:
    return _base62(zlib.crc32(body), _CHECK)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _key(stored: StoredKey) -> Key:
    return msgspec.json.decode(stored.body, type=Key)


def _stored(key: Key, digest: bytes) -> StoredKey:
    return StoredKey(
        id=key.id, owner=key.owner, digest=digest, created_at=key.created_at, body=msgspec.json.encode(key)
    )
