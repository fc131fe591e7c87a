"""Routes: endpoints of a model, with retries and fallbacks before the first token."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

from antiphon.backends.base import (
    ByteStream,
    HostsTools,
    MessagesCaller,
    MessagesRelay,
    ModelCard,
    RelayedAnswer,
    Relays,
    RoutedStream,
    TurnStream,
)
from antiphon.backends.relaying import not_offered
from antiphon.backends.routing.call_queue import Waiter
from antiphon.backends.routing.endpoints import Endpoint, least_busy, preferred
from antiphon.backends.routing.leases import Lease, LeasedBytes, LeasedMessages, LeasedStream
from antiphon.backends.routing.prefix_keys import key_of_messages, key_of_turn
from antiphon.core.relayed_request import RelayedRequest
from antiphon.core.request.echo import Defaults
from antiphon.core.text.pieces import joined
from antiphon.core.turn import NO_HINTS, Hints, Turn, with_operators
from antiphon.errors import BackendError
from antiphon.runtime.offload import by_size
from antiphon.runtime.urgency import PATIENCE, PATIENT

log = logging.getLogger("antiphon.backends.routing")

ATTEMPTS = 3  # endpoints in one round
BACKOFF = 0.25  # seconds before the second round; doubled for each further one
LONGEST_PAUSE = 2.0
WORTH_ANOTHER_ROUND = (429, 502, 503)

S = TypeVar("S")
T = TypeVar("T")


class ModelRoute:
    """A model id, ready to be called (see `Route`).

    `retries` are further rounds over the endpoints, `fallbacks` gives the routes that stand in.
    """

    def __init__(
        self,
        card: ModelCard,
        endpoints: Sequence[Endpoint],
        defaults: Defaults | None = None,
        instructions: str | None = None,
        extra_body: Mapping[str, Raw] | None = None,
        *,
        retries: int = 0,
        fallbacks: Callable[[], Sequence[ModelRoute]] | None = None,
    ) -> None:
        self.card = card
        self.endpoints = endpoints
        self.defaults = defaults or Defaults()
        self.instructions = instructions
        self.extra_body: Mapping[str, Raw] = extra_body or {}
        self._retries = retries
        self._fallbacks = fallbacks
        self._turn = 0

    @property
    def inline_images(self) -> bool:
        """Whether a backend that may be called is to get media as data instead of URLs (`BackendConfig.inline_images`)."""
        routes = [self, *(self._fallbacks() if self._fallbacks is not None else ())]
        return any(one.member.policy.inline_images for route in routes for one in route.endpoints)

    def open(self, turn: Turn) -> Coroutine[object, object, RoutedStream]:
        """Start a Turn on an endpoint. Raises BackendError of the last one that was tried."""
        if self._fallbacks is None:
            return self.open_here(turn)

        async def call(route: ModelRoute) -> RoutedStream:
            return await route.open_here(turn)

        return self._somewhere(call)

    def open_here(self, turn: Turn) -> Coroutine[object, object, RoutedStream]:
        """Start a Turn on an endpoint of this very model. Raises BackendError."""

        def call(endpoint: Endpoint) -> Awaitable[TurnStream]:
            named = turn if turn.model == endpoint.name else msgspec.structs.replace(turn, model=endpoint.name)
            return endpoint.member.backend.open(named)

        key = key_of_turn(turn) if len(self.endpoints) > 1 else ""
        return self._call(call, self._leased, turn.hints, key)

    def _leased(self, stream: TurnStream, lease: Lease) -> LeasedStream:
        member = lease.member if len(self.endpoints) > 1 else None
        backend_id = member.backend_id if member is not None else ""
        return LeasedStream(stream, lease, backend_id, getattr(stream, "ignored", ()))

    def position(self, response: str) -> int:
        """Return the best position of a response's call in the queues, from 1 on; 0 where it does not wait."""
        routes = [self, *(self._fallbacks() if self._fallbacks is not None else ())]
        positions = [one.member.queue.position(response) for route in routes for one in route.endpoints]
        return min(filter(None, positions), default=0)

    async def count_tokens(self, turn: Turn) -> int | None:
        """Count a Turn's input tokens, or None where the backend offers no way or does not answer."""
        endpoint = least_busy(self.endpoints, 0)[0]
        try:
            return await endpoint.member.backend.count_tokens(msgspec.structs.replace(turn, model=endpoint.name))
        except BackendError as error:
            log.debug("backend %s: counting tokens failed: %s", endpoint.member.backend.name, error.message)
            return None

    async def chat_completions(self, fields: Mapping[str, Raw], hints: Hints = NO_HINTS) -> ByteStream:
        """Relay a chat completions request: `model` is replaced, defaults are filled in. Raises BackendError."""

        async def call(route: ModelRoute) -> ByteStream:
            return await route.chat_completions_here(fields, hints)

        return await self._somewhere(call)

    async def chat_completions_here(self, fields: Mapping[str, Raw], hints: Hints) -> ByteStream:
        """Relay a chat completions request to an endpoint of this very model. Raises BackendError."""
        size = sum([len(bytes(value)) for value in fields.values()])
        filled = dict(with_operators({**_chat_defaults(self.defaults, fields), **fields}, self.extra_body))

        async def call(endpoint: Endpoint) -> ByteStream:
            filled["model"] = Raw(msgspec.json.encode(endpoint.name))
            body = await by_size(size, _written, filled)
            return await endpoint.member.backend.chat_completions(body)

        key = _cache_key(fields) or (await by_size(size, key_of_messages, fields) if len(self.endpoints) > 1 else "")
        return await self._call(call, LeasedBytes, hints, key)

    async def relay(self, request: RelayedRequest, hints: Hints = NO_HINTS) -> ByteStream:
        """Pass a request on to another route of a backend. Raises BackendError."""

        async def call(route: ModelRoute) -> ByteStream:
            return await route.relay_here(request, hints)

        return await self._somewhere(call)

    async def relay_here(self, request: RelayedRequest, hints: Hints) -> ByteStream:
        """Pass a request on to an endpoint of this very model. Raises BackendError."""

        async def call(endpoint: Endpoint) -> ByteStream:
            backend = endpoint.member.backend
            if not isinstance(backend, Relays):
                raise not_offered(request.route)
            return await backend.relay(request, endpoint.name, self.extra_body, hints)

        return await self._call(call, LeasedBytes, hints, request.key)

    @property
    def runs_hosted_tools(self) -> bool:
        """Whether all backends that may answer run hosted tools themselves."""
        return self._all(HostsTools)

    @property
    def relays_chat(self) -> bool:
        """Whether all backends that may answer speak chat completions themselves."""
        return all(one.member.policy.chat_completions for one in self._all_endpoints())

    @property
    def relays_messages(self) -> bool:
        """Whether all backends that may answer speak the Messages API themselves."""
        return self._all(MessagesRelay)

    def _all_endpoints(self) -> Sequence[Endpoint]:
        routes = [self, *(self._fallbacks() if self._fallbacks is not None else ())]
        return [one for route in routes for one in route.endpoints]

    def _all(self, kind: type[object]) -> bool:
        """Tell whether all backends that may answer are of a kind."""
        endpoints = self.endpoints if self._fallbacks is None else self._all_endpoints()
        for one in endpoints:
            if not one.member.is_of(kind):
                return False
        return bool(endpoints)

    async def relay_messages(
        self, fields: Mapping[str, Raw], caller: MessagesCaller, hints: Hints = NO_HINTS, *, count: bool = False
    ) -> RelayedAnswer:
        """Relay a Messages request: only `model` is replaced, and the operator's `extra_body` added. Raises BackendError."""

        async def call(route: ModelRoute) -> RelayedAnswer:
            return await route.relay_messages_here(fields, caller, hints, count=count)

        return await self._somewhere(call)

    async def relay_messages_here(
        self, fields: Mapping[str, Raw], caller: MessagesCaller, hints: Hints, *, count: bool
    ) -> RelayedAnswer:
        """Relay a Messages request to an endpoint of this very model. Raises BackendError."""
        size = sum([len(bytes(value)) for value in fields.values()])
        filled = dict(fields) if count else dict(with_operators(fields, self.extra_body))

        async def call(endpoint: Endpoint) -> RelayedAnswer:
            backend = endpoint.member.backend
            assert isinstance(backend, MessagesRelay)
            filled["model"] = Raw(msgspec.json.encode(endpoint.name))
            body = await by_size(size, _written, filled)
            return await backend.relay_messages(body, caller, count=count)

        key = await by_size(size, key_of_messages, fields) if len(self.endpoints) > 1 else ""
        return await self._call(call, LeasedMessages, hints, key)

    # Another model

    async def _somewhere(self, call: Callable[[ModelRoute], Awaitable[T]]) -> T:
        """Call this model, or where it cannot answer one that stands in for it."""
        try:
            return await call(self)
        except BackendError as error:
            if not error.retriable or self._fallbacks is None:
                raise
            for route in self._fallbacks():
                log.warning(
                    "model %s: failed with status %d; falling back to %s", self.card.id, error.status, route.card.id
                )
                try:
                    return await call(route)
                except BackendError as another:
                    if not another.retriable:
                        raise
            raise

    # Another endpoint

    async def _call(
        self, call: Callable[[Endpoint], Awaitable[S]], leased: Callable[[S, Lease], T], hints: Hints, key: str
    ) -> T:
        """Try endpoints until one accepts; only failures that another one may not share go on.

        `leased` ties what a call gives to the slot that it has taken.
        """
        tried: list[Endpoint] = []
        rounds = 0
        while True:
            endpoints = self._candidates(tried)
            if not endpoints:
                raise self._broken()
            endpoint = self._best(endpoints, hints.backend_id, key)
            member = endpoint.member
            if member.has_room:
                member.take()
            else:
                endpoint = await _wait(endpoints, hints)
                member = endpoint.member
            lease = Lease(member)
            try:
                result = leased(await call(endpoint), lease)
            except BackendError as error:
                lease.end()
                member.failed(error)
                if not error.retriable:
                    raise
                tried.append(endpoint)
                log.debug("backend %s: refused with status %d", member.backend.name, error.status)
                if len(tried) < ATTEMPTS and self._candidates(tried):
                    continue
                pause = _pause(error, rounds)
                if rounds >= self._retries or pause is None:
                    raise
                rounds += 1
                tried.clear()
                await asyncio.sleep(pause)
                if not self._candidates(()):
                    raise
            except BaseException:
                lease.end()
                member.breaker.ended()
                raise
            else:
                member.answered()
                return result

    def _candidates(self, tried: Sequence[Endpoint]) -> Sequence[Endpoint]:
        """Return the endpoints that may be called: where all circuits are open, those that at least answer.

        A model's only endpoint is always called, even with an open circuit: no other endpoint could answer instead. Otherwise
        failures of some requests would refuse all others.
        """
        left = [endpoint for endpoint in self.endpoints if endpoint not in tried] if tried else self.endpoints
        if len(left) == 1 and (len(self.endpoints) == 1 or not left[0].member.breaker.broken):
            return left
        admitted = [endpoint for endpoint in left if endpoint.member.breaker.admits]
        return admitted or [endpoint for endpoint in left if not endpoint.member.breaker.silent]

    def _best(self, endpoints: Sequence[Endpoint], backend_id: str, key: str) -> Endpoint:
        if len(endpoints) == 1:
            return endpoints[0]
        if backend_id or key:
            found = preferred(endpoints, backend_id, key)
            if found is not None:
                return found
        self._turn = (self._turn + 1) % len(endpoints)
        return least_busy(endpoints, self._turn)[0]

    def _broken(self) -> BackendError:
        seconds = min(endpoint.member.breaker.seconds_left for endpoint in self.endpoints)
        return BackendError(
            503,
            "The model's backends cannot be reached at present.",
            code="backend_unavailable",
            headers={"Retry-After": str(int(seconds) + 1)},
            retriable=True,
        )


