"""ChatBackend: servers that speak chat completions, over HTTP or a unix socket."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from itertools import count

import msgspec

from antiphon.backends.base import BackendModel, Take
from antiphon.backends.chat import codec, profiles, token_count
from antiphon.backends.chat.codec import ChatCall, ChatDecoder, CodecOptions
from antiphon.backends.chat.leak_families import check_names
from antiphon.backends.chat.profiles import NO_PROFILES, Policies, Profile, Profiles
from antiphon.backends.openai_calls import accepted, connect, list_models, trace_header
from antiphon.config import BackendConfig, ModelConfig
from antiphon.config.masking import SECRETS
from antiphon.config.reading import nearest, quoted
from antiphon.core.deltas import Delta
from antiphon.core.text.leaks import NO_FAMILIES, Families
from antiphon.core.text.sse import MOST_SAID, SSEParser
from antiphon.core.turn import Turn
from antiphon.errors import BackendError, ConfigError
from antiphon.net.http.response import HttpResponse
from antiphon.runtime.offload import LARGE, by_size

_KEPT_HEADERS = (b"content-type", b"cache-control")


def _nobody(deltas: Sequence[Delta]) -> bool:
    raise AssertionError("nobody takes the answer at present")


class ChatStream:
    """The answer to a streamed call."""

    def __init__(self, response: HttpResponse, decoder: ChatDecoder) -> None:
        response.counts_itself = True  # comments and empty chunks are no part of an answer
        self._response = response
        self._decoder = decoder
        self._parser = SSEParser()
        self._take: Take = _nobody
        self._ended = False
        self._size = 0
        self._came = 0

    async def pour(self, take: Take) -> bool:
        """Give the Deltas of all bytes as they arrive. Raises BackendError."""
        self._take = take
        try:
            if not self._ended and await self._response.pour(self._feed):
                self._close()
        except BackendError:
            self.abort()
            raise
        finally:
            self._take = _nobody
        return self._ended

    def _feed(self, data: bytes) -> bool:
        self._came += len(data)
        events = self._parser.feed(data)
        decoder = self._decoder
        deltas: list[Delta] = []
        try:
            if events:
                decoder.feed(events, deltas)
            if self._came > MOST_SAID:
                _check_size(decoder)
            if decoder.ended:
                self._end(deltas)
        except BackendError:
            if deltas and decoder.size <= MOST_SAID:
                self._take(deltas)
            raise
        if deltas:
            self._response.alive()
            return self._take(deltas) and not self._ended
        if decoder.size != self._size:  # what was said is held back
            self._size = decoder.size
            self._response.alive()
        return not self._ended

    def _close(self) -> None:
        """Read what the end of the body brings."""
        deltas: list[Delta] = []
        try:
            self._decoder.feed(self._parser.close(), deltas)
            self._end(deltas)
        finally:
            if deltas:
                self._take(deltas)

    def _end(self, deltas: list[Delta]) -> None:
        """Close the answer. Raises BackendError where it was broken off: then there was no finish reason."""
        if self._parser.stray:
            self._decoder.feed_stray(b"\n".join(self._parser.stray), deltas)
        self._decoder.finish(deltas)
        self._ended = True
        self._response.release()

    def abort(self) -> None:
        self._ended = True
        self._response.abort()


def _check_size(decoder: ChatDecoder) -> None:
    if decoder.size > MOST_SAID:
        raise BackendError(502, f"The backend's answer has more than {MOST_SAID} characters.")


WHOLE_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer that comes whole."""


class WholeStream:
    """The answer to a call that is not streamed: all Deltas at once."""

    def __init__(self, response: HttpResponse, decoder: ChatDecoder) -> None:
        self._response = response
        self._decoder = decoder
        self._ended = False

    async def pour(self, take: Take) -> bool:
        """Give all Deltas at once. Raises BackendError."""
        if not self._ended:
            body = await self._response.read_all(WHOLE_LIMIT)
            self._ended = True
            deltas: list[Delta] = []
            try:
                if len(body) < LARGE:
                    self._read(body, deltas)
                else:
                    await by_size(len(body), self._read, body, deltas)
            except BackendError:
                if self._decoder.size > MOST_SAID:
                    deltas.clear()
                raise
            finally:
                if deltas:
                    take(deltas)
        return True

    def _read(self, body: bytes, deltas: list[Delta]) -> None:
        decoder = self._decoder
        if body.lstrip()[:1] in (b"{", b"["):
            decoder.feed_whole(body, deltas)
        else:
            # Some servers stream and call it JSON.
            parser = SSEParser()
            decoder.feed([*parser.feed(body), *parser.close()], deltas)
            if parser.stray:
                decoder.feed_stray(b"\n".join(parser.stray), deltas)
        _check_size(decoder)
        decoder.finish(deltas)

    def abort(self) -> None:
        self._ended = True
        self._response.abort()


