"""`POST /v1/chat/completions`: relayed without translation to backends that speak it; others answer by `translated`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from antiphon.access.caller import resolve
from antiphon.access.limits import Admission, Unlimited
from antiphon.backends.base import Route, Router
from antiphon.checker.pool import Checker
from antiphon.core.request.validation import decode, decode_fields
from antiphon.errors import InvalidRequest
from antiphon.responses.intake.media import Media
from antiphon.responses.structured_output import check_schema
from antiphon.runtime.offload import by_size
from antiphon.server.api.chat.media import with_media
from antiphon.server.api.chat.meter import demand, metered
from antiphon.server.api.chat.translated import TranslatedChat
from antiphon.server.api.relayed import pass_on, whole_reply
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import Reply, Request
from antiphon.telemetry.request_record import calls_model
from antiphon.types.request import ModelName


class ChatRequest(msgspec.Struct, frozen=True):
    """The fields that this server reads."""

    model: ModelName
    messages: list[Raw]
    stream: bool | None = None


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
    ) -> None:
        self._router = router
        self._media = media
        self._limiter = limiter or Unlimited()
        self._checker = checker or Checker()
        self._translated = translated

    async def create(self, request: Request) -> Reply | None:
        """Relay a request. Raises InvalidRequest for what every backend would refuse, BackendError for the rest."""
        body = await request.body()
        self._limiter.check(request.caller)
        chat, fields = await by_size(len(body), _decoded, body)
        route = resolve(self._router, chat.model, request.caller)
        _check(route, chat.model)
        calls_model(route.card.id)
        if self._translated is not None and not route.relays_chat:
            return await self._translated.create(request, body)
        request.cancel_on_disconnect()
        schema = _schema(fields.get("response_format"))
        if schema is not None:
            await check_schema(schema, "response_format.json_schema.schema", request.owner, self._checker)
        fields = await with_media(self._media, fields, chat.messages, request.caller, inline=route.inline_images)
        permit = await self._limiter.admit(request.caller, route.card, lambda: demand(body, fields))
        try:
            answer = metered(await route.chat_completions(fields, request_hints(request)), permit)
        except BaseException:
            permit.settle(None)
            raise
        try:
            if not chat.stream or answer.status >= 300:
                return await whole_reply(answer)
            await pass_on(request, answer)
            return None
        finally:
            answer.abort()


def _decoded(body: bytes) -> tuple[ChatRequest, Mapping[str, Raw]]:
    return decode(_chat, body), decode_fields(body)


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
