"""Deltas as SSE comments beside the events made of them, on request by a header.

A traced response has a Route and a Sink of its own, without cost for others. SSE clients skip comments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.deltas import Delta
from antiphon.core.json_encoding import to_json
from antiphon.core.text import sse
from antiphon.server.http.messages import ByteSink, Request
from antiphon.types.events import Event

HEADER = b"x-antiphon-trace"
WANTED = b"deltas"


def wants_trace(request: Request) -> bool:
    """Tell whether a request asks for Deltas."""
    return request.header(HEADER) == WANTED


class TracingSink:
    """Sends Events as server-sent events, the backend's Deltas before them as comments: `: backend [{"type": …}, …]`."""

    def __init__(self, sink: ByteSink, heard: list[Delta]) -> None:
        self._sink = sink
        self._heard = heard
        self.drain = sink.drain

    def send(self, events: Sequence[Event]) -> bool:
        """Frame the recorded Deltas and the events."""
        comment = b": backend %b\n\n" % to_json([_shown(delta) for delta in self._heard]) if self._heard else b""
        self._heard.clear()
        return self._sink.write_nowait(sse.unbroken(comment) + sse.encode(events))


def _shown(delta: Delta) -> dict[str, Any]:
    """Return a Delta as JSON can have it, without what is empty."""
    fields = msgspec.structs.asdict(delta)
    logprobs = fields.pop("logprobs", b"")
    shown = {name: value for name, value in fields.items() if value not in ("", None)}
    if logprobs:
        shown["logprobs"] = Raw(b"[%b]" % logprobs)
    return {"said": type(delta).__name__, **shown}
