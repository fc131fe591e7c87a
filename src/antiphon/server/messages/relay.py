"""Messages requests that are passed on as they are to backends that speak this API themselves, and their answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.access.caller import resolve
from antiphon.access.limits import Demand, Permit
from antiphon.backends.base import MessagesCaller, RelayedAnswer, Route, whole_body
from antiphon.core.request.json_text import check_bounds, mended
from antiphon.core.request.validation import decode, decode_fields
from antiphon.errors import APIError, BackendError, InvalidRequest
from antiphon.responses.services import Services
from antiphon.runtime.offload import by_size
from antiphon.server.api.admin import RelayedCall, Ring
from antiphon.server.api.relayed import WHOLE_LIMIT
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import Header, Reply, Request
from antiphon.server.messages.errors import envelope
from antiphon.server.messages.limit_headers import limit_headers
from antiphon.server.messages.models import VERSION, ModelNames
from antiphon.telemetry.request_record import calls_model, uses_tokens

BETA = b"anthropic-beta"
BYTES_PER_TOKEN = 4

_KEPT = (b"retry-after", b"cache-control")
_MODEL_FIRST = re.compile(rb'\{"model":"([^"\\]{1,255})"')
_OUR_SEAL = re.compile(rb'"ANT[12]\.')
_any = msgspec.json.Decoder(Any)


class _Relayed(msgspec.Struct):
    """All that is read of a request that is passed on."""

    model: str
    messages: Raw
    stream: bool | None = None
    max_tokens: int = 0


_relayed = msgspec.json.Decoder(_Relayed)


class MessagesRelayer:
    """Passes requests on. What this server has to look into (its own seals, URLs that it fetches) is translated instead."""

    def __init__(self, services: Services, names: ModelNames, ring: Ring) -> None:
        self._services = services
        self._names = names
        self._ring = ring

    async def relay(self, request: Request, body: bytes) -> tuple[bool, Reply | None]:
        """Answer a request; the first is False where it has to be translated. Raises APIError."""
        found = await self._found(request, body)
        if found is None:
            return False, None
        asked, fields, route = found
        if self._services.guards.apply(route.card, request.owner):
            return False, None
        limiter = self._services.limiter
        limiter.check(request.caller)
        calls_model(route.card.id)
        request.cancel_on_disconnect()
        demand = Demand(len(body) // BYTES_PER_TOKEN, max(asked.max_tokens, 0))
        permit = await limiter.admit(request.caller, route.card, lambda: demand)
        with self._ring.relayed(request, route.card.id, stream=bool(asked.stream)) as call:
            answer: RelayedAnswer | None = None
            try:
                answer = await route.relay_messages(fields, _caller(request), request_hints(request))
                limits = limit_headers(permit.headers, self._services.clock())
                headers = [*permit.headers, *limits, *_headers(request, answer)]
                if asked.stream and answer.status < 300:
                    await _stream(request, answer, headers, call)
                    return True, None
                body = await whole_body(answer, WHOLE_LIMIT)
                if answer.status >= 300:
                    call.error = BackendError(answer.status, "")
                return True, Reply(body, answer.status, _type(answer), headers)
            finally:
                _settle(answer, permit, call)

    async def count(self, request: Request, body: bytes) -> Reply | None:
        """Have the backend count; None where it cannot, or the request has to be translated. Raises APIError."""
        found = await self._found(request, body)
        if found is None:
            return None
        _, fields, route = found
        answer = await route.relay_messages(fields, _caller(request), request_hints(request), count=True)
        try:
            if answer.status in (404, 405):
                return None
            return Reply(await whole_body(answer, WHOLE_LIMIT), answer.status, _type(answer), _headers(request, answer))
        finally:
            answer.abort()

    async def _found(self, request: Request, body: bytes) -> tuple[_Relayed, Mapping[str, Raw], Route] | None:
        """Return a request that can be passed on, and where to. The body has not passed `check_json` yet. Raises APIError."""
        if self._is_translated(request, body):
            return None
        try:
            body, asked = await by_size(len(body), _read, body)
            route = resolve(self._services.router, self._names.resolve(asked.model), request.caller)
        except InvalidRequest:
            return None  # it is refused in the words of this API where it is decoded in full
        if not route.relays_messages or _OUR_SEAL.search(body):
            return None
        await by_size(len(body), check_bounds, body)
        if route.inline_images and await by_size(len(body), _names_urls, asked.messages):
            return None
        return asked, await by_size(len(body), decode_fields, body), route

    def _is_translated(self, request: Request, body: bytes) -> bool:
        """Tell by the model, where a body begins with it, that a request is not passed on."""
        found = _MODEL_FIRST.match(body)
        if found is None:
            return False
        try:
            name = self._names.resolve(found[1].decode("utf-8", "replace"))
            return not resolve(self._services.router, name, request.caller).relays_messages
        except APIError:
            return False


def _read(body: bytes) -> tuple[bytes, _Relayed]:
    """Return a body without lone surrogates, and what is read of it. Raises InvalidRequest."""
    try:
        return body, decode(_relayed, body)
    except InvalidRequest:
        fit = mended(body)
        if fit is body:
            raise
        return fit, decode(_relayed, fit)


def _names_urls(messages: Raw) -> bool:
    """Tell whether messages have images or documents by URL; what stands in the input of calls is none."""
    if b"url" not in bytes(messages) and b"\\u" not in bytes(messages):
        return False
    try:
        value = _any.decode(messages)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return True
    blocks = [block for message in _objects(value) for block in _objects(message.get("content"))]
    blocks += [inner for block in blocks for inner in _objects(block.get("content"))]
    sources = [source for block in blocks if isinstance(source := block.get("source"), dict)]
    sources += [one for source in sources for block in _objects(source.get("content")) if (one := block.get("source"))]
    return any(isinstance(source, dict) and "url" in source for source in sources)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def betas_of(request: Request) -> tuple[str, ...]:
    """Return the beta features that a client asks for, in one header or several."""
    given = b",".join(request.headers(BETA)).decode("latin-1")
    return tuple(beta.strip() for beta in given.split(",") if beta.strip())


def _caller(request: Request) -> MessagesCaller:
    version = request.header(VERSION) or b""
    return MessagesCaller(version.decode("latin-1"), betas_of(request))


def _headers(request: Request, answer: RelayedAnswer) -> list[Header]:
    kept: list[Header] = [pair for pair in answer.headers if pair[0] in _KEPT]
    headers = [*kept, (b"x-request-id", request.request_id.encode())]
    return [*headers, (b"x-should-retry", b"false")] if answer.status >= 400 else headers


def _type(answer: RelayedAnswer) -> str:
    return next(
        (value.decode("latin-1") for name, value in answer.headers if name == b"content-type"), "application/json"
    )


def _settle(answer: RelayedAnswer | None, permit: Permit, call: RelayedCall) -> None:
    """Count what an answer took, wherever that is told."""
    if answer is None:
        permit.settle(None, 0)
        return
    answer.abort()
    fine = answer.status < 300
    usage = answer.usage() if fine else None
    call.usage, call.incomplete, call.events = usage, answer.incomplete, answer.said
    uses_tokens(usage)
    permit.settle(usage, max(answer.said, 1) if fine else 0)


async def _stream(request: Request, answer: RelayedAnswer, headers: list[Header], call: RelayedCall) -> None:
    """Pass a stream on, byte for byte. Where the backend breaks off, the stream ends with an error."""
    sink = await request.stream(_type(answer), answer.status, headers)
    try:
        while data := await answer.read():
            call.speaks()
            sink.write_nowait(data)
            await sink.drain()
    except BackendError as error:
        call.error = error
        sink.write_nowait(b"event: error\ndata: %b\n\n" % envelope(error, request.request_id))
    await sink.close()
