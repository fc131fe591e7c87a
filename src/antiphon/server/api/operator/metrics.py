"""`/metrics`: the metrics of `telemetry/metrics.py` in Prometheus' text format."""

from __future__ import annotations

from antiphon.server.http.messages import Reply, Request
from antiphon.telemetry.metrics import Metrics
from antiphon.telemetry.prometheus import CONTENT_TYPE


class MetricsPage:
    """The handler."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def read(self, request: Request) -> Reply:
        """GET /metrics: in Prometheus' text format, of all processes of this server."""
        return Reply(await self._metrics.page(), content_type=CONTENT_TYPE)