class RelayedBytes:
    """An answer that passes through as it is."""

    def __init__(self, response: HttpResponse) -> None:
        self.status = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = [pair for pair in response.headers if pair[0] in _KEPT_HEADERS]
        self._response = response

    async def read(self) -> bytes:
        """Return the next piece; an error in it does not tell the operator's secrets."""
        data = await self._response.read()
        return SECRETS.hide_in_bytes(data) if b'"error"' in data else data

    def abort(self) -> None:
        self._response.abort()


async def _written(turn: Turn, options: CodecOptions) -> tuple[bytes, ChatCall]:
    """Return the request's body, made in a thread: it is large, or its grammars or schemas are long to translate."""
    return await by_size(LARGE, codec.request, turn, options)


def codec_options(
    name: str, config: BackendConfig, models: Mapping[str, ModelConfig], known: Profiles, families: Families
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
    plain = CodecOptions(profile=profile, own_leaks=families, need_reason=config.finish_reason == "required")
    return plain, {
        own: msgspec.structs.replace(
            plain,
            policies=Policies(roles=model.roles, call_ids=model.call_ids, strict_schema=model.strict_schema),
            think=model.think,
            leaks=tuple(model.leaks),
        )
        for own, model in models.items()
    }


class ChatBackend:
    """A server that speaks chat completions. `models` holds the settings of models by the backend's own names.

    `known` are the configured profiles, `families` the configured families of leaked calls.

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
    ) -> None:
        self._plain, self._options = codec_options(name, config, models or {}, known, families)
        self.name = name
        self._config = config
        self._known = known
        self._client = connect(name, config, socket)
        self._path = self._client.address.target("/chat/completions")
        self._call_base = f"call_{secrets.token_hex(8)}"
        self._calls = count()

    @property
    def profile(self) -> Profile:
        """The kind of server that this one is taken for."""
        return self._plain.profile

    async def open(self, turn: Turn) -> ChatStream | WholeStream:
        """Start a call. Raises BackendError."""
        options = self._options.get(turn.model, self._plain)
        small = turn.size < LARGE and not codec.is_slow(turn, options)
        body, call = codec.request(turn, options) if small else await _written(turn, options)
        response = await accepted(await self._client.send("POST", self._path, body, trace_header(turn.hints)))
        decoder = codec.decoder(turn, call, options, f"{self._call_base}{next(self._calls):x}")
        type = response.header(b"content-type")
        # Some servers do not stream although they are asked to, and the other way round: what came counts.
        streamed = type.startswith(b"text/event-stream") or (turn.stream and not type.startswith(b"application/json"))
        return (ChatStream if streamed else WholeStream)(response, decoder)

    async def models(self) -> Sequence[BackendModel]:
        """Ask what it serves; who owns its models tells what kind of server it is. Raises BackendError."""
        models = await list_models(self._client)
        owners = [model.owned_by for model in models]
        profile = profiles.find(self._config.profile, self._config.url, owners, self._known)
        if profile is not None and profile is not self.profile:
            self._plain = msgspec.structs.replace(self._plain, profile=profile)
            for own, options in self._options.items():
                self._options[own] = msgspec.structs.replace(options, profile=profile)
        return models

    async def count_tokens(self, turn: Turn) -> int | None:
        """Count with the server's own tokenizer; None where its kind offers none. Raises BackendError."""
        if not token_count.offered(self.profile.kind):
            return None
        options = self._options.get(turn.model, self._plain)
        small = turn.size < LARGE and not codec.is_slow(turn, options)
        body, _ = codec.request(turn, options) if small else await _written(turn, options)
        return await token_count.count(self._client, self.profile.kind, body)

    async def chat_completions(self, body: bytes) -> RelayedBytes:
        """Pass a request on as it is. Raises BackendError."""
        return RelayedBytes(await accepted(await self._client.send("POST", self._path, body), ours=False))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
