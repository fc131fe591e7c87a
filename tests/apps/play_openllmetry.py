"""OpenLLMetry's instrumentation of openai-python: spans of answers and calls, whole and streamed."""

from __future__ import annotations

from openai import OpenAI
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.apps.tracing import Seen, trace

_memory = InMemorySpanExporter()
_provider = TracerProvider()
_provider.add_span_processor(SimpleSpanProcessor(_memory))
OpenAIInstrumentor().instrument(tracer_provider=_provider)


def spans() -> list[Seen]:
    found = [dict(span.attributes) for span in _memory.get_finished_spans()]
    _memory.clear()
    return found


def counts(seen: Seen) -> tuple[str, int, int]:
    return seen["gen_ai.response.model"], seen["gen_ai.usage.input_tokens"], seen["gen_ai.usage.output_tokens"]


trace(OpenAI, spans, counts)
