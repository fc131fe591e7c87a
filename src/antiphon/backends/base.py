"""The seam to whatever makes tokens: Backend, its open call (TurnStream), and Route, which picks one for a model id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec
from msgspec import Raw

from antiphon.core.deltas import Delta
from antiphon.core.model_types import TEXT_GENERATION
from antiphon.core.relayed_request import RelayedRequest
from antiphon.core.request.echo import Defaults
from antiphon.core.text.pieces import joined
from antiphon.core.turn import NO_HINTS, Hints, Turn
from antiphon.errors import BackendError, InvalidRequest
from antiphon.types.response import Usage

NAMED_IN_ERRORS = 20


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a model can do; what it cannot is refused with 400 before anything streams (contract, "Models")."""

    responses: bool = True
    chat_completions: bool = True
    functions: bool = True
    images: bool = True
    audio: bool = False
    structured_outputs: bool = True
    reasoning: bool = True


class BackendModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as a backend lists it. `context_length` is in tokens; None where the backend does not say. `type`: "" likewise."""

    id: str
    created: int = 0
    owned_by: str = ""
    context_length: int | None = None
    capabilities: Capabilities = Capabilities()
    parameters_number: str | None = None
    type: str = ""


Take = Callable[[Sequence[Delta]], bool]
"""Callback for a non-empty batch of Deltas. May run inside a callback of the event loop, so it must not block. Returns False to
pause."""


class TurnStream(Protocol):
    """One model call that the backend has accepted.

    Cancelling a `pour` and then calling `abort` must be safe, and so must calling `abort` twice or after the end.
    """

    async def pour(self, take: Take) -> bool:
        """Give all Deltas to `take` as they come. Returns True at the end, False once `take` wanted no more: call it again.

        Raises BackendError when the backend fails, times out or breaks off in mid-answer, and what `take` raises.
        """
        ...

    def abort(self) -> None:
        """Let go of the call at once: the backend sees the connection close. Idempotent."""
        ...


async def read(stream: TurnStream) -> Sequence[Delta]:
    """Return all Deltas that are there now, waiting for the first; empty at the end. Raises BackendError."""
    deltas: list[Delta] = []

    def take(some: Sequence[Delta]) -> bool:
        deltas.extend(some)
        return False

    await stream.pour(take)
    return deltas


class RoutedStream(TurnStream, Protocol):
    """A TurnStream that knows where it is answered."""

    backend_id: str
    """Opaque id of the backend for `Hints.backend_id`; "" where there is only one."""

    @property
    def ignored(self) -> Sequence[str]:
        """Names of the request's wishes that the backend was not told, as it refuses them."""
        ...


class ByteStream(Protocol):
    """A backend's raw answer, for relaying: status, headers worth keeping, and the body in pieces."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]

    async def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end. Raises BackendError."""
        ...

    def abort(self) -> None:
        """Let go of the call at once. Idempotent."""
        ...


async def whole_body(answer: ByteStream, most: int, hold: Callable[[int], None] | None = None) -> bytes:
    """Return the body of an answer that comes whole; `hold` counts its bytes.

    Raises BackendError, also for one that has more than `most` bytes, and what `hold` raises.
    """
    parts: list[bytes] = []
    size = 0
    while data := await answer.read():
        size += len(data)
        if size > most:
            raise BackendError(502, "The backend's answer is too large.")
        if hold is not None:
            hold(len(data))
        parts.append(data)
    return joined(parts)


async def read_whole(answer: ByteStream, most: int) -> bytes:
    """Return the body of an answer, and let go of the call. Raises BackendError."""
    try:
        return await whole_body(answer, most)
    finally:
        answer.abort()


class RelayedAnswer(ByteStream, Protocol):
    """The raw answer to a relayed Messages request, whose token counts are read while it passes."""

    @property
    def said(self) -> int:
        """Events so far: what is counted where no token counts come."""
        ...

    @property
    def incomplete(self) -> bool:
        """Whether the answer was cut off, as far as it was read for its token counts."""
        ...

    def usage(self) -> Usage | None:
        """Return the token counts so far; None where there are none."""
        ...


