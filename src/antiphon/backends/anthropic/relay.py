"""Messages requests that are passed on as they are, and what is read of the answer while it passes: its token counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.backends.anthropic.answers import TokenCounts
from antiphon.backends.openai_calls import accepted
from antiphon.backends.refusals import read_refusal
from antiphon.config.masking import SECRETS, MaskedErrors
from antiphon.core.json_encoding import to_json
from antiphon.core.text.sse import SSEParser
from antiphon.errors import BackendError
from antiphon.net.http.response import HttpResponse
from antiphon.types.raw import OptionalRaw
from antiphon.types.response import Usage

KEPT_HEADERS = (b"content-type", b"cache-control", b"request-id", b"retry-after")
ANSWERED = frozenset((400, 404, 409, 413, 422))
"""Refusals of the request itself: the client gets the server's own words."""

MOST_READ = 4 * 1024 * 1024
"""Bytes of an answer that comes whole in which the token counts are looked for."""

_MARK = b"cache_control"
_any = msgspec.json.Decoder(Any)


CUT = frozenset(("max_tokens", "model_context_window_exceeded", "refusal"))
"""Values of `stop_reason` of an answer that is not complete."""


class _Ending(msgspec.Struct):
    stop_reason: str | None = None


class _Counted(msgspec.Struct):
    """All that is read of an event, or of an answer that comes whole."""

    type: str = ""
    message: _Counted | None = None
    usage: OptionalRaw = None
    delta: _Ending | None = None
    stop_reason: str | None = None


_counted = msgspec.json.Decoder(_Counted)


def relay_body(body: bytes, cache: str) -> bytes:
    """Return the body that is passed on: with `cache` = off without the client's breakpoints, else the same bytes."""
    if cache != "off" or _MARK not in body:
        return body
    try:
        return to_json(_unmarked(_any.decode(body)))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return body  # the server says what it thinks of it


def _unmarked(value: Any) -> Any:
    """Return a request without breakpoints: they stand at its top, at blocks and at tools, not in what a tool is called with."""
    if isinstance(value, list):
        return [_unmarked(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        name: one if name in ("input", "input_schema", "source") else _unmarked(one)
        for name, one in value.items()
        if name != "cache_control"
    }


class UsageReader:
    """Reads the token counts of an answer while its bytes pass."""

    __slots__ = ("_counts", "_parser", "_size", "_streamed", "_whole", "chunks", "incomplete")

    def __init__(self, *, streamed: bool) -> None:
        self.chunks = 0
        """Pieces that were said so far: what is counted where no counts come."""
        self.incomplete = False
        """Whether the answer was cut off."""
        self._counts = TokenCounts()
        self._streamed = streamed
        self._parser: SSEParser | None = SSEParser()
        self._whole = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Take in bytes that pass."""
        if not self._streamed:
            if len(self._whole) < MOST_READ:
                self._whole += data
            return
        if self._parser is None:
            return
        try:
            events = self._parser.feed(data)
        except BackendError:
            self._parser = None  # an event without an end passes all the same
            return
        for event in events:
            self.chunks += 1
            if b'"usage"' in event:
                self._read(event)

    def usage(self) -> Usage | None:
        """Return what was counted, None where nothing was."""
        if self._whole:
            self._read(bytes(self._whole))
            self._whole.clear()
        return self._counts.usage(0, 0) if self._counts.known else None

    def _read(self, data: bytes) -> None:
        try:
            event = _counted.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return
        if event.type in ("message_start", "message_delta", "message"):
            self._counts.add(event.message.usage if event.message is not None else event.usage)
            reason = event.delta.stop_reason if event.delta is not None else event.stop_reason
            self.incomplete = self.incomplete or reason in CUT


class RelayedMessages:
    """An answer that passes through byte for byte. `refusal` is one of the request itself, which the client gets as it is."""

    def __init__(self, response: HttpResponse, refusal: bytes | None = None) -> None:
        self.status = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = [
            pair for pair in response.headers.items() if pair[0] in KEPT_HEADERS
        ]
        self._counts = UsageReader(streamed=response.header(b"content-type").startswith(b"text/event-stream"))
        self._response = response
        self._errors = MaskedErrors(SECRETS)
        self._refusal = refusal

    @classmethod
    async def of(cls, response: HttpResponse) -> RelayedMessages:
        """Return an answer, or a refusal of the request itself. Raises BackendError for any other."""
        if response.status in ANSWERED:
            return cls(response, SECRETS.hide_in_bytes(await read_refusal(response)))
        return cls(await accepted(response, ours=False))

    @property
    def said(self) -> int:
        """Events so far."""
        return self._counts.chunks

    @property
    def incomplete(self) -> bool:
        """Whether the answer was cut off, as far as it has come."""
        return self._counts.incomplete

    def usage(self) -> Usage | None:
        """Return the token counts so far; None where there are none."""
        return self._counts.usage()

    async def read(self) -> bytes:
        """Return the next piece, b"" at the end; an error in it does not tell the operator's secrets. Raises BackendError."""
        if self._refusal is not None:
            data, self._refusal = self._refusal, b""
            return data
        while True:
            data = await self._response.read()
            self._counts.feed(data)
            if (shown := self._errors.feed(data)) or not data:
                return shown

    def abort(self) -> None:
        self._response.abort()
