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
    state, parent = head.header(TURN_STATE), head.header(TRACE_PARENT)
    return Hints(
        owner=head.owner,
        backend_id="" if state is None or len(state) > LONGEST else state.decode("latin-1"),
        traceparent="" if parent is None or not _PARENT.fullmatch(parent) else parent.decode(),
    )


def turn_state(run: Run) -> Sequence[Header]:
    """Return the header for the client to echo; nothing if there is only one backend."""
    id = run.backend_id
    return ((TURN_STATE, id.encode()),) if id else ()
