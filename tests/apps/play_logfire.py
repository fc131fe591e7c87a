"""Logfire's instrumentation of openai-python: spans of answers and calls, whole and streamed."""

from __future__ import annotations

from typing import Any

import logfire
from openai import OpenAI
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.apps.tracing import Seen, trace

_memory = InMemorySpanExporter()
logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(_memory)])
logfire.instrument_openai()


def spans() -> list[Seen]:
    found = [dict(span.attributes) for span in _memory.get_finished_spans()]
    _memory.clear()
    return found


def counts(seen: Seen) -> tuple[Any, Any, Any]:
    return tuple(seen.get(f"gen_ai.{name}") for name in ("response.model", "usage.input_tokens", "usage.output_tokens"))


trace(OpenAI, spans, counts)
