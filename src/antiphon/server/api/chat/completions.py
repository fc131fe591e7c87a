"""`POST /v1/chat/completions`: relayed without translation to backends that speak it; others answer by `translated`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from antiphon.access.caller import resolve
from antiphon.access.limits import Admission, Unlimited
from antiphon.backends.base import ByteStream, Route, Router
from antiphon.checker.pool import Checker
from antiphon.core.request.validation import decode, decode_fields
from antiphon.core.text.sse import UnbrokenLines
from antiphon.errors import BackendError, InvalidRequest
from antiphon.responses.guards.guards import NO_GUARDS, Guards
from antiphon.responses.intake.media import Media
from antiphon.responses.structured_output import check_schema
from antiphon.runtime.offload import by_size
from antiphon.server.api.chat.asked import is_moderated
from antiphon.server.api.chat.media import with_media
from antiphon.server.api.chat.meter import demand, metered
from antiphon.server.api.chat.translated import TranslatedChat
from antiphon.server.api.relayed import whole_body
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import ByteSink, ClientGone, Header, Reply, Request
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
        guards: Guards = NO_GUARDS,
    ) -> None:
        self._router = router
        self._media = media
        self._limiter = limiter or Unlimited()
        self._checker = checker or Checker()
        self._translated = translated
        self._guards = guards

    async def create(self, request: Request) -> Reply | None:
        """Relay a request. Raises InvalidRequest for what every backend would refuse, BackendError for the rest."""
        body = await request.body()
        self._limiter.check(request.caller)
        chat, fields = await by_size(len(body), _decoded, body)
        route = resolve(self._router, chat.model, request.caller)
        _check(route, chat.model)
        calls_model(route.card.id)
        if self._translated is not None and (not route.relays_chat or self._guarded(route, request, fields)):
            return await self._translated.create(request, body, others=route.relays_chat)
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
                return await _whole(answer)
            await _relay(request, answer)
            return None
        finally:
            answer.abort()

    def _guarded(self, route: Route, request: Request, fields: Mapping[str, Raw]) -> bool:
        """Tell whether guards look at the answer: then it is no relayed one, so that there is one way through them."""
        return is_moderated(fields) or self._guards.apply(route.card, request.owner)


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


async def _relay(request: Request, answer: ByteStream) -> None:
    """Pass a stream on, piece by piece. Where the backend breaks off, so does the answer."""
    sink = await request.stream(_content_type(answer), answer.status, _kept(answer))
    try:
        await _copy(answer, sink)
    except ClientGone:
        return
    except BackendError as error:
        # The head is out: the error goes into the stream, as OpenAI's own servers send it.
        sink.write_nowait(b"data: " + msgspec.json.encode(error.body()) + b"\n\ndata: [DONE]\n\n")
    await sink.close()


async def _copy(answer: ByteStream, sink: ByteSink) -> None:
    lines = UnbrokenLines()
    while data := await answer.read():
        if piece := lines.feed(data):
            sink.write_nowait(piece)
            await sink.drain()
    if rest := lines.feed(b""):
        sink.write_nowait(rest)


async def _whole(answer: ByteStream) -> Reply:
    return Reply(await whole_body(answer), answer.status, _content_type(answer), _kept(answer))


def _content_type(answer: ByteStream) -> str:
    for name, value in answer.headers:
        if name == b"content-type":
            return value.decode("latin-1")
    return "application/json"


def _kept(answer: ByteStream) -> list[Header]:
    return [(name, value) for name, value in answer.headers if name not in _OURS]


_OURS = frozenset(
    {
        b"connection",
        b"content-length",
        b"content-type",
        b"date",
        b"keep-alive",
        b"openai-processing-ms",
        b"server",
        b"transfer-encoding",
        b"x-request-id",
    }
)
