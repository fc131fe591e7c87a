"""`/admin/keys`: create, list, read, change, revoke, rotate keys of the store. A secret is told once, where it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from antiphon.access.caller import ADMIN, parse_limits
from antiphon.access.key_uses import KeyUses
from antiphon.access.keys import Key, Keyring, Made, Rights
from antiphon.config.keys import KeyScope
from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.server.api.operator.auditing import PRIVATE, actor_of
from antiphon.server.api.paging import MAX_LIMIT, listing, whole_number
from antiphon.server.http.messages import SMALL_BODY, Reply, Request, json_reply
from antiphon.server.http.router import RouteTable
from antiphon.stores.records import KeyQuery

DAY = 86_400.0
LONGEST_OVERLAP = 365 * DAY
MOST_PATTERNS = 100
LATEST = 1 << 33

KeyName = Annotated[str, Meta(max_length=256)]
OwnerName = Annotated[str, Meta(max_length=256)]
Pattern = Annotated[str, Meta(min_length=1, max_length=512)]
Patterns = Annotated[list[Pattern], Meta(max_length=MOST_PATTERNS)]
LimitText = Annotated[str, Meta(min_length=1, max_length=256)]
Scopes = Annotated[list[KeyScope], Meta(min_length=1, max_length=MOST_PATTERNS)]
Expiry = Annotated[int, Meta(ge=1, le=LATEST)]
Limits = Annotated[list[LimitText], Meta(max_length=MOST_PATTERNS)]


class CreateKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /admin/keys`. Without `owner` the key has an owner of its own; times in Unix seconds."""

    name: KeyName = ""
    owner: OwnerName = ""
    scopes: Scopes | UnsetType = UNSET
    models: Patterns = []
    mcp_servers: Patterns = []
    limits: Limits = []
    expires_at: Expiry | None = None


class UpdateKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /admin/keys/{id}`: what is to change. The owner of a key stays."""

    name: KeyName | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET
    models: Patterns | UnsetType = UNSET
    mcp_servers: Patterns | UnsetType = UNSET
    limits: Limits | UnsetType = UNSET
    expires_at: Expiry | None | UnsetType = UNSET


class RotateKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /admin/keys/{id}/rotate`: the seconds for which the old key stays valid."""

    overlap: Annotated[float, Meta(ge=0, le=LONGEST_OVERLAP)] = DAY


_create = msgspec.json.Decoder(CreateKey)
_update = msgspec.json.Decoder(UpdateKey)
_rotate = msgspec.json.Decoder(RotateKey)


class KeyRoutes:
    """The handlers."""

    def __init__(self, keyring: Keyring, uses: KeyUses, closed: Callable[[], bool], clock: Callable[[], float]) -> None:
        """`closed`: whether there are keys beside those of the store, so that every request needs one."""
        self._keyring = keyring
        self._uses = uses
        self._closed = closed
        self._clock = clock

    async def create(self, request: Request) -> Reply:
        """POST /admin/keys: the only answer with the secret, as `key`, but for that of a rotation."""
        body = decode(_create, await request.body(most=SMALL_BODY) or b"{}")
        wanted = _rights(msgspec.structs.asdict(body))
        if not self._closed() and ADMIN not in wanted.get("scopes", ()) and not await self._keyring.count(1):
            raise InvalidRequest(
                "The first key must have the scope 'admin': from then on every request needs a key, and none could make another.",
                param="scopes",
            )
        return self._with_secret(await self._keyring.create(Rights(**wanted), actor_of(request)))

    async def list(self, request: Request) -> Reply:
        """GET /admin/keys: newest first; `limit`, `after`, `owner`."""
        await self._uses.flush()
        limit = whole_number(request, "limit", 20, 1, MAX_LIMIT)
        words = {name: values[-1] for name, values in request.query.items() if values}
        found = await self._keyring.page(KeyQuery(limit=limit + 1, after=words.get("after"), owner=words.get("owner")))
        if found is None:
            raise InvalidRequest("Invalid 'after': key not found.", param="after")
        shown = found[:limit]
        data = [self._shown(one) for one in shown]
        return json_reply(listing(data, [one.id for one in shown], len(found) > limit), headers=PRIVATE)

    async def read(self, request: Request) -> Reply:
        """GET /admin/keys/{id}."""
        await self._uses.flush()
        return json_reply(self._shown(await self._keyring.get(request.params["id"])), headers=PRIVATE)

    async def update(self, request: Request) -> Reply:
        """POST /admin/keys/{id}: what the body has changes."""
        body = decode(_update, await request.body(most=SMALL_BODY) or b"{}")
        changes = _rights(msgspec.structs.asdict(body))
        key = await self._keyring.update(request.params["id"], changes, actor_of(request))
        return json_reply(self._shown(key), headers=PRIVATE)

    async def revoke(self, request: Request) -> Reply:
        """DELETE /admin/keys/{id}: it ends now; who it was stays readable."""
        key = await self._keyring.revoke(request.params["id"], actor_of(request))
        return json_reply(self._shown(key), headers=PRIVATE)

    async def rotate(self, request: Request) -> Reply:
        """POST /admin/keys/{id}/rotate: another key with the same owner, scopes and limits."""
        overlap = decode(_rotate, await request.body(most=SMALL_BODY) or b"{}").overlap
        return self._with_secret(await self._keyring.rotate(request.params["id"], overlap, actor_of(request)))

    def _with_secret(self, made: Made) -> Reply:
        return json_reply({**self._shown(made.key), "key": made.secret}, headers=PRIVATE)

    def _shown(self, key: Key) -> dict[str, Any]:
        return {"object": "api_key", **msgspec.structs.asdict(key), "state": key.state(self._clock())}


def _rights(body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that a body has, as a key keeps them. Raises InvalidRequest."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in body.items()}
    given = {name: value for name, value in given.items() if value is not UNSET}
    try:
        given["limits"] = tuple(str(limit) for limit in parse_limits(given.get("limits", ())))
    except ValueError as error:
        raise InvalidRequest(f"Invalid 'limits': {error}.", param="limits") from None
    if "limits" not in body or body["limits"] is UNSET:
        del given["limits"]
    if "scopes" in given:
        given["scopes"] = tuple(sorted(set(given["scopes"])))
    return given


def add_keys(router: RouteTable, routes: KeyRoutes) -> None:
    """Register `/admin/keys`."""
    operator = frozenset((ADMIN,))
    router.add("POST", "/admin/keys", routes.create, scopes=operator)
    router.add("GET", "/admin/keys", routes.list, scopes=operator)
    router.add("GET", "/admin/keys/{id}", routes.read, scopes=operator)
    router.add("POST", "/admin/keys/{id}", routes.update, scopes=operator)
    router.add("DELETE", "/admin/keys/{id}", routes.revoke, scopes=operator)
    router.add("POST", "/admin/keys/{id}/rotate", routes.rotate, scopes=operator)
