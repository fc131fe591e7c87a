"""ResponsesBackend: servers that speak Responses themselves."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from functools import partial

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.backends.base import BackendModel, ByteStream, Take
from antiphon.backends.chat import profiles, token_count
from antiphon.backends.chat.answers.endings import CHOICE, tell_uncalled
from antiphon.backends.chat.codec import CodecOptions
from antiphon.backends.chat.codec import request as chat_request
from antiphon.backends.error_words import parse
from antiphon.backends.learning.adaptations import Adaptation, Adaptations
from antiphon.backends.learning.asking import Asking, with_window
from antiphon.backends.learning.responses_wishes import adapted, is_forced, sent_fields
from antiphon.backends.openai_calls import accepted, connect, list_models, post_json, trace_header
from antiphon.backends.refusals import read_refusal, refusal
from antiphon.backends.relaying import RelayedBytes, RouteRelayer
from antiphon.backends.responses import codec
from antiphon.backends.responses.decoder import ResponsesEventDecoder
from antiphon.backends.responses.fast_text import FastText
from antiphon.backends.responses.items import RequestForm
from antiphon.backends.responses.one_call import OneCall
from antiphon.backends.responses.refused_forms import REFUSED, form_of, lesson_of, next_form
from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.deltas import Delta, InputRemoved, Relay, RelayedText
from antiphon.core.fast_path import FastPath
from antiphon.core.opaque import OTHER_MODEL, withheld
from antiphon.core.relay.end import response_of
from antiphon.core.relay.shapes import ENDS, LIFE
from antiphon.core.relayed_request import RelayedRequest
from antiphon.core.text.sse import EVENT_LIMIT, MOST_SAID, SSEParser
from antiphon.core.tools.tool_map import ToolMap
from antiphon.core.turn import NO_OPTIONS, Hints, Turn, begun_text, continues, no_prefill
from antiphon.errors import BackendError, InvalidRequest
from antiphon.net.http.client import HttpResponse
from antiphon.runtime.offload import LARGE, by_size

MANY = 8  # events of one read, from which on they are looked at together
FIRST = 2  # of them, from which is learned whether the others are more of one text
MOST_LOOKS = 6  # in one read

PREFILLING = frozenset(("llama_cpp", "vllm"))
"""Kinds of servers whose `/responses` goes on with a message of the assistant's, as measured."""


