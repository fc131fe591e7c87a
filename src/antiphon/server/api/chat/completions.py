"""`POST /v1/chat/completions`: relayed without translation to backends that speak it; others answer by `translated`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from antiphon.access.caller import only_model, resolve
from antiphon.access.limits import Admission, Unlimited
from antiphon.backends.base import ByteStream, Route, Router
from antiphon.core.json_encoding import to_json
from antiphon.core.request.text_format import is_bare_schema
from antiphon.core.request.validation import decode, decode_fields, missing
from antiphon.errors import InvalidRequest
from antiphon.responses.guards.guards import NO_GUARDS, Guards
from antiphon.responses.intake.media import Media
from antiphon.responses.structured_output import check_schema
from antiphon.runtime.checker.pool import Checker
from antiphon.runtime.offload import by_size
from antiphon.server.api.admin import Ring
from antiphon.server.api.chat.asked import KEPT_HERE, is_moderated
from antiphon.server.api.chat.keeping import ChatKeeping, KeptAnswer
from antiphon.server.api.chat.media import with_media
from antiphon.server.api.chat.meter import demand, metered
from antiphon.server.api.chat.required_fields import with_required
from antiphon.server.api.chat.translated import TranslatedChat
from antiphon.server.api.relayed import content_type, pass_on, whole_reply
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import Reply, Request
from antiphon.telemetry.request_record import calls_model
from antiphon.types.request import ModelName


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that this server reads."""

    model: ModelName | None = None
    messages: list[Raw]
    stream: bool | None = None
    store: bool | None = None


class _Schema(msgspec.Struct):
    schema: Raw = Raw(b"null")


class _Format(msgspec.Struct):
    json_schema: _Schema | None = None


_format = msgspec.json.Decoder(_Format)
_chat = msgspec.json.Decoder(ChatRequest)


class ChatCompletions:
    """The handler of `/v1/chat/completions`."""

    def __init__(
        self,
        router: Router,
        media: Media,
        limiter: Admission | None = None,
        checker: Checker | None = None,
        translated: TranslatedChat | None = None,
        guards: Guards = NO_GUARDS,
        keeping: ChatKeeping | None = None,
        ring: Ring | None = None,
    ) -> None:
        self._router = router
        self._media = media
        self._limiter = limiter or Unlimited()
        self._checker = checker or Checker()
        self._translated = translated
        self._guards = guards
        self._keeping = keeping
        self._ring = ring or Ring(0)

    async def create(self, request: Request) -> Reply | None:
        """Relay a request. Raises InvalidRequest for what every backend would refuse, BackendError for the rest."""
        body = await request.body()
        self._limiter.check(request.caller)
        chat, fields = await by_size(len(body), _decoded, body)
        model = chat.model
        if model is None:
            model = only_model(self._router, request.caller, chat=True)
            if model is None:
                raise missing("model")
            fields["model"] = Raw(to_json(model))
            body = await by_size(len(body), to_json, fields)
        route = resolve(self._router, model, request.caller)
        _check(route, model)
        calls_model(route.card.id)
        kept = self._keeping.open(request.owner, model, fields) if chat.store and self._keeping is not None else None
        if self._translated is not None and (not route.relays_chat or self._guarded(route, request, fields)):
            return await self._translated.create(request, body, kept, others=route.relays_chat)
        if kept is not None:  # it is kept here, and not there as well
            fields = {name: value for name, value in fields.items() if name not in KEPT_HERE}
        request.cancel_on_disconnect()
        if "response_format" in fields:
            fields["response_format"] = _with_wrapped_schema(fields["response_format"])
        schema = _schema(fields.get("response_format"))
        if schema is not None:
            await check_schema(schema, "response_format.json_schema.schema", request.owner, self._checker)
        ready = await with_media(self._media, fields, chat.messages, request.caller, inline=route.inline_images)
        permit = await self._limiter.admit(request.caller, route.card, lambda: demand(body, ready))
        with self._ring.relayed(request, route.card.id, stream=bool(chat.stream)) as call:
            try:
                answer = metered(await route.chat_completions(ready, request_hints(request)), permit, call)
            except BaseException:
                permit.settle(None)
                raise
            try:
                return await _answered(request, answer, kept, whole=not chat.stream or answer.status >= 300)
            finally:
                answer.abort()

    def _guarded(self, route: Route, request: Request, fields: Mapping[str, Raw]) -> bool:
        """Tell whether guards look at the answer: then it is no relayed one, so that there is one way through them."""
        return is_moderated(fields) or self._guards.apply(route.card, request.owner)


async def _answered(request: Request, answer: ByteStream, kept: KeptAnswer | None, *, whole: bool) -> Reply | None:
    """Pass an answer on, and keep it where that is wanted. Raises APIError."""
    kept = kept if answer.status < 300 else None
    if not whole and (kept is None or content_type(answer).startswith("text/event-stream")):
        await pass_on(request, answer, keep=kept.sink if kept is not None else None)
        return None
    reply = await whole_reply(answer)
    if answer.status >= 300:
        return reply
    body = await by_size(len(reply.body), with_required, reply.body)
    return msgspec.structs.replace(reply, body=body if kept is None else await kept.whole(body))


def _decoded(body: bytes) -> tuple[ChatRequest, dict[str, Raw]]:
    return decode(_chat, body), decode_fields(body)


def _with_wrapped_schema(response_format: Raw) -> Raw:
    """Return `response_format` as backends take it: a bare schema under `json_schema` gets a name, and stands under `schema`."""
    try:
        format = decode_fields(response_format)
        nested = format.get("json_schema")
        if nested is None or not is_bare_schema(nested, "response_format.json_schema"):
            return response_format
    except InvalidRequest:
        return response_format  # the backend refuses it
    return Raw(to_json({**format, "json_schema": {"name": "response", "schema": nested}}))


def _schema(response_format: Raw | None) -> bytes | None:
    """Return the schema of `response_format`, or None; the backend refuses a malformed one."""
    if response_format is None:
        return None
    try:
        format = _format.decode(response_format)
    except (ValueError, RecursionError):
        return None
    schema = bytes(format.json_schema.schema) if format.json_schema is not None else b"null"
    return schema if schema != b"null" else None


def _check(route: Route, model: str) -> None:
    if not route.card.capabilities.chat_completions:
        raise InvalidRequest(
            f"The model '{model}' can't be called through /v1/chat/completions.",
            param="model",
            code="unsupported_model",
        )
