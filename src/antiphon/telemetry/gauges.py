"""Gauges: values that other parts keep, as families of `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from antiphon.backends.base import BackendHealth
from antiphon.telemetry.prometheus import Samples

_BACKEND = ("backend",)


class Gauges:
    """Looks at the backends, the background responses, the WebSocket connections and the store when it is called."""

    def __init__(
        self,
        backends: Callable[[], Sequence[BackendHealth]],
        background: Callable[[], int],
        connections: Callable[[], int],
        store: Callable[[], Iterable[Samples]] = tuple,
    ) -> None:
        self._backends = backends
        self._background = background
        self._connections = connections
        self._store = store

    def __call__(self) -> Iterable[Samples]:
        """Return the families as they are now."""
        yield from _backends(self._backends())
        yield _one(
            "antiphon_background_running", "Background responses that this process works on.", self._background()
        )
        yield _one("antiphon_websocket_connections", "Open WebSocket connections.", self._connections())
        yield from self._store()


def _backends(all: Sequence[BackendHealth]) -> Iterable[Samples]:
    def family(name: str, help: str, value: Callable[[BackendHealth], float]) -> Samples:
        return Samples(f"antiphon_backend_{name}", help, _BACKEND, {(one.name,): value(one) for one in all})

    yield family("up", "1 while it answers.", lambda one: one.up)
    yield family("outstanding", "Calls that it is busy with.", lambda one: one.outstanding)
    yield family("slots", "Calls that this process may make at once; 0: any number.", lambda one: one.slots)
    yield family("waiting", "Calls that wait in its line.", lambda one: one.waiting)
    yield family(
        "circuit_open", "1 while it gets no calls because it failed too often.", lambda one: one.circuit != "closed"
    )
    yield family("calls_total", "Calls that were made.", lambda one: one.calls)
    yield family("failures_total", "Calls that failed through its fault.", lambda one: one.failures)


def _one(name: str, help: str, value: float) -> Samples:
    return Samples(name, help, values={(): value})
