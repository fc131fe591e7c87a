"""All that looks on: metrics, the access log, traces, put together from the settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from itertools import chain
from typing import TYPE_CHECKING

from antiphon.access.caller import ADMIN
from antiphon.access.usage import UsageLedger
from antiphon.backends.base import Router
from antiphon.config import Config
from antiphon.server.api.operator.metrics import MetricsPage
from antiphon.server.http.router import RouteTable
from antiphon.server.process.loop_watch import LoopWatch
from antiphon.stores.base import Store
from antiphon.telemetry.access_log import AccessLog
from antiphon.telemetry.hosted_calls import CallLabels, WatchedTool
from antiphon.telemetry.metrics import Metrics
from antiphon.telemetry.observers import End, Observed, Spans, Start, no_spans
from antiphon.telemetry.otel.endpoint import endpoint_of
from antiphon.telemetry.peers import Peers
from antiphon.telemetry.prometheus import Samples
from antiphon.telemetry.request_record import Watcher, makes_response
from antiphon.telemetry.store_timing import timed_store
from antiphon.telemetry.usage_watch import OwnerCounts, UsageWatch
from antiphon.tools.base import HostedTools, ToolServers

if TYPE_CHECKING:
    from antiphon.telemetry.otlp import Exporter


class Watch:
    """The onlookers of a server: `starts` and `ends` are told of its Responses, `watchers` of its requests.

    `running` are the Responses at hand.
    """

    def __init__(
        self, config: Config, gauges: Callable[[], Iterable[Samples]], running: Collection[Observed] = ()
    ) -> None:
        self._usage: UsageLedger | None = None
        self._public = config.metrics == "open"
        self._metrics: Metrics | None = None
        self.peers = Peers(config.workers, self._scrape) if config.workers > 1 else None
        self._owners = OwnerCounts() if config.metrics_by_owner else None
        self._loop = LoopWatch()
        self.starts: list[Start] = [makes_response]
        self.ends: list[End] = []
        self.watchers: list[Watcher] = []
        if config.metrics != "off":
            owners = self._owners or tuple[Samples]
            self._metrics = Metrics(lambda: chain(gauges(), self._loop.samples(), owners()), self.peers, running)
            self.ends.append(self._metrics.ended)
            self.watchers.append(self._metrics.answered)
        self._access_log = AccessLog() if config.access_log else None
        if self._access_log is not None:
            self.watchers.append(self._access_log.answered)
        self._exporter: Exporter | None = None
        self.request_spans: Spans = no_spans
        if endpoint_of(config.otlp_endpoint, os.environ):
            self._trace(config)

    def _trace(self, config: Config) -> None:
        from antiphon.telemetry.otlp import exporter_of
        from antiphon.telemetry.tracing import RequestSpans, Tracer

        self._exporter = exporter_of(config.otlp_endpoint, os.environ)
        if self._exporter is not None:
            self.request_spans = RequestSpans(self._exporter)
            tracer = Tracer(self._exporter)
            self.starts.append(tracer.started)
            self.ends.append(tracer.ended)

    def store(self, store: Store) -> Store:
        """Return the store, with operations that are timed."""
        return timed_store(store, self._metrics.timed) if self._metrics is not None else store

    def router(self, router: Router) -> Router:
        """Return the router, with calls that are traced."""
        if self._exporter is None:
            return router
        from antiphon.telemetry.tracing import TracedRouter

        return TracedRouter(router, self._exporter)

    def tool_servers(self, servers: ToolServers) -> ToolServers:
        """Return the servers of tools, with calls that are traced."""
        if self._exporter is None:
            return servers
        from antiphon.telemetry.tracing import TracedToolServers

        return TracedToolServers(servers, self._exporter)

    def hosted_tools(self, tools: HostedTools) -> HostedTools:
        """Return hosted tools, with calls that are counted and traced."""
        if self._metrics is None and self._exporter is None and self._usage is None:
            return tools
        count = self._metrics.tool_called if self._metrics is not None else _nothing
        return {name: WatchedTool(tool, count, self._exporter, self._usage) for name, tool in tools.items()}

    def usage(self, ledger: UsageLedger) -> None:
        """Tell a ledger what is used from now on."""
        self._usage = ledger
        watch = UsageWatch(ledger, self._owners)
        self.ends.append(watch.ended)
        self.watchers.append(watch.answered)

    def add_routes(self, router: RouteTable) -> None:
        """Register `/metrics`."""
        if self._metrics is not None:
            router.add(
                "GET", "/metrics", MetricsPage(self._metrics).read, public=self._public, scopes=frozenset((ADMIN,))
            )

    async def start(self) -> None:
        """Watch the event loop, find the other processes of this server, begin to deliver traces. Raises ConfigError."""
        self._loop.start()
        if self._exporter is not None:
            await self._exporter.start()
        if self.peers is not None:
            await self.peers.start()

    async def close(self) -> None:
        """Leave them, write the last lines and deliver the last traces."""
        self._loop.close()
        if self._access_log is not None:
            self._access_log.flush()
        if self._exporter is not None:
            await self._exporter.close()
        if self.peers is not None:
            await self.peers.close()

    def _scrape(self, worker_number: int) -> bytes:
        return self._metrics.scrape(worker_number) if self._metrics is not None else b""


def _nothing(call: CallLabels, seconds: float) -> None:
    """Count nothing."""
