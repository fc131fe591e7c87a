"""API keys in the store: create, find, change, revoke, rotate. The store has a keyed digest of each key, never the key.

Who does so is written to the audit log before it is done.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from antiphon.access.audit import SERVER, Actor, AuditAction, AuditLog
from antiphon.access.caller import USUAL_SCOPES, Caller, parse_limits
from antiphon.access.owner_limits import NO_OWNER_LIMITS, OwnerLimits
from antiphon.errors import APIError
from antiphon.stores.base import KeyStore
from antiphon.stores.records import KeyQuery, StoredKey

PREFIX = "sk-antiphon-"
"""Keys fit `sk-antiphon-[0-9A-Za-z]{49}`, for scanners: 43 digits of 256 random bits, 6 of a CRC-32 of what precedes."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM, _CHECK = 43, 6

MOST_KEYS = 100_000
"""Keys of a store, ended ones too."""
HEIRS = 100
"""Keys that are looked at in one step."""
CHANGES = 5
"""Tries to change a key that others change at the same time."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret. `hint`: its last characters; times in Unix seconds; `created_by`: see AuditEntry.actor.

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
    created_by: str = ""
    last_used_at: float | None = None

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
            key=self.id,
        )


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """Owner, scopes and limits of a new key. An empty `owner`: a new owner."""

    owner: str = ""
    name: str = ""
    scopes: tuple[str, ...] = tuple(sorted(USUAL_SCOPES))
    models: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    expires_at: float | None = None


class Made(msgspec.Struct, frozen=True):
    """A new key and its secret, which is shown once."""

    secret: str
    key: Key


class Keyring:
    """The keys of a store. `default_limits` are those of new keys that are given none, `owners` those of all keys of an owner."""

    def __init__(
        self,
        store: KeyStore,
        clock: Callable[[], float],
        audit: AuditLog | None = None,
        default_limits: Sequence[str] = (),
        owners: OwnerLimits = NO_OWNER_LIMITS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._audit = audit
        self.default_limits = tuple(default_limits)
        self.owners = owners
        self._pepper = b""

    async def create(self, rights: Rights, by: Actor = SERVER) -> Made:
        """Make a key. Raises APIError 409 where there are too many."""
        await self._check_number()
        id = f"key_{secrets.token_hex(8)}"
        fields = msgspec.structs.asdict(rights) | {
            "owner": rights.owner or id,
            "limits": rights.limits or self.default_limits,
        }
        key = Key(id=id, line=id, created_at=self._clock(), created_by=by.id, **fields)
        secret, key = _with_secret(key)
        await self._record("api_key.created", by, id, _told(key))
        await self._store.put(_stored(key, await self._digest(secret.encode())))
        return Made(secret, key)

    async def list(self) -> Sequence[Key]:
        """Return all keys, oldest first."""
        return [_key(stored) for stored in await self._store.list()]

    async def page(self, query: KeyQuery) -> Sequence[Key] | None:
        """Return keys, the newest first; None if `after` is unknown."""
        found = await self._store.page(query)
        return None if found is None else [_key(stored) for stored in found]

    async def count(self, most: int) -> int:
        """Return how many keys there are; more than `most` are not counted."""
        return await self._store.count(most)

    async def get(self, id: str) -> Key:
        """Return a key. Raises APIError 404."""
        return _key(await self._get(id))

    async def find(self, secret: bytes) -> Key | None:
        """Return the key with a secret, whatever its state; what is no key of ours is not looked up."""
        if not well_formed(secret):
            return None
        stored = await self._store.find(await self._digest(secret))
        return None if stored is None else _key(stored)

    async def heir(self, id: str, line: str, owner: str) -> Key | None:
        """Return a key where it is active, else the newest one of its line and owner that is; None where there is none."""
        stored = await self._store.get(id)
        if stored is not None and self._continues(key := _key(stored), line, owner):
            return key
        after: str | None = None
        while found := await self.page(KeyQuery(limit=HEIRS, after=after, owner=owner)):
            for key in found:
                if self._continues(key, line, owner):
                    return key
            after = found[-1].id
        return None

    def _continues(self, key: Key, line: str, owner: str) -> bool:
        return key.line == line and key.owner == owner and key.state(self._clock()) == "active"

    def caller(self, key: Key) -> Caller:
        """Return whom a key lets in, with the limits of its owner."""
        return self.owners.apply(key.caller())

    async def update(self, id: str, changes: Mapping[str, Any], by: Actor = SERVER) -> Key:
        """Change fields of Rights, but the owner. Raises APIError 404, and 409 for a key that has ended."""

        def changed(key: Key) -> Key:
            self._check_active(key)
            return replace(key, **changes)

        return await self._change("api_key.updated", id, changed, by, sorted(changes))

    async def revoke(self, id: str, by: Actor = SERVER) -> Key:
        """End a key now. Raises APIError 404."""
        now = self._clock()
        return await self._change(
            "api_key.revoked", id, lambda key: key if key.revoked_at is not None else replace(key, revoked_at=now), by
        )

    async def rotate(self, id: str, overlap: float, by: Actor = SERVER) -> Made:
        """Make a key with the same rights; the old one ends after `overlap` seconds. Raises APIError 404, 409.

        Where the old one is changed meanwhile, the new one is made again with what it may do now. Where it is revoked, neither
        is valid.
        """
        self._check_active(_key(await self._get(id)))
        await self._check_number()
        new_id, secret, now = f"key_{secrets.token_hex(8)}", new_secret(), self._clock()
        digest = await self._digest(secret.encode())
        await self._record("api_key.rotated", by, id, {"new_key": new_id, "overlap": overlap})
        new: Key | None = None
        for _ in range(CHANGES):
            stored = await self._get(id)
            old = _key(stored)
            if new is not None and old.state(self._clock()) != "active":
                await self._store.put(_stored(replace(new, revoked_at=now), digest))
            self._check_active(old)
            new = replace(old, id=new_id, hint=secret[-4:], created_at=now, created_by=by.id, last_used_at=None)
            await self._store.put(_stored(new, digest))
            end = now + overlap if old.expires_at is None else min(now + overlap, old.expires_at)
            if await self._store.change(id, stored.body, _body(replace(old, expires_at=end))):
                return Made(secret, new)
        if new is not None:
            await self._store.put(_stored(replace(new, revoked_at=now), digest))
        raise _busy(id)

    async def _change(
        self,
        action: AuditAction,
        id: str,
        change: Callable[[Key], Key],
        by: Actor,
        fields: Sequence[str] = (),
    ) -> Key:
        """Change a key; others may change it at the same time."""
        for attempt in range(CHANGES):
            stored = await self._get(id)
            before = _key(stored)
            key = change(before)
            if key == before:
                return key
            if not attempt:
                shown = _told(key)
                await self._record(action, by, id, {name: shown[name] for name in fields})
            if await self._store.change(id, stored.body, _body(key)):
                return key
        raise _busy(id)

    def _check_active(self, key: Key) -> None:
        state = key.state(self._clock())
        if state != "active":
            raise APIError(409, f"The key '{key.id}' is {state}. Create a new one.", code=f"key_{state}")

    async def _check_number(self) -> None:
        if await self._store.count(MOST_KEYS) >= MOST_KEYS:
            raise APIError(409, f"There are {MOST_KEYS} keys, which is the limit.", code="too_many_keys")

    async def _record(self, action: AuditAction, by: Actor, subject: str, details: Mapping[str, object]) -> None:
        if self._audit is not None:
            await self._audit.record(action, by, subject, details)

    async def _get(self, id: str) -> StoredKey:
        stored = await self._store.get(id)
        if stored is None:
            raise APIError(404, f"API key '{id[:64]}' not found.", code="key_not_found")
        return stored

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


def _with_secret(key: Key) -> tuple[str, Key]:
    secret = new_secret()
    return secret, replace(key, hint=secret[-4:])


def _busy(id: str) -> APIError:
    return APIError(409, f"The key '{id}' is being changed by others.", code="conflict")


def _told(key: Key) -> dict[str, Any]:
    """Return what the audit log tells of a key."""
    names = ("owner", "name", "scopes", "models", "mcp_servers", "limits", "expires_at")
    return {name: getattr(key, name) for name in names}


def _key(stored: StoredKey) -> Key:
    return replace(msgspec.json.decode(stored.body, type=Key), last_used_at=stored.last_used_at)


def _stored(key: Key, digest: bytes) -> StoredKey:
    return StoredKey(id=key.id, owner=key.owner, digest=digest, created_at=key.created_at, body=_body(key))


def _body(key: Key) -> bytes:
    """Return what is stored of a key; the time of its last use is written apart."""
    return msgspec.json.encode(replace(key, last_used_at=None))
