"""OpenInference's instrumentation of openai-python reads models, tokens, answers and calls from our responses."""

from __future__ import annotations

import json
from typing import Any

from openai import OpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.apps.cases import case, run
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same

_spans = InMemorySpanExporter()
_provider = TracerProvider()
_provider.add_span_processor(SimpleSpanProcessor(_spans))
OpenAIInstrumentor().instrument(tracer_provider=_provider)
_client = OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
_TOOL: Any = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def seen(prompt: str, stream: bool, **options: Any) -> dict[str, Any]:
    """Ask, and return the attributes of the one span."""
    _spans.clear()
    answer = _client.responses.create(model=MODEL, input=prompt, stream=stream, **options)
    if stream:
        list(answer)
    (span,) = _spans.get_finished_spans()
    return dict(span.attributes)


def each(stream: bool, name: str) -> None:
    @case(f"answer, {name}")
    def answers() -> None:
        found = seen(play("Hi", {"think": "THOUGHT", "say": "hello", "usage": [5, 6]}), stream)
        counts = [found[f"llm.token_count.{kind}"] for kind in ("prompt", "completion", "total")]
        same((found["llm.model_name"], counts), (MODEL, [5, 6, 11]))
        assert found["llm.token_count.completion_details.reasoning"] > 0, found
        has(json.dumps(found), "hello")

    @case(f"call, {name}")
    def calls() -> None:
        found = seen(play("Go", {"call": [["look", {"city": "Rome"}]]}), stream, tools=[_TOOL])
        names = [value for key, value in found.items() if key.endswith("tool_call.function.name")]
        same(names, ["look"])


each(False, "whole")
each(True, "streamed")
run()