async def _wait(endpoints: Sequence[Endpoint], hints: Hints) -> Endpoint:
    """Wait for a slot at any of the endpoints, and take it. Raises BackendError 503."""
    patient = PATIENT.get()
    queues = [one for one in endpoints if one.member.queue.room(one.member.policy.max_waiting, patient=patient)]
    if not queues:
        raise _busy("Too many requests are waiting for this model.")
    waiter = Waiter(hints.owner, hints.response, patient=patient)
    for endpoint in queues:
        endpoint.member.join(waiter)
    try:
        longest = max(endpoint.member.policy.wait_timeout for endpoint in queues)
        async with asyncio.timeout(max(PATIENCE.get(), longest)):
            member = await asyncio.shield(waiter.slot)
    except BaseException as error:
        if waiter.slot.done():
            waiter.slot.result().give_back()
        waiter.slot.cancel()
        if isinstance(error, TimeoutError):
            raise _busy("This request waited too long for a free slot at the model's backends.") from None
        raise
    finally:
        for endpoint in queues:
            endpoint.member.queue.leave(waiter)
    return next(endpoint for endpoint in queues if endpoint.member is member)


def _busy(message: str) -> BackendError:
    return BackendError(503, message, code="backend_busy", headers={"Retry-After": "5"}, retriable=True)


