"""AnthropicBackend: servers that speak the Messages API, over HTTP or a unix socket."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import count

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.backends.anthropic import codec
from antiphon.backends.anthropic.cache_control import CachePolicy
from antiphon.backends.anthropic.codec import MessagesCall, MessagesOptions
from antiphon.backends.anthropic.decoder import MessagesDecoder
from antiphon.backends.anthropic.lessons import messages_lesson
from antiphon.backends.anthropic.listing import MessagesModel, list_messages_models
from antiphon.backends.anthropic.relay import RelayedMessages, relay_body
from antiphon.backends.anthropic.stream import MessagesStream
from antiphon.backends.anthropic.thinking import Mode
from antiphon.backends.base import BackendModel, ByteStream, MessagesCaller
from antiphon.backends.chat.codec import MOST_FITTED
from antiphon.backends.chat.emulation import declared_size
from antiphon.backends.chat.tool_calls import Calls
from antiphon.backends.learning.adaptations import Adaptation, Adaptations
from antiphon.backends.learning.asking import Asking, with_window
from antiphon.backends.openai_calls import accepted, connect, trace_header
from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.turn import Hints, Turn
from antiphon.errors import BackendError, InvalidRequest
from antiphon.net.http.client import HttpResponse
from antiphon.runtime.offload import LARGE, by_size

log = logging.getLogger("antiphon.backends.anthropic")

COUNT_LIMIT = 64 * 1024
"""Bytes of an answer that says a number of tokens."""

LONGEST_REQUEST_ID = 200  # characters of a server's request-id that is logged


class _TokenCount(msgspec.Struct):
    input_tokens: int


_count = msgspec.json.Decoder(_TokenCount)
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,100}")
"""What a version of the API, or a beta, may be named."""

_MODES: Mapping[str, Mode | None] = {"auto": None, "adaptive": "adaptive", "budget": "budget", "off": "off"}


def messages_options(config: BackendConfig, model: ModelConfig | None = None) -> MessagesOptions:
    """Return how a configured model is spoken to, or one of which nothing is configured."""
    plain = MessagesOptions(
        cache=CachePolicy(config.cache == "auto", config.cache_ttl),
        max_tokens=config.max_tokens,
        address=blake2b(config.url.encode(), digest_size=6).hexdigest(),
    )
    if model is None:
        return plain
    return replace(
        plain,
        mode=_MODES[model.thinking],
        efforts=tuple(model.efforts),
        drop=tuple(model.drop),
        keeps_system=model.roles in ("keep", "system"),
        formats=model.structured_outputs,
    )


class AnthropicBackend:
    """A server that speaks the Messages API. `models` holds the settings of models by the server's own names.

    `learn`: a refusal that names a wish of the request is answered by asking without it.
    """

    def __init__(
        self,
        name: str,
        config: BackendConfig,
        models: Mapping[str, ModelConfig] | None = None,
        *,
        socket: str = "",
        learn: bool = True,
    ) -> None:
        self.name = name
        self._config = config
        self._client = connect(name, config, socket)
        self._path = self._client.address.target("/messages")
        self._url = self._client.address.url("/messages")
        self._count_path = self._client.address.target("/messages/count_tokens")
        self._counts = True
        self._learn = learn
        self._adaptations = Adaptations(name)
        self._plain = messages_options(config)
        self._options = {own: messages_options(config, model) for own, model in (models or {}).items()}
        self._listed: Mapping[str, MessagesModel] = {}
        self._call_base = f"toolu_{secrets.token_hex(8)}"
        self._calls = count()

    @property
    def learned(self) -> Mapping[str, Adaptation]:
        """What was learned of its models by refusals."""
        return self._adaptations.all()

    async def open(self, turn: Turn) -> MessagesStream:
        """Start a call; a wish that the model refuses is left out. Raises BackendError."""
        asking = Asking(turn, self._adaptations, messages_lesson, bounded=True)
        while True:
            call = await self._written(asking.turn, asking.changed)
            try:
                response = await self._send(call.body(), turn.hints)
                break
            except BackendError as error:
                if not (self._learn and await by_size(turn.size, asking.changes, error, _sent(call))):
                    raise
        asking.accepted()
        return self._stream(response, asking.turn, call)

    def _stream(self, response: HttpResponse, turn: Turn, call: MessagesCall) -> MessagesStream:
        base = f"{self._call_base}{next(self._calls):x}"
        calls = Calls(call.tools, base, parallel=turn.parallel_tool_calls, history=turn.items)
        decoder = MessagesDecoder(
            calls,
            call.origin,
            removed=call.removed,
            forced=call.forced,
            may_lack_end=self._config.finish_reason == "optional",
        )

        async def again(content: bytes) -> HttpResponse:
            messages = b'%b,{"role":"assistant","content":%b}]' % (call.fields["messages"][:-1], content)
            return await self._send(call.body({"messages": messages}), turn.hints)

        return MessagesStream(response, decoder, again, call.ignored)

    async def _written(self, turn: Turn, changed: Adaptation) -> MessagesCall:
        """Return the request; one that is large, or has large schemas, is made in a thread."""
        options = self._options_of(turn.model).adapted(changed)
        small = turn.size < LARGE and (not turn.tools or declared_size(turn) <= MOST_FITTED)
        return codec.request(turn, options) if small else await by_size(LARGE, codec.request, turn, options)

    def _options_of(self, model: str) -> MessagesOptions:
        options = self._options.get(model, self._plain)
        listed = self._listed.get(model)
        if listed is None:
            return options
        return replace(options, mode=options.mode or listed.mode, most_output=options.most_output or listed.max_tokens)

    async def _send(self, body: bytes, hints: Hints) -> HttpResponse:
        if hints.sent is not None:
            hints.sent(self.name, self._url, body)
        response = await self._client.send("POST", self._path, body, self._headers() + trace_header(hints))
        self._note(response)
        return await accepted(response)

    def _note(self, response: HttpResponse) -> None:
        """Log the server's own id of a request that it refused: its operators find the request by it."""
        if response.status >= 400:
            id = response.header(b"request-id").decode("latin-1")
            shown = id if id.isprintable() and len(id) <= LONGEST_REQUEST_ID else ""
            log.info(
                "backend %s: refused with status %d, its request-id is %s", self.name, response.status, shown or "none"
            )

    def _headers(self, version: str = "", betas: Sequence[str] = ()) -> bytes:
        """Return the headers of a request. A client's version of the API counts; its betas come behind the configured ones."""
        lines = {"anthropic-version": version if _WORD.fullmatch(version) else self._config.anthropic_version}
        named = dict.fromkeys((*self._config.anthropic_beta, *(beta for beta in betas if _WORD.fullmatch(beta))))
        if named:
            lines["anthropic-beta"] = ",".join(named)
        return "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("ascii")

    async def models(self) -> Sequence[BackendModel]:
        """Ask what it serves; nothing where it has no list. Raises BackendError."""
        found = await list_messages_models(self._client, self._headers())
        self._listed = {one.model.id: one for one in found}
        learned = self._adaptations.shared()
        return [with_window(one.model, learned) for one in found]

    async def count_tokens(self, turn: Turn) -> int | None:
        """Count with the server's own tokenizer; None where it offers none. Raises BackendError."""
        if not self._counts:
            return None
        call = await self._written(turn, self._adaptations.of(turn.model, turn.hints.owner))
        response = await self._client.send("POST", self._count_path, call.count_body(), self._headers())
        if response.status in (404, 405, 501):
            self._counts = False
            response.abort()
            return None
        response = await accepted(response)
        try:
            return _count.decode(await response.read_all(COUNT_LIMIT)).input_tokens
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise BackendError(502, "The backend's token count is not valid.") from None

    async def chat_completions(self, body: bytes) -> ByteStream:
        """Refuse: such a backend is not asked for chat completions."""
        raise InvalidRequest(
            "This model cannot be called through chat completions.", param="model", code="unsupported_model"
        )

    async def relay_messages(self, body: bytes, caller: MessagesCaller, *, count: bool = False) -> RelayedMessages:
        """Pass a Messages request on whose `model` is the server's own name already. `count`: to count its tokens.

        Refusals of the request itself are answers, with their own words. Raises BackendError for others.
        """
        body = await by_size(len(body), relay_body, body, self._config.cache)
        path = self._count_path if count else self._path
        response = await self._client.send("POST", path, body, self._headers(caller.version, caller.betas))
        self._note(response)
        return await RelayedMessages.of(response)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


def _sent(call: MessagesCall) -> Mapping[str, Raw]:
    return {name: Raw(value) for name, value in call.fields.items()}
