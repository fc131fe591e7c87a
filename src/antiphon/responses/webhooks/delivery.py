"""Webhooks: tell configured receivers that a background response or a batch has ended; signed as OpenAI does (Standard Webhooks).

Pending deliveries are in the store: any process on the store delivers them, also after a restart.
An event may come twice, with the same `webhook-id`; after five attempts within some ten minutes it is given up.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import quote, urlsplit

import msgspec

from antiphon.config import WebhookConfig
from antiphon.core.json_encoding import to_json
from antiphon.errors import APIError, BackendError, ConfigError, InvalidRequest
from antiphon.net.http.address import Address
from antiphon.net.http.client import HttpClient, Timeouts
from antiphon.net.proxies import proxy_for
from antiphon.net.url_guard import split_url
from antiphon.stores.base import DeliveryStore
from antiphon.stores.records import Delivery

log = logging.getLogger("antiphon.responses.webhooks")

EVENTS = (
    "response.completed",
    "response.failed",
    "response.incomplete",
    "response.cancelled",
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "budget.threshold_reached",
)
DELAYS = (5.0, 30.0, 120.0, 420.0)
"""Seconds between an attempt that failed and the next one."""

LEASE = 60.0  # seconds after which a delivery is due again whose process has died
SECONDS = 30.0  # for one attempt, and shorter than the lease
POLL = 30.0  # seconds between two looks for what other processes have left
MOST_AT_ONCE = 16
MOST_OF_OWNER = 8  # at once: slow receivers of one owner do not hold up those of others
CROWDED = 1.0  # seconds between two looks while an owner has as many
GONE = 410
SAFE = "/%:@!$&'()*+,;=~?"
TIMEOUTS = Timeouts(connect=10.0, first_byte=20.0, idle=10.0)


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """URL of a receiver, the keys that sign its events, and the types of events that it gets."""

    address: Address
    target: str
    keys: Sequence[bytes]
    events: Sequence[str]


class OwnReceivers(Protocol):
    """Receivers that owners have named themselves."""

    async def wanting(self, type: str, owner: str) -> Sequence[str]:
        """Return the ids of an owner's receivers that get events of a type."""
        ...

    async def receiver(self, id: str, owner: str) -> Receiver | None:
        """Return a receiver, None where it is gone. Raises InvalidRequest where its URL may not be called."""
        ...


class Webhooks:
    """Delivers events to the receivers of the configuration, and to an owner's `own`.

    Raises ConfigError for a receiver that cannot be.
    """

    def __init__(
        self,
        configs: Mapping[str, WebhookConfig],
        deliveries: DeliveryStore,
        clock: Callable[[], float] = time.time,
        *,
        delays: Sequence[float] = DELAYS,
        own: OwnReceivers | None = None,
    ) -> None:
        self._receivers = {config.url: _receiver(name, config) for name, config in configs.items()}
        self._deliveries = deliveries
        self._clock = clock
        self._delays = delays
        self._own = own
        self._wake = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._sending: dict[asyncio.Task[None], Delivery] = {}

    async def start(self) -> None:
        """Start delivering, pending deliveries included; without receivers nothing runs."""
        if (self._receivers or self._own is not None) and self._runner is None:
            self._runner = asyncio.create_task(self._run())

    async def notify(self, type: str, of: str, owner: str) -> None:
        """Note that a background response or a batch has ended (`type` such as `response.completed`); `of` is its id.

        Returns once that is in the store, without waiting for any receiver; never raises.
        """
        # The id follows from what it is of: who notifies twice, before and after a crash, makes no second event.
        await self.tell(f"evt_{of.removeprefix('resp_')}", type, owner, {"id": of})

    async def tell(self, id: str, type: str, owner: str, data: Mapping[str, object]) -> None:
        """Note an event; return once it is in the store. Never raises."""
        now = self._clock()
        body = to_json({"id": id, "object": "event", "created_at": int(now), "type": type, "data": data})
        try:
            urls = [url for url, receiver in self._receivers.items() if type in receiver.events]
            if self._own is not None:
                urls += await self._own.wanting(type, owner)
            if not urls:
                return
            await self._deliveries.put([Delivery(id=id, url=url, owner=owner, body=body, due=now) for url in urls])
        except APIError:
            log.error("webhooks: event %s (%s) is lost: the store is unavailable", id, type)
        except Exception:
            log.exception("webhooks: storing event %s (%s) failed; the event is lost", id, type)
        self._wake.set()

    async def close(self) -> None:
        """Stop; unfinished attempts are cancelled and due again at the next start."""
        tasks = [task for task in (self._runner, *self._sending) if task is not None]
        unfinished = list(self._sending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for delivery in unfinished:
            await self._deliveries.postpone(delivery.id, delivery.url, self._clock())
        self._runner = None

    # Deliveries

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = await self._begin_due()
            except APIError:
                log.debug("webhooks: reading pending deliveries failed: the store is unavailable")
                wait = POLL
            except Exception:
                log.exception("webhooks: reading pending deliveries failed")
                wait = POLL
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _begin_due(self) -> float:
        """Begin all deliveries that are due; return how many seconds the next one is away."""
        while len(self._sending) < MOST_AT_ONCE:
            crowded = self._crowded()
            delivery = await self._deliveries.claim(self._clock(), LEASE, crowded)
            if delivery is None:
                due = await self._deliveries.next_due()
                least = CROWDED if crowded else 0.0
                return POLL if due is None else min(POLL, max(least, due - self._clock()))
            task = asyncio.create_task(self._deliver(delivery))
            self._sending[task] = delivery
            task.add_done_callback(self._sent)
        return POLL  # whichever ends first wakes

    def _crowded(self) -> Sequence[str]:
        """Return the owners of whom no more is sent at present."""
        sending = Counter(delivery.owner for delivery in self._sending.values())
        return [owner for owner, number in sending.items() if number >= MOST_OF_OWNER]

    def _sent(self, task: asyncio.Task[None]) -> None:
        del self._sending[task]
        self._wake.set()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, APIError):
            log.warning("webhooks: result of a delivery not recorded, it is sent again: the store is unavailable")
        elif error is not None:
            log.error("webhooks: delivery failed, will be retried", exc_info=error)

    async def _deliver(self, delivery: Delivery) -> None:
        done = await self._attempt(delivery)
        if not done and delivery.attempts > len(self._delays):
            log.error("webhooks: event %s dropped after %d attempts", delivery.id, delivery.attempts)
            done = True
        if done:
            await self._deliveries.finish(delivery.id, delivery.url)
        else:
            due = self._clock() + self._delays[delivery.attempts - 1]
            await self._deliveries.postpone(delivery.id, delivery.url, due)

    async def _attempt(self, delivery: Delivery) -> bool:
        """Make one attempt; tell whether the delivery is done: accepted, refused for good, or its receiver gone."""
        receiver = self._receivers.get(delivery.url)
        try:
            if receiver is None and self._own is not None:
                receiver = await self._own.receiver(delivery.url, delivery.owner)
            if receiver is None:
                return True
            status = await send(receiver, delivery.id, int(self._clock()), delivery.body)
        except InvalidRequest as error:
            log.warning("webhooks: %s cannot be called for event %s: %s", delivery.url, delivery.id, error)
            return False
        except (BackendError, TimeoutError):
            shown = delivery.url if receiver is None else receiver.address.authority
            log.warning("webhooks: %s did not answer for event %s", shown, delivery.id)
            return False
        if not 200 <= status < 300:
            log.warning(
                "webhooks: %s rejected event %s with status %d", receiver.address.authority, delivery.id, status
            )
        return 200 <= status < 300 or status == GONE


