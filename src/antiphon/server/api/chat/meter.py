"""Token usage of a relayed chat completion, read while it passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon.access.limits import Demand, Permit
from antiphon.backends.base import ByteStream
from antiphon.errors import BackendError
from antiphon.server.api.admin import RelayedCall
from antiphon.telemetry.request_record import uses_tokens
from antiphon.types.chat import ChatUsage
from antiphon.types.response import InputTokensDetails, Usage

TAIL = 16_384  # bytes of the end of an answer that are looked at: usage stands in a stream's last chunk
BYTES_PER_TOKEN = 4


class _Answer(msgspec.Struct):
    usage: ChatUsage | None = None


_answer = msgspec.json.Decoder(_Answer)
_number = msgspec.json.Decoder(int)


def demand(body: bytes, fields: Mapping[str, Raw]) -> Demand:
    """Return what a request will use, by its size and the limit that it names."""
    most = max(
        (_number_of(fields[name]) for name in ("max_completion_tokens", "max_tokens") if name in fields), default=0
    )
    return Demand(len(body) // BYTES_PER_TOKEN, most)


def _number_of(value: Raw) -> int:
    """Return a number; 0 for null and for values that the backend will refuse."""
    try:
        return _number.decode(value)
    except (ValueError, RecursionError):
        return 0


def metered(answer: ByteStream, permit: Permit, call: RelayedCall) -> ByteStream:
    """Return the answer as one that settles the permit and notes at its end what it took, also in the list of requests."""
    return MeteredAnswer(answer, permit, call)


_CUT = (b'"finish_reason":"length"', b'"finish_reason": "length"')
"""How an answer says that it was cut off."""


class MeteredAnswer:
    """A relayed answer whose usage is read. Without usage each chunk of a stream counts as a token."""

    def __init__(self, answer: ByteStream, permit: Permit, call: RelayedCall) -> None:
        self.status = answer.status
        self._call = call
        if answer.status >= 300:
            call.error = BackendError(answer.status, "")
        ours = {name for name, _ in permit.headers}
        self.headers: Sequence[tuple[bytes, bytes]] = [
            *permit.headers,
            *((name, value) for name, value in answer.headers if name not in ours),
        ]
        self._answer = answer
        self._permit = permit
        self._streamed = any(value.startswith(b"text/event-stream") for _, value in answer.headers)
        self._seen = b""
        self._chunks = 0
        self._settled = False

    async def read(self) -> bytes:
        """Return the next piece, b"" at the end. Raises BackendError."""
        try:
            data = await self._answer.read()
        except BackendError as error:
            self._call.error = error
            raise
        if not self._seen:
            self._call.speaks()
        self._seen += data
        if self._streamed:
            self._chunks += data.count(b"data:")
            self._seen = self._seen[-TAIL:]
        if not data or b"[DONE]" in data:
            self._settle()
        return data

    def abort(self) -> None:
        """Let go of the call."""
        self._call.abandoned = not self._settled
        self._answer.abort()
        self._settle()

    def _settle(self) -> None:
        seen = max(self._chunks, 1) if self._seen and self.status < 300 else 0
        texts = reversed(self._seen.split(b"\n")) if self._streamed else (self._seen,)
        if self._settled:
            return
        self._settled = True
        usage = usage_in(texts)
        uses_tokens(usage)
        self._permit.settle(usage, seen)
        call = self._call
        call.usage, call.events = usage, self._chunks
        call.incomplete = any(end in self._seen for end in _CUT)


def usage_in(texts: Iterable[bytes]) -> Usage | None:
    """Return the first usage among JSON texts, which may be a stream's lines; None where there is none."""
    for text in texts:
        if b'"usage"' not in text:
            continue
        try:
            usage = _answer.decode(text.removeprefix(b"data:")).usage
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
        if usage is not None:
            return _usage(usage)
    return None


def _usage(usage: ChatUsage) -> Usage:
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens if details is not None else None) or 0
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        input_tokens_details=InputTokensDetails(cached_tokens=cached),
        output_tokens=usage.completion_tokens or 0,
    )
