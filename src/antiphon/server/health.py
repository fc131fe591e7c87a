"""`/health`: the process lives. `/ready`: somebody here can make tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from antiphon import __version__
from antiphon.server.http import Reply, Request, json_reply


class BackendState(msgspec.Struct, frozen=True, kw_only=True):
    """How a backend does, as anybody may know: neither its address nor its errors' text."""

    name: str
    up: bool
    models: int = 0


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/ready`."""

    status: str
    backends: Sequence[BackendState]


class HealthStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/health`."""

    status: str = "ok"
    version: str = __version__


class Health:
    """The handlers for load balancers and people on call."""

    def __init__(self, states: Callable[[], Sequence[BackendState]]) -> None:
        self._states = states

    async def health(self, request: Request) -> Reply:
        """GET /health: 200 as long as the process answers."""
        return json_reply(HealthStatus())

    async def ready(self, request: Request) -> Reply:
        """GET /ready: 200 while a backend is up, 503 while none is."""
        states = self._states()
        if any(state.up for state in states):
            return json_reply(Readiness(status="ready", backends=states))
        return json_reply(Readiness(status="unavailable", backends=states), 503, headers=[(b"retry-after", b"2")])
