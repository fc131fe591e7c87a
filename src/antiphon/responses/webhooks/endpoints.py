"""WebhookEndpoints: receivers of events that owners name themselves. Their secrets are shown once, and kept sealed.

Where a URL leads is looked at when it is named, and each time that something is sent there.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from antiphon.core.json_encoding import to_json
from antiphon.errors import APIError, BackendError, ConfigError, InvalidRequest, NotFound
from antiphon.net.proxies import proxy_for
from antiphon.net.url_guard import UrlGuard
from antiphon.responses.sealing import Sealer, SealError
from antiphon.responses.webhooks.delivery import Receiver, address_of, send
from antiphon.runtime.fair_turns import FairTurns
from antiphon.stores.base import WebhookEndpointStore
from antiphon.stores.records import ListPage
from antiphon.stores.webhook_records import StoredWebhook

MOST = 20
"""Endpoints of an owner."""

OLD_SECONDS = 86_400
"""Seconds for which a secret signs on that was rotated, where that is asked for."""

PREFIX = "whsec_"
SECRET_BYTES = 32
SHOWN = 4  # last characters of a secret that its hint shows
TESTS_AT_ONCE, TESTS_OF_OWNER = 8, 2

_types = msgspec.json.Decoder(list[str])


class NewSecret(msgspec.Struct, frozen=True):
    """An endpoint and its secret, which is shown once."""

    endpoint: StoredWebhook
    secret: str


class WebhookEndpoints:
    """The endpoints of all owners. Satisfies OwnReceivers."""

    def __init__(
        self, store: WebhookEndpointStore, sealer: Sealer, guard: UrlGuard, clock: Callable[[], float]
    ) -> None:
        self.store = store
        self._sealer = sealer
        self._guard = guard
        self._clock = clock
        self._tests = FairTurns(TESTS_AT_ONCE, TESTS_OF_OWNER)

    async def create(self, id: str, owner: str, name: str, url: str, types: Sequence[str]) -> NewSecret:
        """Make an endpoint. Raises APIError: 400 for a URL that may not be called, 429 where there are too many."""
        await self._check(url)
        now = int(self._clock())
        secret, sealed, hint = self._new_secret(owner)
        endpoint = StoredWebhook(
            id=id,
            owner=owner,
            name=name,
            url=url,
            event_types=to_json(types),
            secret=sealed,
            hint=hint,
            created_at=now,
            updated_at=now,
        )
        if not await self.store.create(endpoint, MOST):
            raise APIError(429, f"Too many webhook endpoints: at most {MOST} are allowed.", code="rate_limit_exceeded")
        return NewSecret(endpoint, secret)

    async def get(self, id: str, owner: str) -> StoredWebhook:
        """Return an endpoint. Raises NotFound."""
        endpoint = await self.store.get(id, owner)
        if endpoint is None:
            raise NotFound(f"Webhook endpoint '{id}' not found.", param="id", code="webhook_endpoint_not_found")
        return endpoint

    async def update(
        self, id: str, owner: str, name: str | None, url: str | None, types: Sequence[str] | None
    ) -> StoredWebhook:
        """Change what is not None. Raises APIError 400 or 404."""
        before = await self.get(id, owner)
        if url is not None and url != before.url:
            await self._check(url)
        after = replace(
            before,
            name=before.name if name is None else name,
            url=before.url if url is None else url,
            event_types=before.event_types if types is None else to_json(types),
        )
        return before if after == before else await self._put(replace(after, updated_at=int(self._clock())))

    async def rotate(self, id: str, owner: str, *, keep_old: bool) -> NewSecret:
        """Give an endpoint another secret; with `keep_old` the one before signs too for a day. Raises NotFound."""
        before = await self.get(id, owner)
        now = int(self._clock())
        secret, sealed, hint = self._new_secret(owner)
        old = {"old_secret": before.secret, "old_until": now + OLD_SECONDS} if keep_old else {}
        after = replace(before, secret=sealed, hint=hint, updated_at=now, **{"old_secret": "", "old_until": 0, **old})
        return NewSecret(await self._put(after), secret)

    async def delete(self, id: str, owner: str) -> None:
        """Delete an endpoint; events that wait for it go with their next attempt. Raises NotFound."""
        if not await self.store.delete(id, owner):
            await self.get(id, owner)

    async def test(self, id: str, owner: str, event_id: str, type: str) -> int:
        """Send a sample event; return the status of the answer. Raises APIError: 404, 400 where nothing answers."""
        await self.get(id, owner)
        noun = type.partition(".")[0]
        sample = {"id": f"{'resp' if noun == 'response' else noun}_sample"}
        now = int(self._clock())
        body = to_json({"id": event_id, "object": "event", "created_at": now, "type": type, "data": sample})
        async with self._tests.turn(owner):
            receiver = await self.receiver(id, owner)
            if receiver is None:
                await self.get(id, owner)
                raise APIError(500, "The endpoint's secret cannot be read: rotate it.", code="server_error")
            try:
                return await send(receiver, event_id, now, body)
            except (BackendError, TimeoutError):
                raise InvalidRequest(
                    "The webhook endpoint did not answer.", param="url", code="url_not_reachable"
                ) from None

    # For deliveries

    async def wanting(self, type: str, owner: str) -> Sequence[str]:
        """Return the ids of an owner's endpoints that get events of a type."""
        found = await self.store.list(owner, ListPage(limit=MOST)) or ()
        return [one.id for one in found if type in types_of(one)]

    async def receiver(self, id: str, owner: str) -> Receiver | None:
        """Return where events go, and the keys that sign them; None where the endpoint is gone, or no key can be read."""
        endpoint = await self.store.get(id, owner)
        if endpoint is None:
            return None
        sealed = [endpoint.secret]
        if endpoint.old_secret and endpoint.old_until > self._clock():
            sealed.append(endpoint.old_secret)
        try:
            keys = [await asyncio.to_thread(self._open, one, owner) for one in sealed]
        except SealError:
            return None
        address, target = address_of(endpoint.url)
        try:
            ip = await self._guard.resolve_for(proxy_for(address), address.host, address.port, "url")
        except ConfigError:
            raise InvalidRequest("The URL's host is not a valid name.", param="url", code="invalid_url") from None
        return Receiver(address=replace(address, ip=ip), target=target, keys=keys, events=types_of(endpoint))

    async def _check(self, url: str) -> None:
        address_of(url)
        await self._guard.check(url, "url")

    async def _put(self, endpoint: StoredWebhook) -> StoredWebhook:
        if not await self.store.update(endpoint):
            await self.get(endpoint.id, endpoint.owner)
        return endpoint

    def _new_secret(self, owner: str) -> tuple[str, str, str]:
        """Return a secret, sealed, and its hint."""
        secret = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        return secret, self._sealer.seal(secret, "webhook", owner), f"{PREFIX}…{secret[-SHOWN:]}"

    def _open(self, sealed: str, owner: str) -> bytes:
        return base64.b64decode(self._sealer.open(sealed, "webhook", owner).removeprefix(PREFIX))


def types_of(endpoint: StoredWebhook) -> Sequence[str]:
    """Return the types of events that an endpoint gets."""
    return _types.decode(endpoint.event_types)
