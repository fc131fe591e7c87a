"""Routes: a model id with its endpoints. The least busy endpoint is called; another one if it refuses before the first token."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import TypeVar

import msgspec
from msgspec import Raw

from antiphon.backends.base import Backend, BackendModel, ByteStream, ModelCard, TurnStream
from antiphon.core.deltas import Delta
from antiphon.core.echo import Defaults
from antiphon.core.turn import Turn
from antiphon.errors import APIError, BackendError

log = logging.getLogger("antiphon.backends")

AVOID_SECONDS = 5.0
ATTEMPTS = 3

T = TypeVar("T")


class BackendHealth(msgspec.Struct, frozen=True):
    """How a backend does: `error` is what it last failed with, "" while it is well."""

    name: str
    up: bool
    models: int
    outstanding: int
    error: str


class Member:
    """A backend as the registry sees it: what it serves, how busy it is, whether to avoid it for now."""

    def __init__(self, backend: Backend, discover: bool) -> None:
        self.backend = backend
        self.discover = discover
        self.models: Sequence[BackendModel] = ()
        self.outstanding = 0
        self.error = ""
        self.complaint = ""
        self._avoided_until = 0.0

    @property
    def avoided(self) -> bool:
        return monotonic() < self._avoided_until

    def well(self) -> None:
        """Take note that it answered."""
        if self.error:
            log.info("backend %s answers again", self.backend.name)
            self.error = ""
        self._avoided_until = 0.0

    def failed(self, error: BackendError) -> None:
        """Take note of a failure; one that says "unreachable" or "not ready" keeps calls away for a few seconds."""
        if error.status == 503:
            if not self.error:
                log.warning("backend %s: %s", self.backend.name, error.message)
            self.error = error.message
            self._avoided_until = monotonic() + AVOID_SECONDS

    def take(self) -> Lease:
        return Lease(self)

    def health(self) -> BackendHealth:
        return BackendHealth(self.backend.name, not self.error, len(self.models), self.outstanding, self.error)


class Lease:
    """One call that a member is busy with, given back exactly once."""

    __slots__ = ("_member",)

    def __init__(self, member: Member) -> None:
        member.outstanding += 1
        self._member: Member | None = member

    def end(self) -> None:
        """Give it back. Idempotent."""
        if self._member is not None:
            self._member.outstanding -= 1
            self._member = None


class LeasedStream:
    """A TurnStream that gives its lease back when it ends, fails or is aborted."""

    __slots__ = ("_inner", "_lease")

    def __init__(self, inner: TurnStream, lease: Lease) -> None:
        self._inner = inner
        self._lease = lease

    async def read(self) -> Sequence[Delta]:
        try:
            deltas = await self._inner.read()
        except APIError:
            self._lease.end()
            raise
        if not deltas:
            self._lease.end()
        return deltas

    def abort(self) -> None:
        self._lease.end()
        self._inner.abort()


class LeasedBytes:
    """The same for a ByteStream."""

    def __init__(self, inner: ByteStream, lease: Lease) -> None:
        self.status = inner.status
        self.headers = inner.headers
        self._inner = inner
        self._lease = lease

    async def read(self) -> bytes:
        try:
            data = await self._inner.read()
        except APIError:
            self._lease.end()
            raise
        if not data:
            self._lease.end()
        return data

    def abort(self) -> None:
        self._lease.end()
        self._inner.abort()


class Endpoint(msgspec.Struct, frozen=True):
    """A model on a backend, under the backend's own name for it."""

    member: Member
    name: str


class ModelRoute:
    """A model id, ready to be called (see `Route`)."""

    def __init__(
        self,
        card: ModelCard,
        endpoints: Sequence[Endpoint],
        defaults: Defaults | None = None,
        instructions: str | None = None,
        extra_body: Mapping[str, Raw] | None = None,
    ) -> None:
        self.card = card
        self.endpoints = endpoints
        self.defaults = defaults or Defaults()
        self.instructions = instructions
        self.extra_body: Mapping[str, Raw] = extra_body or {}
        self._turn = 0

    async def open(self, turn: Turn) -> TurnStream:
        """Start a Turn on the least busy endpoint. Raises BackendError of the last one that was tried."""

        async def call(endpoint: Endpoint) -> TurnStream:
            named = turn if turn.model == endpoint.name else msgspec.structs.replace(turn, model=endpoint.name)
            return await endpoint.member.backend.open(named)

        stream, lease = await self._call(call)
        return LeasedStream(stream, lease)

    async def count_tokens(self, turn: Turn) -> int | None:
        """Count a Turn's input tokens, or None where the backend offers no way or does not answer."""
        endpoint = self._order()[0]
        try:
            return await endpoint.member.backend.count_tokens(msgspec.structs.replace(turn, model=endpoint.name))
        except BackendError as error:
            log.debug("backend %s does not count tokens: %s", endpoint.member.backend.name, error.message)
            return None

    async def chat_completions(self, fields: Mapping[str, Raw]) -> ByteStream:
        """Relay a chat completions request: `model` is replaced, defaults are filled in. Raises BackendError."""
        filled = {**self.extra_body, **_chat_defaults(self.defaults, fields), **fields}

        async def call(endpoint: Endpoint) -> ByteStream:
            filled["model"] = Raw(msgspec.json.encode(endpoint.name))
            return await endpoint.member.backend.chat_completions(msgspec.json.encode(filled))

        stream, lease = await self._call(call)
        return LeasedBytes(stream, lease)

    async def _call(self, call: Callable[[Endpoint], Awaitable[T]]) -> tuple[T, Lease]:
        """Try endpoints, least busy first, until one accepts; only failures that another one may not share go on."""
        endpoints = self._order()[:ATTEMPTS]
        for place, endpoint in enumerate(endpoints, 1):
            member = endpoint.member
            lease = member.take()
            try:
                result = await call(endpoint)
            except BaseException as error:
                lease.end()
                if not isinstance(error, BackendError):
                    raise
                member.failed(error)
                if place == len(endpoints) or not error.retriable:
                    raise
                log.debug("backend %s refused with %d; trying another", member.backend.name, error.status)
                continue
            if member.error:
                member.well()
            return result, lease
        raise AssertionError("a route has an endpoint")

    def _order(self) -> Sequence[Endpoint]:
        """Return the endpoints, best first; equally busy ones take turns."""
        endpoints = self.endpoints
        count = len(endpoints)
        if count == 1:
            return endpoints
        self._turn = (self._turn + 1) % count
        turned = [*endpoints[self._turn :], *endpoints[: self._turn]]
        return sorted(turned, key=lambda endpoint: (endpoint.member.avoided, endpoint.member.outstanding))


def _chat_defaults(defaults: Defaults, fields: Mapping[str, Raw]) -> dict[str, Raw]:
    wanted: dict[str, object] = {
        "temperature": defaults.temperature,
        "top_p": defaults.top_p,
        "reasoning_effort": defaults.reasoning_effort,
    }
    if "max_completion_tokens" not in fields:
        wanted["max_tokens"] = defaults.max_output_tokens
    return {name: Raw(msgspec.json.encode(value)) for name, value in wanted.items() if value is not None}