class MessagesCaller(msgspec.Struct, frozen=True):
    """What a client of the Messages API says in its headers: the version of the API, and beta features."""

    version: str = ""
    betas: Sequence[str] = ()


@runtime_checkable
class HostsTools(Protocol):
    """A Backend that speaks Responses itself: hosted tools, and the ids that they name, are its own."""

    runs_hosted_tools: bool


@runtime_checkable
class MessagesRelay(Protocol):
    """A Backend that speaks the Messages API itself, so that a client's request can be passed on as it is."""

    async def relay_messages(self, body: bytes, caller: MessagesCaller, *, count: bool = False) -> RelayedAnswer:
        """Pass a request on whose `model` is the backend's own name already. `count`: to count its tokens.

        A refusal of the request itself is an answer, in the backend's own words. Raises BackendError for others.
        """
        ...


@runtime_checkable
class Relays(Protocol):
    """A Backend whose server has further routes, such as `/embeddings`, to which requests are passed on."""

    async def relay(self, request: RelayedRequest, model: str, extra: Mapping[str, Raw], hints: Hints) -> ByteStream:
        """Pass a request on, with the backend's own name of the model and the operator's `extra` fields.

        Raises BackendError; 400 `unsupported_model` where the server has no such route.
        """
        ...


@runtime_checkable
class Loads(Protocol):
    """A Backend that takes time before it answers its first call: it loads a model."""

    @property
    def healthy(self) -> bool:
        """Tell whether calls would be answered at once."""
        ...


@runtime_checkable
class JsonEndpoints(Protocol):
    """A Backend whose server has further endpoints, such as `/embeddings` and `/rerank`."""

    async def post(self, endpoint: str, body: bytes) -> bytes:
        """Send JSON to an endpoint below the base URL; return the answer. Raises BackendError."""
        ...


class Backend(Protocol):
    """A server or engine that makes tokens."""

    name: str

    async def open(self, turn: Turn) -> TurnStream:
        """Start a model call; return once the backend has accepted it.

        Raises BackendError with the backend's own status and message where it refused. Cancelling this aborts the call.
        """
        ...

    async def models(self) -> Sequence[BackendModel]:
        """Ask the backend what it serves. Raises BackendError."""
        ...

    async def count_tokens(self, turn: Turn) -> int | None:
        """Count a Turn's input tokens with the model's own tokenizer; None where the backend offers no way."""
        ...

    async def chat_completions(self, body: bytes) -> ByteStream:
        """Relay a chat completions request whose `model` is the backend's own name already. Raises BackendError."""
        ...

    async def close(self) -> None:
        """Free connections and processes."""
        ...


class BackendHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a backend does: `error` is what it last failed with, "" while it is well. Counts are those of this process.

    `learned`: settings that its models want, by its own names for them (`backends.learning.adaptations`). `loading`: calls
    wait until its model is loaded; it is not up then. `slots`: calls that this process may make at once now; 0: any number.
    """

    name: str
    up: bool
    models: int
    outstanding: int
    error: str
    waiting: int = 0
    circuit: str = "closed"
    calls: int = 0
    failures: int = 0
    slots: int = 0
    learned: Mapping[str, Mapping[str, object]] = {}
    loading: bool = False


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """A model as we serve it: the configured id and what clients are told of it. `matryoshka`: its embeddings may be cut."""

    id: str
    created: int = 0
    owned_by: str = "antiphon"
    context_length: int | None = None
    parameters_number: str | None = None
    capabilities: Capabilities = Capabilities()
    aliases: Sequence[str] = ()
    type: str = TEXT_GENERATION
    matryoshka: bool = False


class ServedModel(msgspec.Struct, frozen=True):
    """A model, and for each backend that serves it the backend's name and its own name for the model."""

    card: ModelCard
    endpoints: Sequence[tuple[str, str]]


