"""`/health`: the process lives. `/ready`: somebody here can make tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from antiphon import __version__
from antiphon.backends.base import BackendHealth
from antiphon.server.http import Reply, Request, json_reply


class BackendState(msgspec.Struct, frozen=True, kw_only=True):
    """How a backend does, as anybody may know: neither its address nor its errors' text."""

    name: str
    up: bool
    models: int = 0
    circuit: str = "closed"
    """"open" while it gets no calls because it failed too often, "half_open" while one may try it again."""
    outstanding: int = 0
    waiting: int = 0


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

    def __init__(self, backends: Callable[[], Sequence[BackendHealth]]) -> None:
        self._backends = backends

    async def health(self, request: Request) -> Reply:
        """GET /health: 200 as long as the process answers."""
        return json_reply(HealthStatus())

    async def ready(self, request: Request) -> Reply:
        """GET /ready: 200 while a backend is up, 503 while none is."""
        states = [_state(one) for one in self._backends()]
        if any(state.up for state in states):
            return json_reply(Readiness(status="ready", backends=states))
        return json_reply(Readiness(status="unavailable", backends=states), 503, headers=[(b"retry-after", b"2")])


def _state(health: BackendHealth) -> BackendState:
    return BackendState(
        name=health.name,
        up=health.up,
        models=health.models,
        circuit=health.circuit,
        outstanding=health.outstanding,
        waiting=health.waiting,
    )