async def send(receiver: Receiver, id: str, now: int, body: bytes) -> int:
    """Post an event; return the status of the answer. Raises BackendError and TimeoutError."""
    headers = signature(receiver.keys, id, now, body)
    client = HttpClient(receiver.address, headers=headers, timeouts=TIMEOUTS, proxy=proxy_for(receiver.address))
    try:
        async with asyncio.timeout(SECONDS):
            return (await client.send("POST", receiver.target, body)).status
    finally:
        await client.close()


def signature(keys: Sequence[bytes], id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of an event that each key has signed (Standard Webhooks). `timestamp` in Unix seconds."""
    text = b"%b.%d.%b" % (id.encode(), timestamp, body)
    signed = [base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode() for key in keys]
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{one}" for one in signed),
    }


def _receiver(name: str, config: WebhookConfig) -> Receiver:
    """Parse a receiver's settings. Raises ConfigError, without the secret."""
    unknown = [event for event in config.events if event not in EVENTS]
    if unknown:
        raise ConfigError(
            f"webhooks.{name}.events: '{unknown[0]}' is not an event type; expected one of {', '.join(EVENTS)}"
        )
    try:
        address, target = address_of(config.url)
    except InvalidRequest:
        raise ConfigError(f"webhooks.{name}.url: expected http://host/path or https://…") from None
    return Receiver(address=address, target=target, keys=[_key(name, config.secret)], events=config.events or EVENTS)


def address_of(url: str) -> tuple[Address, str]:
    """Return the address and the target of a receiver's URL. Raises InvalidRequest."""
    host, port = split_url(url, "url")
    try:
        host = host.encode("idna").decode("ascii")
    except UnicodeError:
        raise InvalidRequest("The URL's host is not a valid name.", param="url", code="invalid_url") from None
    parts = urlsplit(url)
    target = quote(parts.path or "/", safe=SAFE) + (f"?{quote(parts.query, safe=SAFE)}" if parts.query else "")
    return Address(host=host, port=port, tls=parts.scheme == "https"), target


def _key(name: str, secret: str) -> bytes:
    try:
        encoded = secret.removeprefix("whsec_")
        key = base64.b64decode(encoded, validate=True) if encoded != secret else secret.encode()
    except (binascii.Error, ValueError):
        raise ConfigError(f"webhooks.{name}.secret: the part after whsec_ must be base64") from None
    if not key:
        raise ConfigError(f"webhooks.{name}.secret: must not be empty")
    return key
