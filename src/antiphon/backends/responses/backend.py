"""ResponsesBackend: servers that speak Responses themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from antiphon.backends.base import BackendModel, ByteStream, Take
from antiphon.backends.error_words import parse
from antiphon.backends.openai_calls import accepted, connect, list_models, trace_header
from antiphon.backends.refusals import read_refusal, refusal
from antiphon.backends.responses import codec
from antiphon.backends.responses.decoder import ResponsesEventDecoder
from antiphon.backends.responses.refused_forms import REFUSED, RequestForms, next_form
from antiphon.config import BackendConfig
from antiphon.core.deltas import Delta, InputRemoved, Relay, RelayedText
from antiphon.core.opaque import OTHER_MODEL, withheld
from antiphon.core.relay.shapes import LIFE
from antiphon.core.text.sse import EVENT_LIMIT, MOST_SAID, SSEParser
from antiphon.core.tools.tool_map import ToolMap
from antiphon.core.turn import Turn
from antiphon.errors import BackendError, InvalidRequest
from antiphon.net.http.client import HttpResponse
from antiphon.runtime.offload import by_size


class RelayStream:
    """The events of one answer, as Deltas; or an answer that came whole, although a stream was asked for."""

    def __init__(self, response: HttpResponse, turn: Turn) -> None:
        response.counts_itself = True  # comments, keepalives and the like are no part of an answer
        self._response = response
        self._parser = SSEParser()
        self._decoder = ResponsesEventDecoder(
            turn.max_output_tokens, codec.custom_tools(turn), turn.items, partial(ToolMap, turn.tools, turn.items)
        )
        self._take: Take | None = None
        self._whole: bytearray | None = None
        self._begun = False
        self._said = 0
        # What the request had to do without is told with the first of the answer.
        self._removed: Sequence[Delta] = [InputRemoved(id, OTHER_MODEL) for id in withheld(turn.items, turn.opaque)]

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
                self._whole = bytearray()
        if self._whole is not None:
            self._whole += data
            if not data.isspace():
                self._response.alive()
            if len(self._whole) > EVENT_LIMIT:
                raise BackendError(502, "The backend's answer is too large.")
            return True
        deltas = self._decoder.feed(self._parser.feed(data))
        self._said += sum([len(delta.text) for delta in deltas if isinstance(delta, RelayedText)])
        if self._said > MOST_SAID:
            raise BackendError(502, f"The backend's answer has more than {MOST_SAID} characters.")
        if any(not (isinstance(delta, Relay) and delta.type in LIFE) for delta in deltas):
            self._response.alive()
        return self._pass_on(deltas) and not self._decoder.ended

    def _rest(self) -> Sequence[Delta]:
        if self._whole is not None:
            return self._decoder.whole(bytes(self._whole))
        return self._decoder.feed(self._parser.close())

    def _pass_on(self, deltas: Sequence[Delta]) -> bool:
        if self._removed and deltas:
            deltas, self._removed = [*self._removed, *deltas], ()
        return not deltas or self._take is None or self._take(deltas)

    def abort(self) -> None:
        self._response.abort()


class ResponsesBackend:
    """A backend that is asked with the whole history, `store: false`, and whose events pass through."""

    def __init__(self, name: str, config: BackendConfig, *, socket: str = "") -> None:
        self.name = name
        self._client = connect(name, config, socket)
        self._forms = RequestForms()

    async def open(self, turn: Turn) -> RelayStream:
        """Start a call; a form of request that the server refuses is changed. Raises BackendError."""
        form = self._forms.of(turn.model)
        body = await by_size(turn.size, codec.request, turn, form)
        while True:
            response = await self._send(turn, body)
            if response.status not in REFUSED:
                stream = RelayStream(await accepted(response), turn)
                self._forms.learn(turn.model, form)
                return stream
            said = await read_refusal(response)
            other = body
            while other == body:  # what the request has nothing of cannot be what is refused
                changed = next_form(form, parse(said))
                if changed is None:
                    raise refusal(response.status, said)
                form, other = changed, await by_size(turn.size, codec.request, turn, changed)
            body = other

    async def _send(self, turn: Turn, body: bytes) -> HttpResponse:
        path = self._client.address.target("/responses")
        return await self._client.send("POST", path, body, trace_header(turn.hints))

    async def models(self) -> Sequence[BackendModel]:
        """Ask what it serves; none of it can be called through chat completions here. Raises BackendError."""
        return [
            replace(model, capabilities=replace(model.capabilities, chat_completions=False))
            for model in await list_models(self._client)
        ]

    async def count_tokens(self, turn: Turn) -> int | None:
        """Return None: counting is left to those who have a tokenizer."""
        return None

    async def chat_completions(self, body: bytes) -> ByteStream:
        """Refuse: such a backend is not asked for chat completions."""
        raise InvalidRequest(
            "This model cannot be called through chat completions.", param="model", code="unsupported_model"
        )

    async def close(self) -> None:
        await self._client.close()