def _pause(error: BackendError, rounds: int) -> float | None:
    """Return the seconds to wait before another round, or None where none is worth while."""
    if error.status not in WORTH_ANOTHER_ROUND:
        return None
    pause: float = BACKOFF * 2**rounds
    asked = error.headers.get("Retry-After", "")
    if error.status == 429 and asked.isdigit():
        return max(pause, int(asked)) if int(asked) <= LONGEST_PAUSE else None
    return min(pause, LONGEST_PAUSE)


def _cache_key(fields: Mapping[str, Raw]) -> str:
    raw = fields.get("prompt_cache_key")
    try:
        return msgspec.json.decode(raw, type=str) if raw else ""
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


def _written(fields: Mapping[str, Raw]) -> bytes:
    parts = [b"{"]
    for name, value in fields.items():
        parts += (msgspec.json.encode(name), b":", bytes(value), b",")
    parts[-1] = b"}"
    return joined(parts)


def _chat_defaults(defaults: Defaults, fields: Mapping[str, Raw]) -> dict[str, Raw]:
    wanted: dict[str, object] = {
        "temperature": defaults.temperature,
        "top_p": defaults.top_p,
        "reasoning_effort": defaults.reasoning_effort,
    }
    if "max_completion_tokens" not in fields:
        wanted["max_tokens"] = defaults.max_output_tokens
    return {name: Raw(msgspec.json.encode(value)) for name, value in wanted.items() if value is not None}
