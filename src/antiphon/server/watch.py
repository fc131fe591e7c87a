"""All that looks on: metrics, the access log, put together from the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from operator import attrgetter

from antiphon.caller import ADMIN
from antiphon.config import Config
from antiphon.observe import Observer
from antiphon.server.access_log import AccessLog
from antiphon.server.metrics import Metrics
from antiphon.server.peers import Peers
from antiphon.server.prometheus import Samples
from antiphon.server.record import RecordRuns, Watcher
from antiphon.server.router import Router
from antiphon.stores.base import Store


class Watch:
    """The onlookers of a server: `observers` see its Responses, `watchers` its requests."""

    def __init__(self, config: Config, gauges: Callable[[], Iterable[Samples]]) -> None:
        self._public = config.metrics == "open"
        self._metrics: Metrics | None = None
        self._peers: Peers | None = None
        self.observers: list[Observer] = [RecordRuns()]
        self.watchers: list[Watcher] = []
        if config.metrics != "off":
            self._peers = Peers(config.workers, self._scrape) if config.workers > 1 else None
            self._metrics = Metrics(gauges, self._peers)
            self.observers.append(self._metrics)
            self.watchers.append(self._metrics)
        if config.access_log:
            self.watchers.append(AccessLog())

    def time(self, store: Store) -> None:
        """Let the store's operations be timed."""
        if self._metrics is None:
            return
        for name, operation in vars(Store).items():
            if iscoroutinefunction(operation):
                setattr(store, name, self._metrics.timed(name, attrgetter(name)(store)))

    def add_routes(self, router: Router) -> None:
        """Register `/metrics`."""
        if self._metrics is not None:
            router.add("GET", "/metrics", self._metrics.read, public=self._public, scopes=frozenset((ADMIN,)))

    async def start(self) -> None:
        """Find the other processes of this server. Raises ConfigError."""
        if self._peers is not None:
            await self._peers.start()

    async def close(self) -> None:
        """Leave them."""
        if self._peers is not None:
            await self._peers.close()

    def _scrape(self, place: int) -> bytes:
        assert self._metrics is not None
        return self._metrics.scrape(place)
