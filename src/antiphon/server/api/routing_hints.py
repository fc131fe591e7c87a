"""What a request's head tells about where it is to be answered, and what its answer's head tells the client of that.

Codex echoes `x-codex-turn-state` in all further requests of a turn: they go where the beginning of their prompt is in a
KV cache. `traceparent` goes along to the backend.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from antiphon.core.turn import Hints
from antiphon.responses.plan import Plan
from antiphon.responses.run import Run
from antiphon.server.http.messages import Header, Request

TURN_STATE = b"x-codex-turn-state"
TRACE_PARENT = b"traceparent"
LONGEST = 256

_PARENT = re.compile(rb"[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}")


def request_hints(request: Request) -> Hints:
    """Return what the head tells."""
    return Hints(owner=request.owner, backend_id=_text(request, TURN_STATE), traceparent=_parent(request))


def hinted(plan: Plan, request: Request) -> Plan:
    """Return a Plan whose calls follow what the head tells."""
    hints = request_hints(request)
    if not (hints.backend_id or hints.traceparent):
        return plan
    known = plan.turn.hints
    both = replace(known, backend_id=hints.backend_id, traceparent=hints.traceparent)
    return replace(plan, turn=replace(plan.turn, hints=both))


def turn_state(run: Run) -> Sequence[Header]:
    """Return the header that the client is to echo; nothing where there is but one backend to choose."""
    return ((TURN_STATE, run.backend_id.encode()),) if run.backend_id else ()


def _parent(request: Request) -> str:
    value = request.header(TRACE_PARENT)
    return value.decode() if value is not None and _PARENT.fullmatch(value) else ""


def _text(request: Request, name: bytes) -> str:
    value = request.header(name)
    return value.decode("latin-1") if value is not None and len(value) <= LONGEST else ""
