"""OTLP exporter: spans, sent to a collector over HTTP (OpenTelemetry protocol 1.x), without an SDK.

A span costs some microseconds. What a collector does not take is lost; requests never wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal
from urllib.parse import unquote

import msgspec

from antiphon import __version__
from antiphon.errors import BackendError, ConfigError
from antiphon.net.http.address import parse_url
from antiphon.net.http.client import HttpClient, Timeouts
from antiphon.net.proxies import proxy_for
from antiphon.telemetry.otel.content import wants_content
from antiphon.telemetry.otel.encoding import Encoding, JsonEncoding, ProtobufEncoding, SpanData, Value
from antiphon.telemetry.otel.endpoint import endpoint_of
from antiphon.telemetry.otel.sampling import Sampler, sampler_of

log = logging.getLogger("antiphon.telemetry")

Kind = Literal[1, 2, 3]
INTERNAL: Kind = 1
SERVER: Kind = 2
CLIENT: Kind = 3

MOST_WAITING = 4096  # spans; further ones are dropped until the collector takes some
BATCH = 512
EVERY = 1.0  # seconds between two deliveries
LAST_WORDS = 2.0  # seconds for the last delivery
TIMEOUTS = Timeouts(connect=5.0, first_byte=10.0, idle=10.0)

_PARENT = re.compile(r"[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(?:-.*)?")


class Context(msgspec.Struct, frozen=True):
    """Trace id, span id and sampling flag of a span (W3C Trace Context)."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def header(self) -> str:
        """Return the `traceparent` for whoever is called."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse_parent(header: str) -> Context | None:
    """Read a `traceparent`; None for one that is not valid."""
    found = _PARENT.fullmatch(header)
    if found is None or header.startswith("ff") or not (int(found[1], 16) and int(found[2], 16)):
        return None
    return Context(found[1], found[2], bool(int(found[3], 16) & 1))


class Span:
    """A span. `end` it once; spans that are not sampled are not exported."""

    __slots__ = ("_exporter", "_started", "attributes", "context", "error", "events", "kind", "name", "parent")

    def __init__(self, exporter: Exporter, name: str, kind: Kind, parent: Context | None) -> None:
        self._exporter: Exporter | None = exporter
        self._started = time.time_ns()
        trace_id = parent.trace_id if parent else secrets.token_hex(16)
        sampled = exporter.sampler.sampled(trace_id, None if parent is None else parent.sampled)
        self.context = Context(trace_id, secrets.token_hex(8), sampled)
        self.parent = parent.span_id if parent else ""
        self.name = name
        self.kind: Kind = kind
        self.attributes: dict[str, Value | None] = {}
        self.events: list[tuple[int, str]] = []
        self.error = ""

    def note(self, event: str, after: float | None = None) -> None:
        """Note that something happened now, or so many seconds after the beginning."""
        when = time.time_ns() if after is None else self._started + int(after * 1e9)
        self.events.append((when, event))

    def end(self) -> None:
        """Deliver it. Idempotent."""
        exporter, self._exporter = self._exporter, None
        if exporter is not None and self.context.sampled:
            exporter.put(exporter.encoding.span(self._data(time.time_ns())))

    def _data(self, ended: int) -> SpanData:
        return SpanData(
            trace_id=self.context.trace_id,
            span_id=self.context.span_id,
            parent=self.parent,
            name=self.name,
            kind=self.kind,
            started=self._started,
            ended=ended,
            attributes={**self.attributes, **({"error.type": self.error} if self.error else {})},
            events=self.events,
            error=self.error,
        )


class Exporter:
    """Delivers spans to a collector, a second's at a time. Raises ConfigError for an endpoint that is no URL."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str] | None = None,
        resource: Mapping[str, Value] | None = None,
        *,
        encoding: Encoding | None = None,
        sampler: Sampler | None = None,
        content: bool = False,
    ) -> None:
        """`content`: spans have texts of prompts and answers."""
        self.encoding = encoding or JsonEncoding()
        self.sampler = sampler or Sampler()
        self.content = content
        address = parse_url(endpoint)
        self._path = address.target("" if address.path.endswith("/v1/traces") else "/v1/traces")
        self._client = HttpClient(
            address,
            headers={**(headers or {}), "content-type": self.encoding.content_type},
            timeouts=TIMEOUTS,
            max_idle=1,
            proxy=proxy_for(address),
        )
        self._resource = {"service.name": "antiphon", **(resource or {}), "service.version": __version__}
        self._waiting: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._refused = False

    def put(self, span: bytes) -> None:
        """Queue a span."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(span)

    async def start(self) -> None:
        """Begin to deliver."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Deliver what waits, and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await self._deliver()
        await self._client.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self._deliver()

    async def _deliver(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                answer = await self._client.send("POST", self._path, self._body(batch))
                await answer.read_all()
                self._tell(200 <= answer.status < 300, f"status {answer.status}")
            except BackendError as error:
                self._tell(False, error.message)

    def _tell(self, taken: bool, why: str) -> None:
        """Complain once, not once a second."""
        if not taken and not self._refused:
            log.warning("traces: collector %s does not accept spans: %s", self._client.address.authority, why)
        self._refused = not taken

    def _body(self, batch: Sequence[bytes]) -> bytes:
        return self.encoding.body(batch, self._resource, "antiphon", __version__)


PROTOCOLS: Mapping[str, Callable[[], Encoding]] = {
    "": JsonEncoding,
    "http/json": JsonEncoding,
    "http/protobuf": ProtobufEncoding,
}


def exporter_of(endpoint: str, environ: Mapping[str, str]) -> Exporter | None:
    """Return the exporter that the setting `otlp_endpoint` or OpenTelemetry's variables name, or None. Raises ConfigError."""
    endpoint = endpoint_of(endpoint, environ)
    if not endpoint:
        return None
    headers, resource = from_environment(environ)
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
    if protocol not in PROTOCOLS:
        known = ", ".join(name for name in PROTOCOLS if name)
        raise ConfigError(f"OTEL_EXPORTER_OTLP_PROTOCOL: '{protocol[:64]}' is not one of {known}")
    return Exporter(
        endpoint,
        headers,
        resource,
        encoding=PROTOCOLS[protocol](),
        sampler=sampler_of(environ),
        content=wants_content(environ),
    )


def from_environment(environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Value]]:
    """Return headers and resource as OpenTelemetry's own variables give them."""
    resource: dict[str, Value] = dict(_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    if environ.get("OTEL_SERVICE_NAME"):
        resource["service.name"] = environ["OTEL_SERVICE_NAME"]
    return _pairs(environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")), resource


def _pairs(text: str) -> dict[str, str]:
    found = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip(): unquote(value.strip()) for name, _, value in found}
