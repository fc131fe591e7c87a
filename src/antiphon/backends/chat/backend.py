"""ChatBackend: servers that speak chat completions, over HTTP or a unix socket."""

from __future__ import annotations

import secrets
from collections.abc import Coroutine, Mapping, Sequence
from hashlib import blake2b
from itertools import count

import msgspec
from msgspec import Raw

from antiphon.backends.base import BackendModel
from antiphon.backends.chat import codec, profiles, token_count
from antiphon.backends.chat.answer_streams import Answer, ChatStream, WholeAnswer
from antiphon.backends.chat.codec import ChatCall, CodecOptions
from antiphon.backends.chat.frames import Frames
from antiphon.backends.chat.leak_families import check_names
from antiphon.backends.chat.profiles import NO_PROFILES, Policies, Profile, Profiles
from antiphon.backends.engine_details import EngineDetails
from antiphon.backends.learning.adaptations import NOTHING, Adaptation, Adaptations
from antiphon.backends.learning.asking import Asking, with_window
from antiphon.backends.openai_calls import accepted, connect, list_models, post_json, trace_header
from antiphon.backends.relaying import RelayedBytes, RouteRelayer
from antiphon.config import BackendConfig, ModelConfig
from antiphon.config.reading import nearest, quoted
from antiphon.core.relayed_request import RelayedRequest
from antiphon.core.text.leaks import NO_FAMILIES, Families
from antiphon.core.turn import Hints, Turn, continues
from antiphon.errors import BackendError, ConfigError
from antiphon.runtime.offload import LARGE, by_size

_fields = msgspec.json.Decoder(dict[str, Raw])


def _changes(asking: Asking, error: BackendError, body: bytes) -> bool:
    """Change a request by its refusal; False where that teaches nothing."""
    return asking.changes(error, _fields.decode(body))


async def _written(turn: Turn, options: CodecOptions) -> tuple[bytes, ChatCall]:
    """Return the request's body, made in a thread: it is large, or its grammars or schemas are long to translate."""
    return await by_size(LARGE, codec.request, turn, options)


def codec_options(
    name: str,
    config: BackendConfig,
    models: Mapping[str, ModelConfig],
    known: Profiles,
    families: Families,
    *,
    refuse: bool = False,
) -> tuple[CodecOptions, dict[str, CodecOptions]]:
    """Return how a backend is spoken to, and how about each configured model. Raises ConfigError.

    That is all a ChatBackend knows of its models: a reload keeps the backend as long as it stays the same.
    """
    profile = profiles.find(config.profile, config.url, configured=known)
    if profile is None:
        names = [*profiles.PROFILES, *known]
        raise ConfigError(
            f"backends.{quoted(name)}.profile: unknown profile '{config.profile}'{nearest(config.profile, names)}"
        )
    check_names(profile.leaks, families, f"profiles.{quoted(profile.name)}.leaks")
    for own, model in models.items():
        check_names(model.leaks, families, f"models.{quoted(own)}.leaks")
    plain = CodecOptions(
        profile=profile,
        own_leaks=families,
        need_reason=config.finish_reason == "required",
        refuse=refuse,
        address=blake2b(config.url.encode(), digest_size=6).hexdigest(),
    )
    return plain, {own: _of_model(plain, model) for own, model in models.items()}


def _of_model(plain: CodecOptions, model: ModelConfig) -> CodecOptions:
    """Return how a configured model is spoken to."""
    return msgspec.structs.replace(
        plain,
        profile=plain.profile.changed(
            drop=model.drop, efforts=model.efforts, stream="" if model.stream == "as_asked" else model.stream
        ),
        policies=Policies(roles=model.roles, call_ids=model.call_ids, strict_schema=model.strict_schema),
        think=model.think,
        leaks=tuple(model.leaks),
        window=model.context_length or 0,
    )


def _adapted(options: CodecOptions, learned: Adaptation) -> CodecOptions:
    """Return how a model is spoken to by what was learned of it, too."""
    profile = options.profile
    if learned.reasoning_out == "none":
        profile = msgspec.structs.replace(profile, reasoning_out="")
    return msgspec.structs.replace(
        options,
        profile=profile.changed(
            drop=learned.drop,
            efforts=learned.efforts,
            stream=learned.stream,
            max_tokens=learned.max_tokens,
            response_format=learned.response_format,
            forced_calls=learned.forced_calls,
            needs_reasoning=learned.needs_reasoning,
            call_signature=learned.call_signature,
            roles=learned.roles,
            call_ids=learned.call_ids,
            strict_schema=learned.strict_schema,
        ),
        learned_think=learned.think,
        window=options.window or learned.context_length,
        most_output=learned.max_output_tokens,
    )


