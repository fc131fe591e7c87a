"""What was sent to backends for a response: of this process, or of another worker of this server that remembers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.config.masking import masked_for_operators
from antiphon.core.json_encoding import to_json
from antiphon.responses.log.captures import Captures, SentRequest, shown_body
from antiphon.runtime.offload import by_size

MISSING = (
    "No request is kept here. Each server process remembers the last requests only (setting capture_bytes), until it restarts:"
    " this response was made by another server, before a restart, or too long ago."
)

Ask = Callable[[bytes], Awaitable[Sequence[bytes]]]
"""Asks the other workers of this server."""


class SentReport(msgspec.Struct, frozen=True):
    """The fields that `GET /admin/responses/{id}` adds. `sent_missing` is why `sent` is empty."""

    sent: list[Any] = []
    sent_forgotten: int = 0
    sent_missing: str | None = None


class _AskedWorker(msgspec.Struct, array_like=True, frozen=True):
    response: str
    owner: str


_question = msgspec.json.Decoder(_AskedWorker)
_report = msgspec.json.Decoder(SentReport)


class SentLookup:
    """Finds what was sent; `ask` reaches the other workers."""

    def __init__(self, captures: Captures, ask: Ask | None = None) -> None:
        self._captures = captures
        self._ask = ask

    async def find(self, response: str, owner: str) -> SentReport:
        """Return what was sent for an owner's response, by this process or else by another worker."""
        own = await self._own(response, owner)
        if own.sent or own.sent_forgotten or self._ask is None:
            return own
        for answer in await self._ask(to_json(_AskedWorker(response, owner))):
            return await by_size(len(answer), _report.decode, answer)
        return own

    async def answer(self, question: bytes) -> bytes:
        """Answer another worker: what this process remembers, b"" for nothing."""
        wanted = _question.decode(question)
        own = await self._own(wanted.response, wanted.owner)
        return to_json(own) if own.sent or own.sent_forgotten else b""

    async def _own(self, response: str, owner: str) -> SentReport:
        calls, forgotten = self._captures.read(response, owner)
        sent = await by_size(sum(len(call.body) for call in calls), _shown, calls)
        return SentReport(sent, forgotten, None if calls else MISSING)


def _shown(calls: Sequence[SentRequest]) -> list[Any]:
    """Return requests to backends as operators may see them."""
    return [
        {
            "at": call.at,
            "backend": call.backend,
            "url": masked_for_operators(call.url),
            "body": Raw(shown_body(call.body)),
        }
        for call in calls
    ]
