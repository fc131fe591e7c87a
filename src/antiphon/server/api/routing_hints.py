"""Routing hints: request headers → Hints, and the header by which a client returns to the same backend.

Codex echoes `x-codex-turn-state` in all further requests of a turn: they go to the backend whose KV cache has the beginning
of their prompt. `traceparent` is passed to the backend.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from antiphon.core.turn import Hints
from antiphon.responses.run import Run
from antiphon.server.http.messages import Header

TURN_STATE = b"x-codex-turn-state"
TRACE_PARENT = b"traceparent"
LONGEST = 256

_PARENT = re.compile(rb"[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}")


class RequestHead(Protocol):
    """The head of an HTTP request, or of a WebSocket connection's handshake."""

    @property
    def owner(self) -> str:
        """Owner of the request."""
        ...

    def header(self, name: bytes) -> bytes | None:
        """Return a header by its lower-case name."""
        ...


def request_hints(head: RequestHead) -> Hints:
    """Return the Hints of a request's headers."""
    return Hints(owner=head.owner, backend_id=_text(head, TURN_STATE), traceparent=_parent(head))


def turn_state(run: Run) -> Sequence[Header]:
    """Return the header for the client to echo; nothing if there is only one backend."""
    return ((TURN_STATE, run.backend_id.encode()),) if run.backend_id else ()


def _parent(head: RequestHead) -> str:
    value = head.header(TRACE_PARENT)
    return value.decode() if value is not None and _PARENT.fullmatch(value) else ""


def _text(head: RequestHead, name: bytes) -> str:
    value = head.header(name)
    return value.decode("latin-1") if value is not None and len(value) <= LONGEST else ""
