"""OpenTelemetry's variables: samplers, OTLP as protobuf (read by its own package), texts, sessions and users in spans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from antiphon.composition import app
from antiphon.config import BackendConfig, Config, KeyConfig
from antiphon.errors import ConfigError
from antiphon.telemetry.otel.encoding import JsonEncoding, ProtobufEncoding, SpanData
from antiphon.telemetry.otel.sampling import Sampler, sampler_of
from antiphon.telemetry.otlp import exporter_of
from tests.server.serving import serving, wait_until
from tests.server.whole import Client
from tests.telemetry.test_tracing import serving as collecting

LOW, HIGH = "0" * 31 + "1", "0" * 16 + "f" * 16
VALUES: dict[str, Any] = {
    "text": "ä💡",
    "empty": "",
    "yes": True,
    "no": False,
    "zero": 0,
    "less": -5,
    "large": (1 << 62),
    "real": 0.25,
    "list": ["a", ""],
    "absent": None,
}
SPAN = SpanData(
    trace_id="0af7651916cd43dd8448eb211c80319c",
    span_id="b7ad6b7169203331",
    parent="00f067aa0ba902b7",
    name="responses m",
    kind=2,
    started=1_700_000_000_123_456_789,
    ended=1_700_000_001_000_000_000,
    attributes=VALUES,
    events=[(1_700_000_000_500_000_000, "gen_ai.first_token")],
    error="backend_error",
)


def read(values: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in values:
        kind = one.value.WhichOneof("value")
        value = getattr(one.value, kind)
        found[one.key] = [each.string_value for each in value.values] if kind == "array_value" else value
    return found


def test_protobuf_is_what_its_own_package_reads() -> None:
    encoding = ProtobufEncoding()
    plain = SpanData(**{**{name: getattr(SPAN, name) for name in SPAN.__struct_fields__}, "parent": "", "error": ""})
    body = encoding.body([encoding.span(SPAN), encoding.span(plain)], {"service.name": "a"}, "antiphon", "1.0")
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert read(resource.resource.attributes) == {"service.name": "a"}
    (scope,) = resource.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("antiphon", "1.0")
    one, other = scope.spans
    assert (one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex()) == (
        SPAN.trace_id,
        SPAN.span_id,
        SPAN.parent,
    )
    assert (one.name, one.kind) == ("responses m", trace_pb2.Span.SPAN_KIND_SERVER)
    assert (one.start_time_unix_nano, one.end_time_unix_nano) == (SPAN.started, SPAN.ended)
    assert read(one.attributes) == {name: value for name, value in VALUES.items() if value is not None}
    assert [(each.time_unix_nano, each.name) for each in one.events] == SPAN.events
    assert (one.status.code, one.status.message) == (trace_pb2.Status.STATUS_CODE_ERROR, "backend_error")
    assert other.parent_span_id == b"" and other.status.code == trace_pb2.Status.STATUS_CODE_UNSET


def test_both_encodings_say_the_same() -> None:
    encoding = JsonEncoding()
    body = json.loads(encoding.body([encoding.span(SPAN)], {}, "antiphon", "1.0"))
    (span,) = body["resourceSpans"][0]["scopeSpans"][0]["spans"]
    names = {one["key"]: next(iter(one["value"])) for one in span["attributes"]}
    assert names["less"] == "intValue" and names["real"] == "doubleValue" and names["no"] == "boolValue"
    assert span["startTimeUnixNano"] == str(SPAN.started) and span["parentSpanId"] == SPAN.parent


@pytest.mark.parametrize(
    ("name", "argument", "decisions"),
    [  # of a low and a high trace id without a caller; beneath a caller that is sampled, and one that is not
        ("", "", (True, True, True, False)),
        ("always_on", "", (True, True, True, True)),
        ("always_off", "", (False, False, False, False)),
        ("parentbased_always_off", "", (False, False, True, False)),
        ("traceidratio", "0.5", (True, False, True, True)),
        ("parentbased_traceidratio", "0.5", (True, False, True, False)),
        ("TraceIdRatio", "", (True, True, True, True)),
        ("traceidratio", "0", (False, False, False, False)),
    ],
)
def test_samplers(name: str, argument: str, decisions: tuple[bool, ...]) -> None:
    sampler = sampler_of({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
    asked = ((LOW, None), (HIGH, None), (LOW, True), (LOW, False))
    assert tuple(sampler.sampled(*one) for one in asked) == decisions


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_SAMPLER": "jaeger_remote"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "half"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_what_is_not_known_is_refused_at_the_start(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(reversed(environ))):
        exporter_of("http://127.0.0.1:9", environ)
    assert exporter_of("", environ) is None


def test_the_ratio_is_kept_to() -> None:
    sampler = Sampler(0.25)
    ids = [f"{0:016x}{(number * 0x9E3779B97F4A7C15) % (1 << 64):016x}" for number in range(1000)]
    assert 230 < sum(sampler.sampled(one, None) for one in ids) < 270


class Taking(BaseHTTPRequestHandler):
    """A collector that reads protobuf."""

    protocol_version = "HTTP/1.1"
    spans: ClassVar[list[Any]] = []
    kinds: ClassVar[set[str | None]] = set()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.kinds.add(self.headers["content-type"])
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.spans.extend(span for scope in resource.scope_spans for span in scope.spans)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


@contextmanager
def traced(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Iterator[Client]:
    Taking.spans.clear()
    Taking.kinds.clear()
    with collecting(Taking) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        config = Config(
            store="memory",
            shutdown_grace=1.0,
            backends={"s": BackendConfig(url="http://127.0.0.1:9", api="scripted")},
            keys={"ann": KeyConfig(key="key-ann", owner="team-a")},
        )
        with serving(app.build(config), config) as served:
            yield Client(served.url, "key-ann")


def attributes() -> dict[str, Any]:
    wait_until(lambda: any(span.name.startswith("responses") for span in list(Taking.spans)))
    return read(next(span for span in list(Taking.spans) if span.name.startswith("responses")).attributes)


SECRET = "Where are the crown jewels?"
ASKED: dict[str, Any] = {
    "model": "scripted",
    "instructions": "Be brief.",
    "input": [{"role": "user", "content": [{"type": "input_text", "text": SECRET}]}],
    "safety_identifier": "user-7",
}


@pytest.mark.slow
def test_texts_session_and_user_are_there_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with traced(monkeypatch, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true") as client:
        conversation = client.post("/v1/conversations")[1]["id"]
        answer = client.create(**ASKED, conversation=conversation)
        found = attributes()
    assert Taking.kinds == {"application/x-protobuf"}
    assert (found["session.id"], found["user.id"]) == (conversation, "user-7")
    assert found["gen_ai.conversation.id"] == conversation
    assert (found["antiphon.owner"], found["antiphon.key"]) == ("team-a", "config/ann")
    (asked,) = json.loads(found["gen_ai.input.messages"])
    assert asked == {"role": "user", "parts": [{"type": "text", "content": SECRET}]}
    (said,) = json.loads(found["gen_ai.output.messages"])
    assert said["parts"][0]["content"] == answer["output"][0]["content"][0]["text"]
    assert found["input.value"] == found["gen_ai.input.messages"]
    assert json.loads(found["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]


@pytest.mark.slow
@pytest.mark.parametrize("value", ["", "false", "no_content"])
def test_no_text_is_there_otherwise(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    with traced(monkeypatch, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=value) as client:
        client.create(**ASKED, metadata={"session_id": "s-1"})
        found = attributes()
    assert found["session.id"] == "s-1"
    assert SECRET not in str(Taking.spans) and not any("messages" in name for name in found)


@pytest.mark.slow
def test_texts_of_tools_images_and_long_ones_are_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'}
    image = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 1000}
    items = [
        {"role": "user", "content": "x" * 100_000},
        call,
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        {"role": "user", "content": [image, {"type": "input_text", "text": "last"}]},
    ]
    with traced(monkeypatch, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="span_only") as client:
        client.create(model="scripted", input=items)
        found = json.loads(attributes()["gen_ai.input.messages"])
    assert [one["role"] for one in found] == ["user", "assistant", "tool", "user"]
    assert sum(len(part["content"]) for one in found for part in one["parts"]) == 64 * 1024
    assert found[1]["parts"][0]["name"] == "f" and found[2]["parts"][0]["content"] == "sunny"
    assert found[3]["parts"] == [{"type": "text", "content": "last"}]
