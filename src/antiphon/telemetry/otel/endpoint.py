"""Where traces go, so that what makes them is imported only where somebody takes them."""

from __future__ import annotations

from collections.abc import Mapping


def endpoint_of(setting: str, environ: Mapping[str, str]) -> str:
    """Return the collector's URL: the setting `otlp_endpoint`, else what OpenTelemetry's variables name, else ""."""
    named = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    return setting or named