class ChatBackend:
    """A server that speaks chat completions. `models` holds the settings of models by the backend's own names.

    `known` are the configured profiles, `families` the configured families of leaked calls. `learn`: a refusal that names a
    wish of the request is answered by asking without it.

    A client that does not stream gets its answer from a call that does not stream: servers do less for it, and so do we.
    """

    def __init__(
        self,
        name: str,
        config: BackendConfig,
        models: Mapping[str, ModelConfig] | None = None,
        *,
        socket: str = "",
        known: Profiles = NO_PROFILES,
        families: Families = NO_FAMILIES,
        learn: bool = True,
    ) -> None:
        self._models = models or {}
        self._plain, self._options = codec_options(name, config, self._models, known, families, refuse=not learn)
        self._learn = learn
        self._adaptations = Adaptations(name)
        self.name = name
        self._config = config
        self._known = known
        self._client = connect(name, config, socket)
        self._details = EngineDetails(self._client)
        self._relayer = RouteRelayer(self._client)
        self._path = self._client.address.target("/chat/completions")
        self._url = self._client.address.url("/chat/completions")
        self._frames = Frames()
        self._call_base = f"call_{secrets.token_hex(8)}"
        self._calls = count()

    @property
    def profile(self) -> Profile:
        """The kind of server that this one is taken for."""
        return self._plain.profile

    @property
    def learned(self) -> Mapping[str, Adaptation]:
        """What was learned of its models by refusals."""
        return self._adaptations.all()

    def open(self, turn: Turn) -> Coroutine[object, object, Answer]:
        """Start a call. Raises BackendError."""
        if continues(turn) and not turn.stream:  # llama.cpp repeats what was begun in an answer that comes whole
            turn = msgspec.structs.replace(turn, stream=True)
        return self._ask(Asking(turn, self._adaptations))

    async def _ask(self, asking: Asking) -> Answer:
        """Send a request; one that is refused again as long as its refusals teach something new. Raises BackendError."""
        while True:
            turn, options = asking.turn, self._options_of(asking.turn.model, asking.changed)
            small = turn.size < LARGE and not codec.is_slow(turn, options)
            frames = self._frames if asking.changed is NOTHING else None
            body, call = codec.request(turn, options, frames) if small else await _written(turn, options)
            if turn.hints.sent is not None:
                turn.hints.sent(self.name, self._url, body)
            try:
                response = await self._client.send("POST", self._path, body, trace_header(turn.hints))
                if not 200 <= response.status < 300:
                    await accepted(response)
                break
            except BackendError as error:
                if not (self._learn and await by_size(len(body), _changes, asking, error, body)):
                    raise
        asking.forced = call.forced
        if call.think == "unsure" and self._adaptations.is_parting(turn.model):
            call = msgspec.structs.replace(call, think="auto")
        base = f"{self._call_base}{next(self._calls):x}"
        decoder = codec.decoder(turn, call, options, base, self._learn_field)
        type = response.header(b"content-type")
        # Some servers do not stream although they are asked to, and the other way round: what came counts.
        asked = options.profile.streams(turn.stream)
        streamed = type.startswith(b"text/event-stream") or (asked and not type.startswith(b"application/json"))
        return (ChatStream if streamed else WholeAnswer)(response, decoder, asking, call, self._ask_again)

    async def _ask_again(self, asking: Asking, error: BackendError) -> Answer | None:
        """Ask otherwise after a refusal that came instead of an answer; None where there is no other way."""
        if not self._learn:
            return None
        body, _ = await _written(asking.turn, self._options_of(asking.turn.model, asking.changed))
        changed = await by_size(len(body), _changes, asking, error, body)
        return await self._ask(asking) if changed else None

    def _options_of(self, model: str, changed: Adaptation) -> CodecOptions:
        options = self._options.get(model, self._plain)
        return options if changed is NOTHING else _adapted(options, changed)

    def _learn_field(self, model: str, field: str) -> None:
        """Send a model its thoughts back in the field in which they come."""
        options = self._options.get(model, self._plain)
        if field != (options.thoughts_in or options.profile.reasoning_out):
            self._options[model] = msgspec.structs.replace(options, thoughts_in=field)

    async def models(self) -> Sequence[BackendModel]:
        """Ask what it serves; who owns its models tells what kind of server it is. Raises BackendError."""
        models = await list_models(self._client)
        owners = [model.owned_by for model in models]
        profile = profiles.find(self._config.profile, self._config.url, owners, self._known)
        if profile is not None and profile is not self.profile:
            self._plain = msgspec.structs.replace(self._plain, profile=profile)
            self._options = {own: _of_model(self._plain, model) for own, model in self._models.items()}
        models = await self._details.added(self.profile.kind, models)
        for model in models:
            self._set_window(model)
        learned = self._adaptations.shared()
        return [with_window(model, learned) for model in models]

    def _set_window(self, model: BackendModel) -> None:
        """Take over the window that a list tells; a configured one counts more."""
        configured = self._models.get(model.id)
        options = self._options.get(model.id, self._plain)
        if not (configured and configured.context_length) and model.context_length not in (None, options.window):
            self._options[model.id] = msgspec.structs.replace(options, window=model.context_length)

    async def count_tokens(self, turn: Turn) -> int | None:
        """Count with the server's own tokenizer; None where its kind offers none. Raises BackendError."""
        if not token_count.offered(self.profile.kind):
            return None
        options = self._options_of(turn.model, self._adaptations.of(turn.model, turn.hints.owner))
        small = turn.size < LARGE and not codec.is_slow(turn, options)
        body, _ = codec.request(turn, options) if small else await _written(turn, options)
        return await token_count.count(self._client, self.profile.kind, body)

    async def chat_completions(self, body: bytes) -> RelayedBytes:
        """Pass a request on as it is. Raises BackendError."""
        return RelayedBytes(await accepted(await self._client.send("POST", self._path, body), ours=False))

    async def post(self, endpoint: str, body: bytes) -> bytes:
        """Send JSON to another endpoint of the server, such as `/embeddings`. Raises BackendError."""
        return await post_json(self._client, endpoint, body)

    async def relay(self, request: RelayedRequest, model: str, extra: Mapping[str, Raw], hints: Hints) -> RelayedBytes:
        """Pass a request on to another route of the server. Raises BackendError."""
        return await self._relayer.relay(request, model, extra, hints)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