class Route(Protocol):
    """A configured model id, ready to be called: endpoints, retries and name mapping are its affair."""

    card: ModelCard
    defaults: Defaults
    instructions: str | None
    extra_body: Mapping[str, Raw]

    @property
    def inline_images(self) -> bool:
        """Whether a backend of it, or of those that stand in, is to get media as data instead of URLs."""
        ...

    async def open(self, turn: Turn) -> RoutedStream:
        """Start a Turn on an endpoint; retries, before the first token only. Raises BackendError."""
        ...

    def position(self, response: str) -> int:
        """Return the queue position of a response's call (`Hints.response`), from 1 on; 0 where it does not wait."""
        ...

    async def count_tokens(self, turn: Turn) -> int | None:
        """Count a Turn's input tokens, or None."""
        ...

    async def chat_completions(self, fields: Mapping[str, Raw], hints: Hints = NO_HINTS) -> ByteStream:
        """Relay a chat completions request; `model` is replaced, defaults are filled in. Raises BackendError."""
        ...

    async def relay(self, request: RelayedRequest, hints: Hints = NO_HINTS) -> ByteStream:
        """Pass a request on to another route of a backend, such as `/embeddings`. Raises BackendError."""
        ...

    @property
    def runs_hosted_tools(self) -> bool:
        """Whether all backends that may answer get hosted tools as they are declared, and run them themselves."""
        ...

    @property
    def relays_chat(self) -> bool:
        """Whether chat completions can be passed on as they are: all backends that may answer speak that API."""
        ...

    @property
    def relays_messages(self) -> bool:
        """Whether Messages requests can be passed on as they are: all backends that may answer speak that API."""
        ...

    async def relay_messages(
        self, fields: Mapping[str, Raw], caller: MessagesCaller, hints: Hints = NO_HINTS, *, count: bool = False
    ) -> RelayedAnswer:
        """Relay a Messages request; only `model` is replaced. `count`: to count its tokens. Raises BackendError."""
        ...


class RouteProxy:
    """A Route that does what another one does: who watches or changes calls overrides their methods."""

    def __init__(self, route: Route) -> None:
        self.card = route.card
        self.defaults = route.defaults
        self.instructions = route.instructions
        self.extra_body = route.extra_body
        self._route = route

    @property
    def inline_images(self) -> bool:
        return self._route.inline_images

    async def open(self, turn: Turn) -> RoutedStream:
        return await self._route.open(turn)

    def position(self, response: str) -> int:
        return self._route.position(response)

    async def count_tokens(self, turn: Turn) -> int | None:
        return await self._route.count_tokens(turn)

    async def chat_completions(self, fields: Mapping[str, Raw], hints: Hints = NO_HINTS) -> ByteStream:
        return await self._route.chat_completions(fields, hints)

    async def relay(self, request: RelayedRequest, hints: Hints = NO_HINTS) -> ByteStream:
        return await self._route.relay(request, hints)

    @property
    def runs_hosted_tools(self) -> bool:
        return self._route.runs_hosted_tools

    @property
    def relays_chat(self) -> bool:
        return self._route.relays_chat

    @property
    def relays_messages(self) -> bool:
        return self._route.relays_messages

    async def relay_messages(
        self, fields: Mapping[str, Raw], caller: MessagesCaller, hints: Hints = NO_HINTS, *, count: bool = False
    ) -> RelayedAnswer:
        return await self._route.relay_messages(fields, caller, hints, count=count)


def unknown_model(model: str, ids: Sequence[str]) -> InvalidRequest:
    """Return the 400 for a model that does not exist, or that the caller must not know of; it names the `ids`."""
    names = ", ".join(f"'{id}'" for id in ids[:NAMED_IN_ERRORS]) or "none at present"
    more = f" and {len(ids) - NAMED_IN_ERRORS} more (GET /v1/models)" if len(ids) > NAMED_IN_ERRORS else ""
    return InvalidRequest(
        f"The model '{model}' does not exist. Available models: {names}{more}.", param="model", code="model_not_found"
    )


class Router(Protocol):
    """Finds the Route of a model id."""

    def resolve(self, model: str) -> Route:
        """Return the Route of an id or alias. Raises InvalidRequest (`model_not_found`) that names the available ids."""
        ...

    def cards(self) -> Sequence[ModelCard]:
        """Return all models, in the order of the configuration."""
        ...