class RelayStream(msgspec.Struct, eq=False):
    """The events of one answer, as Deltas; or an answer that came whole, whichever of the two was asked for."""

    _response: HttpResponse
    _decoder: ResponsesEventDecoder
    _model: str
    ignored: Sequence[str]
    _uncalled: bool  # no call has come yet, although there must be one
    _one_call: OneCall | None
    _removed: Sequence[Delta]  # what the request had to do without is told with the first of the answer
    _take: Take | None = None
    _begun: bool = False
    _whole: list[bytes] | None = None
    _parser: SSEParser | None = None  # made for a stream
    _size: int = 0
    _plain: bool = False  # what came whole may be given as a PlainAnswer
    _said: int = 0
    _path: FastPath | None = None
    _fast: FastText | None = None

    @classmethod
    def of(
        cls, response: HttpResponse, turn: Turn, *, ignored: Sequence[str] = (), forced: bool = False
    ) -> RelayStream:
        """Return the answer to a Turn; `forced`: it must be a call."""
        response.counts_itself = True  # comments, keepalives and the like are no part of an answer
        decoder = ResponsesEventDecoder(
            turn.max_output_tokens, codec.custom_tools(turn), turn.items, partial(ToolMap, turn.tools, turn.items)
        )
        if turn.options.continues:
            decoder.begun = begun_text(turn)
        one_call = None if turn.parallel_tool_calls else OneCall()
        removed = [InputRemoved(id, OTHER_MODEL) for id in withheld(turn.items, turn.opaque)] if turn.opaque else ()
        return cls(response, decoder, turn.model, ignored, forced, one_call, removed)

    def unwatched(self) -> None:
        """Be told that nobody looks at Deltas."""
        self._plain = self._one_call is None and not self._uncalled

    def offer(self, path: FastPath) -> None:
        """Be offered a way past Deltas, for further pieces of one text."""
        if self._one_call is None:
            self._path = path

    async def pour(self, take: Take) -> bool:
        """Give the Deltas as they arrive. Raises BackendError."""
        decoder = self._decoder
        self._take = take
        try:
            if not decoder.ended and await self._response.pour(self._feed):
                self._pass_on(self._rest())
                decoder.finish()
            if decoder.error is not None:
                raise decoder.error
            if decoder.ended and self._uncalled:
                self._uncalled = False
                self.ignored = [*self.ignored, CHOICE]
                tell_uncalled(self._model)
        except BackendError:
            self.abort()
            raise
        finally:
            self._take = None
        if decoder.ended:
            self._response.release()
        return decoder.ended

    def _feed(self, data: bytes) -> bool:
        if not self._begun and (begin := data.lstrip()):
            self._begun = True
            if begin.startswith(b"{"):
                self._whole = []
        if self._whole is not None:
            self._whole.append(data)
            self._size += len(data)
            if not data.isspace():
                self._response.alive()
            if self._size > EVENT_LIMIT:
                raise BackendError(502, "The backend's answer is too large.")
            return True
        if self._parser is None:
            self._parser = SSEParser()
        ready = self._feed_events(self._parser.feed(data))
        fast = self._fast
        if ready and fast is not None and fast.takes_reads and not self._parser.waiting:
            self._response.shortcut = fast.take
        return ready

    def _feed_events(self, events: Sequence[bytes]) -> bool:
        """Give what events say: those that are only more of one text by the fast path, all others as Deltas."""
        at, ready, looks = 0, True, 0
        while at < len(events) and not self._decoder.ended:
            if self._fast is not None:
                taken, wanted = self._fast.give(events[at:] if at else events)
                at, ready = at + taken, ready and wanted
                if taken:
                    self._response.alive()
                if at == len(events):
                    break
                self._leave_fast()
            looks += 1
            few = self._path is not None and looks <= MOST_LOOKS and len(events) - at > MANY
            to = at + FIRST if few else len(events)
            ready = self._feed_long(events[at:to]) and ready
            at = to
        return ready and not self._decoder.ended

    def _leave_fast(self) -> None:
        if self._fast is not None:
            self._said += self._fast.said
            self._fast = None

    def _feed_long(self, events: Sequence[bytes]) -> bool:
        """Give what events say as Deltas; False once the taker wants no more for now."""
        deltas = self._decoder.feed(events)
        alive = False
        for delta in deltas:
            if isinstance(delta, RelayedText):
                self._said += len(delta.text)
                alive = True
            elif not alive:
                alive = not isinstance(delta, Relay) or delta.type not in LIFE
        if self._said > MOST_SAID:
            raise BackendError(502, f"The backend's answer has more than {MOST_SAID} characters.")
        if alive:
            self._response.alive()
        ready = self._pass_on(deltas)
        if self._path is not None and deltas and type(like := deltas[-1]) is RelayedText and not self._decoder.ended:
            self._fast = FastText.of(like, self._path, MOST_SAID - self._said, self._response.pause)
        return ready

    def _rest(self) -> Sequence[Delta]:
        if self._whole is not None:
            body = b"".join(self._whole)
            plain = self._decoder.plain(body) if self._plain else None
            return self._decoder.whole(body) if plain is None else (plain,)
        return self._decoder.feed(self._parser.close()) if self._parser is not None else ()

    def _pass_on(self, deltas: Sequence[Delta]) -> bool:
        if self._one_call is not None:
            deltas = self._one_call.kept(deltas)
        if self._uncalled:
            self._uncalled = not any(_excuses(delta) for delta in deltas)
        if self._removed and deltas:
            deltas, self._removed = [*self._removed, *deltas], ()
        return not deltas or self._take is None or self._take(deltas)

    def abort(self) -> None:
        self._response.abort()


def _excuses(delta: Delta) -> bool:
    """Tell whether an answer is a call, or why it need not be one: it is a refusal, or was cut off."""
    if not isinstance(delta, Relay):
        return False
    if delta.type == "response.completed":
        output = response_of(delta.fields).get("output")
        return isinstance(output, list) and any(_is_call(item) for item in output)
    if delta.type in ("response.output_item.added", "response.output_item.done"):
        return _is_call(delta.fields.get("item"))
    return delta.type in ENDS or delta.type.startswith("response.refusal.")


def _is_call(item: object) -> bool:
    if not isinstance(item, dict):
        return False
    parts = item.get("content")
    refused = isinstance(parts, list) and any(
        isinstance(part, dict) and part.get("type") == "refusal" for part in parts
    )
    return refused or str(item.get("type")).endswith("_call")


def stream_policies(models: Mapping[str, ModelConfig]) -> dict[str, bool]:
    """Return whether a model is asked for streams, of those for which clients do not decide it."""
    return {name: model.stream == "always" for name, model in models.items() if model.stream != "as_asked"}


