"""`/health`: the process answers. `/ready`: a backend is up, and the store takes writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from antiphon import __version__
from antiphon.backends.base import BackendHealth
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.stores.condition import Condition


class LearnedSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting under which so many of a backend's models take what they refused before; the log names the models."""

    setting: str
    value: str | int | tuple[str, ...]
    models: int


class BackendState(msgspec.Struct, frozen=True, kw_only=True):
    """State of a backend for the public: without its address and error messages."""

    name: str
    up: bool
    models: int = 0
    circuit: str = "closed"
    """"open" while it gets no calls because it failed too often, "half_open" while one may try it again."""
    outstanding: int = 0
    waiting: int = 0
    learned: Sequence[LearnedSetting] | UnsetType = UNSET
    loading: bool | UnsetType = UNSET
    """True while it loads its model: calls wait for that."""


class StoreState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the store takes writes, and the reason why not (`stores.condition.Reason`)."""

    up: bool
    reason: str = ""


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/ready`."""

    status: str
    store: StoreState
    backends: Sequence[BackendState]
    code_interpreter: str | UnsetType = UNSET
    """The sandbox that runs code of models, or `off` and why."""


class HealthStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/health`."""

    status: str = "ok"
    version: str = __version__


class Health:
    """The handlers of `/health` and `/ready`."""

    def __init__(
        self,
        backends: Callable[[], Sequence[BackendHealth]],
        store: Condition,
        code: Callable[[], str] | None = None,
    ) -> None:
        self._backends = backends
        self._store = store
        self._code = code

    async def health(self, request: Request) -> Reply:
        """GET /health: 200 as long as the process answers."""
        return json_reply(HealthStatus())

    async def ready(self, request: Request) -> Reply:
        """GET /ready: 200 while a backend is up and the store takes writes, else 503."""
        states = [_state(one) for one in self._backends()]
        reason = self._store.reason
        store = StoreState(up=reason is None, reason=reason or "")
        up = store.up and any(state.up for state in states)
        code = UNSET if self._code is None else self._code()
        body = Readiness(status="ready" if up else "unavailable", store=store, backends=states, code_interpreter=code)
        if up:
            return json_reply(body)
        return json_reply(body, 503, headers=[(b"retry-after", b"2")])


def _state(health: BackendHealth) -> BackendState:
    return BackendState(
        name=health.name,
        up=health.up,
        models=health.models,
        circuit=health.circuit,
        outstanding=health.outstanding,
        waiting=health.waiting,
        learned=_learned(health.learned.values()) if health.learned else UNSET,
        loading=True if health.loading else UNSET,
    )


def _learned(models: Iterable[Mapping[str, Any]]) -> list[LearnedSetting]:
    """Return what was learned; whose models these are is not for everybody."""
    count = Counter(setting for settings in models for setting in settings.items())
    return [LearnedSetting(setting=name, value=value, models=number) for (name, value), number in count.items()]
