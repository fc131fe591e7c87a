"""DeltaTrace: the backend's Deltas of one response, kept beside its Events, on request."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.backends.base import Route, RoutedStream, RouteProxy, Take
from antiphon.core.deltas import Delta
from antiphon.core.turn import Turn


class DeltaTrace:
    """Records the Deltas of one response's model calls, which go through its `route`; the reader empties `heard`."""

    def __init__(self, route: Route) -> None:
        self.heard: list[Delta] = []
        self.route = _ListenedRoute(route, self.heard)


class _ListenedRoute(RouteProxy):
    """A Route that records its calls' Deltas."""

    def __init__(self, route: Route, heard: list[Delta]) -> None:
        super().__init__(route)
        self._heard = heard

    async def open(self, turn: Turn) -> RoutedStream:
        return _ListenedStream(await self._route.open(turn), self._heard)


class _ListenedStream:
    """A model call that records its Deltas."""

    def __init__(self, source: RoutedStream, heard: list[Delta]) -> None:
        self.backend_id = source.backend_id
        self._source = source
        self._heard = heard
        self.abort = source.abort

    @property
    def ignored(self) -> Sequence[str]:
        return self._source.ignored

    async def pour(self, take: Take) -> bool:
        def hear(deltas: Sequence[Delta]) -> bool:
            self._heard.extend(deltas)
            return take(deltas)

        return await self._source.pour(hear)