class ResponsesBackend:
    """A backend that is asked with the whole history, `store: false`, and whose events pass through.

    A client that does not stream gets its answer from a call that does not stream. `models` holds the settings of models by the
    backend's own names. `learn`: a refusal that names a wish of the request is answered by asking without it.
    """

    runs_hosted_tools = True

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
        self._streams = stream_policies(models or {})
        self._client = connect(name, config, socket)
        self._path = self._client.address.target("/responses")
        self._url = self._client.address.url("/responses")
        self._relayer = RouteRelayer(self._client)
        self._config = config
        self._profile = profiles.find(config.profile, config.url)
        self._chat: CodecOptions | None = None
        self._learn = learn
        self._settings = {
            model: Adaptation(drop=tuple(one.drop), efforts=tuple(one.efforts))
            for model, one in (models or {}).items()
            if one.drop or one.efforts
        }
        self._adaptations = Adaptations(name)

    @property
    def learned(self) -> Mapping[str, Adaptation]:
        """What was learned of its models by refusals."""
        return self._adaptations.all()

    async def open(self, turn: Turn) -> RelayStream:
        """Start a call; a wish that the model refuses is left out. Raises BackendError."""
        if turn.options is not NO_OPTIONS:
            turn = self._streamed(turn)
        policy = self._streams.get(turn.model)
        if policy is not None and turn.stream is not policy:
            turn = replace(turn, stream=policy)
        asking = Asking(turn, self._adaptations)
        settings = self._settings.get(turn.model)
        while True:
            changed = asking.changed if settings is None else settings.plus(asking.changed)
            asked, ignored = adapted(asking.turn, changed)
            if asked.tool_choice == "none" and self._profile is not None and not self._profile.tool_choice_none:
                asked = replace(asked, tools=[])  # it would call them all the same
            form = form_of(changed)
            try:
                small = asked.size < LARGE
                body = codec.request(asked, form) if small else await by_size(asked.size, codec.request, asked, form)
                response = await self._send(asked, body)
                if not 200 <= response.status < 300:
                    response = await self._send_otherwise(response, asked, form, body)
                break
            except BackendError as error:
                if not self._learn or not asking.changes(error, sent_fields(asked)):
                    raise
        asking.accepted()
        return RelayStream.of(response, asked, ignored=ignored, forced=is_forced(asked))

    def _streamed(self, turn: Turn) -> Turn:
        """Return a Turn that has to be streamed as one that is. Raises InvalidRequest for a message that cannot be continued."""
        goes_on = continues(turn)
        if goes_on and not self._prefills:
            raise no_prefill()
        if (turn.options.stop or goes_on) and not turn.stream:
            # The API has no stop sequences: the text is cut while it comes. llama.cpp repeats what was begun in a whole answer.
            return replace(turn, stream=True)
        return turn

    @property
    def _prefills(self) -> bool:
        """Whether the server goes on with a message of the assistant's: the API has no word for it, and OpenAI begins anew."""
        return self._profile is not None and self._profile.kind in PREFILLING

    def _send(self, turn: Turn, body: bytes) -> Coroutine[object, object, HttpResponse]:
        """Send a request. Raises BackendError."""
        if turn.hints.sent is not None:
            turn.hints.sent(self.name, self._url, body)
        return self._client.send("POST", self._path, body, trace_header(turn.hints))

    async def _send_otherwise(
        self, response: HttpResponse, turn: Turn, known: RequestForm, body: bytes
    ) -> HttpResponse:
        """Send a request that was refused in the form that its refusal asks for. Raises BackendError where there is none."""
        form, why = known, ""
        while response.status in REFUSED:
            said = await read_refusal(response)
            other = body
            while other == body:  # what the request has nothing of cannot be what is refused
                changed = next_form(form, parse(said))
                if changed is None:
                    raise refusal(response.status, said)
                why = why or refusal(response.status, said).message
                form, other = changed, await by_size(turn.size, codec.request, turn, changed)
            body = other
            response = await self._send(turn, body)
        await accepted(response)
        if form is not known:
            self._adaptations.learn(turn.model, lesson_of(form), why, turn.hints.owner)
        return response

    async def models(self) -> Sequence[BackendModel]:
        """Ask what it serves; all of it can be called through chat completions, which are translated. Raises BackendError."""
        learned = self._adaptations.shared()
        models = await list_models(self._client)
        owners = [model.owned_by for model in models]
        self._profile = profile = profiles.find(self._config.profile, self._config.url, owners)
        self._chat = CodecOptions(profile=profile) if profile and token_count.offered(profile.kind) else None
        return [
            replace(with_window(model, learned), capabilities=replace(model.capabilities, chat_completions=True))
            for model in models
        ]

    async def count_tokens(self, turn: Turn) -> int | None:
        """Count with the tokenizer that the server has for chat completions; None where it has none. Raises BackendError."""
        if self._chat is None:
            return None
        try:
            body, _ = await by_size(LARGE, chat_request, turn, self._chat)
        except InvalidRequest:  # a history that chat completions cannot say
            return None
        return await token_count.count(self._client, self._chat.profile.kind, body)

    async def chat_completions(self, body: bytes) -> ByteStream:
        """Refuse: such a backend is not asked for chat completions."""
        raise InvalidRequest(
            "This model cannot be called through chat completions.", param="model", code="unsupported_model"
        )

    async def relay(self, request: RelayedRequest, model: str, extra: Mapping[str, Raw], hints: Hints) -> RelayedBytes:
        """Pass a request on to another route of the server. Raises BackendError."""
        return await self._relayer.relay(request, model, extra, hints)

    async def post(self, endpoint: str, body: bytes) -> bytes:
        """Send JSON to another endpoint of the server, such as `/embeddings`. Raises BackendError."""
        return await post_json(self._client, endpoint, body)

    async def close(self) -> None:
        await self._client.close()
