"""`POST /v1/chat/completions`: relayed without translation to backends that speak it; others answer by `translated`."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from antiphon.access.caller import only_model, resolve
from antiphon.access.limits import Admission, Unlimited
from antiphon.backends.base import ByteStream, Route, Router
from antiphon.checker.pool import Checker
from antiphon.core.json_encoding import to_json
from antiphon.core.request.text_format import is_bare_schema
from antiphon.core.request.validation import decode, decode_fields, missing
from antiphon.core.text.sse import UnbrokenLines
from antiphon.errors import BackendError, InvalidRequest
from antiphon.responses.intake.media import Media
from antiphon.responses.structured_output import check_schema
from antiphon.runtime.offload import by_size
from antiphon.server.api.chat.keeping import ChatKeeping, KeptAnswer
from antiphon.server.api.chat.media import with_media
from antiphon.server.api.chat.meter import demand, metered
from antiphon.server.api.chat.translated import TranslatedChat
from antiphon.server.api.relayed import whole_body
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import ByteSink, ClientGone, Header, Reply, Request
from antiphon.telemetry.request_record import calls_model
from antiphon.types.request import ModelName

KEPT_HERE = frozenset(("store", "metadata"))
"""Fields that a backend does not get with a completion that this server stores."""


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
        keeping: ChatKeeping | None = None,
    ) -> None:
        self._router = router
        self._media = media
        self._limiter = limiter or Unlimited()
        self._checker = checker or Checker()
        self._translated = translated
        self._keeping = keeping

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
        if self._translated is not None and not route.relays_chat:
            return await self._translated.create(request, body, kept)
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
        try:
            answer = metered(await route.chat_completions(ready, request_hints(request)), permit)
        except BaseException:
            permit.settle(None)
            raise
        try:
            whole = not chat.stream or answer.status >= 300
            if whole or (kept is not None and not _content_type(answer).startswith("text/event-stream")):
                return await _whole(answer, kept)
            await _relay(request, answer, kept)
            return None
        finally:
            answer.abort()


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


async def _relay(request: Request, answer: ByteStream, kept: KeptAnswer | None) -> None:
    """Pass a stream on, piece by piece. Where the backend breaks off, so does the answer."""
    sink = await request.stream(_content_type(answer), answer.status, _kept(answer))
    if kept is not None:
        sink = kept.sink(sink)
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


async def _whole(answer: ByteStream, kept: KeptAnswer | None) -> Reply:
    body = await whole_body(answer)
    if kept is not None and answer.status < 300:
        body = await kept.whole(body)
    return Reply(body, answer.status, _content_type(answer), _kept(answer))


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
