"""Langfuse's `openai` in the place of openai-python's: what a server of Langfuse would get, as OTLP over HTTP."""

from __future__ import annotations

import gzip
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.apps.tracing import Seen, trace

_arrived: list[bytes] = []


class Sink(BaseHTTPRequestHandler):
    """Takes spans."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path.endswith("/v1/traces"):
            _arrived.append(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
        self.send_response(200)
        self.end_headers()


_sink = HTTPServer(("127.0.0.1", 0), Sink)
threading.Thread(target=_sink.serve_forever, daemon=True).start()
os.environ.update(
    LANGFUSE_PUBLIC_KEY="pk-lf-1",
    LANGFUSE_SECRET_KEY="sk-lf-1",
    LANGFUSE_BASE_URL=f"http://127.0.0.1:{_sink.server_port}",
)

from langfuse import get_client  # noqa: E402 - it reads the environment
from langfuse.openai import OpenAI  # noqa: E402 - likewise


def spans() -> list[Seen]:
    get_client().flush()
    found = []
    while _arrived:
        for resource in ExportTraceServiceRequest.FromString(_arrived.pop(0)).resource_spans:
            for scope in resource.scope_spans:
                found += [{one.key: one.value.string_value for one in span.attributes} for span in scope.spans]
    return found


def counts(seen: Seen) -> tuple[str, int, int]:
    used = json.loads(seen["langfuse.observation.usage_details"])
    read, written = (
        used.get(f"{kind}_tokens", used.get(chat))
        for kind, chat in (("input", "prompt_tokens"), ("output", "completion_tokens"))
    )
    return seen["langfuse.observation.model.name"], read, written


trace(OpenAI, spans, counts)
