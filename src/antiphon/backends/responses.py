"""ResponsesBackend: servers that speak Responses themselves."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.backends import responses_codec
from antiphon.backends.base import BackendModel, ByteStream, Take
from antiphon.backends.calls import accepted, connect, list_models, trace_header
from antiphon.backends.http_client import HttpResponse
from antiphon.backends.responses_codec import ResponsesDecoder
from antiphon.config import BackendConfig
from antiphon.core.sse import SSEParser
from antiphon.core.turn import Turn
from antiphon.errors import BackendError, InvalidRequest
from antiphon.offload import by_size


class RelayStream:
    """The events of one answer, as Relays."""

    def __init__(self, response: HttpResponse) -> None:
        self._response = response
        self._parser = SSEParser()
        self._decoder = ResponsesDecoder()

    async def pour(self, take: Take) -> bool:
        """Give the events as they arrive. Raises BackendError."""
        decoder = self._decoder

        def feed(data: bytes) -> bool:
            deltas = decoder.feed(self._parser.feed(data))
            return (not deltas or take(deltas)) and not decoder.ended

        try:
            if not decoder.ended and await self._response.pour(feed):
                deltas = decoder.feed(self._parser.close())
                decoder.finish()
                if deltas:
                    take(deltas)
        except BackendError:
            self.abort()
            raise
        if decoder.ended:
            self._response.release()
        return decoder.ended

    def abort(self) -> None:
        self._response.abort()


class ResponsesBackend:
    """A backend that is asked with the whole history, `store: false`, and whose events pass through."""

    def __init__(self, name: str, config: BackendConfig, *, socket: str = "") -> None:
        self.name = name
        self._client = connect(config, socket)

    async def open(self, turn: Turn) -> RelayStream:
        """Start a call. Raises BackendError."""
        path = f"{self._client.address.path}/responses"
        body = await by_size(turn.size, responses_codec.request, turn)
        return RelayStream(await accepted(await self._client.send("POST", path, body, trace_header(turn.hints))))

    async def models(self) -> Sequence[BackendModel]:
        return await list_models(self._client)

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
