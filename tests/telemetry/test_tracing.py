"""Traces: what a collector gets over OTLP, how spans hang together, and that nothing secret is in them."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from antiphon.telemetry.otel.endpoint import endpoint_of
from antiphon.telemetry.otlp import Context, from_environment, parse_parent
from tests.acceptance.background import Tools, running
from tests.server.relays.every_route import EveryRoute
from tests.server.remote_tools.model import CALL, Model, declared
from tests.server.test_hosted_tools import Model as Looking
from tests.server.whole import Client, Upstream, turn, upstream, whole_server
from tests.tools.lookup import Lookup

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Span = dict[str, Any]


class Collector(BaseHTTPRequestHandler):
    """Takes traces as an OpenTelemetry collector does (OTLP/HTTP, JSON)."""

    protocol_version = "HTTP/1.1"
    bodies: ClassVar[list[dict[str, Any]]] = []
    status = 200

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.path == "/v1/traces"
        assert self.headers["content-type"] == "application/json"
        self.bodies.append(body | {"key": self.headers["x-key"]})
        self.send_response(self.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


class Listening(Model):
    """A model that notes the `traceparent` of each call."""

    parents: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:  # noqa: N802  # the name that http.server looks for
        self.parents.append(self.headers["traceparent"])
        super().do_POST()


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = Upstream(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def traced(**settings: Any) -> Iterator[Client]:
    """Run a server whose traces go to the collector; they are all there when it has stopped."""
    Collector.bodies, Listening.parents = [], []
    with serving(Collector) as collector, serving(Listening) as model:
        settings = {"otlp_endpoint": collector, "url_guard_allow": ["127.0.0.0/8"], "retries": 0} | settings
        with whole_server(f"{model}/v1", **settings) as client:
            yield client


def spans() -> list[Span]:
    """Return all spans, oldest first, with their attributes as a dict."""
    found = [
        span | {"attributes": {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}}
        for body in Collector.bodies
        for resource in body["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert all(int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) for span in found)
    return sorted(found, key=lambda span: int(span["startTimeUnixNano"]))


def test_a_response_its_model_calls_and_its_tools() -> None:
    with running(Tools) as tools, traced() as client:
        client.headers = {"traceparent": PARENT}
        made = client.create(model="m", input=CALL, tools=[declared(f"{tools}/mcp")])
    root, listing, first, tool, second = spans()
    names = [span["name"] for span in (root, listing, first, tool, second)]
    assert names == ["responses m", "list_tools clock", "chat m", "execute_tool tick", "chat m"]
    assert {span["traceId"] for span in spans()} == {"0af7651916cd43dd8448eb211c80319c"}
    assert root["parentSpanId"] == "b7ad6b7169203331"
    assert {span["parentSpanId"] for span in (listing, first, tool, second)} == {root["spanId"]}
    assert [span["kind"] for span in (root, first, tool)] == [2, 3, 1]
    assert root["attributes"]["gen_ai.response.id"] == made["id"]
    assert root["attributes"]["antiphon.status"] == "completed"
    assert first["attributes"] | {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"} == first["attributes"]
    assert tool["attributes"]["gen_ai.tool.name"] == "tick"
    assert [event["name"] for event in second["events"]] == ["gen_ai.first_token"]
    expected = [f"00-{span['traceId']}-{span['spanId']}-01" for span in (first, second)]
    assert Listening.parents == expected
    assert '"a"' not in json.dumps(Collector.bodies), "arguments are the client's affair"


def test_calls_of_hosted_tools() -> None:
    Collector.bodies = []
    with (
        upstream(Looking) as model,
        serving(Collector) as collector,
        whole_server(model, hosted=[Lookup()], otlp_endpoint=collector) as client,
    ):
        client.create(model="m", input="look cats bad", tools=[{"type": "lookup", "shelf": "a"}])
    root, _, *calls, _ = spans()
    assert [span["name"] for span in calls] == ["execute_tool lookup"] * 2
    assert {span["parentSpanId"] for span in calls} == {root["spanId"]}
    expected = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "lookup",
        "gen_ai.tool.type": "extension",
        "antiphon.tool.kind": "lookup",
        "antiphon.tool.provider": "shelves",
    }
    failed = {"error.type": "ToolServerError"}
    assert sorted((span["attributes"] for span in calls), key=len) == [expected, expected | failed]
    assert "cats" not in json.dumps(Collector.bodies), "arguments are the client's affair"


def test_a_failure_is_marked_and_a_trace_begins_without_a_parent() -> None:
    with traced() as client, whole_server("http://127.0.0.1:9/v1", otlp_endpoint="") as untraced:
        assert client.post("/v1/responses", model="m", input="hi", tools=[declared("http://127.0.0.1:9/mcp")])[0] == 424
        assert untraced.post("/v1/responses", model="m", input="hi")[0] == 503
    root, listing = spans()
    assert "parentSpanId" not in root
    assert (root["status"]["code"], root["attributes"]["error.type"]) == (2, "mcp_server_error")
    assert listing["status"]["code"] == 2


def test_who_is_not_sampled_is_not_delivered_but_passed_on() -> None:
    with traced() as client:
        client.headers = {"traceparent": PARENT[:-1] + "0"}
        client.create(model="m", input="hi")
    assert spans() == []
    (parent,) = Listening.parents
    assert parent is not None and parent.startswith(PARENT[:36]) and parent.endswith("-00")


def test_without_a_collector_the_clients_own_parent_goes_to_the_backend() -> None:
    with traced(otlp_endpoint="") as client:
        client.headers = {"traceparent": PARENT}
        client.create(model="m", input="hi")
        client.headers = {"traceparent": "nonsense"}
        client.create(model="m", input="hi")
    assert Listening.parents == [PARENT, None]
    assert Collector.bodies == []


def test_the_handshake_of_a_websocket_connection_names_the_parent_of_its_responses() -> None:
    with traced(otlp_endpoint="") as client:
        client.headers = {"traceparent": PARENT}
        with client.websocket() as connection:
            for _ in range(2):
                turn(connection, model="m", input="hi")
    assert Listening.parents == [PARENT, PARENT]


def test_chat_completions_and_websocket_turns_have_spans() -> None:
    with traced() as client:
        body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
        relay = urllib.request.Request(f"{client.url}/v1/chat/completions", body, {"traceparent": PARENT})
        urllib.request.urlopen(relay).close()
        with client.websocket() as connection:
            turn(connection, model="m", input="hi")
    relayed, response, call = spans()
    assert (relayed["name"], relayed["parentSpanId"]) == ("chat m", PARENT[36:52])
    assert (response["name"], call["parentSpanId"]) == ("responses m", response["spanId"])


def test_calls_of_relayed_routes() -> None:
    Collector.bodies = []
    EveryRoute.seen.clear()
    EveryRoute.absent.clear()
    with (
        upstream(EveryRoute) as url,
        serving(Collector) as collector,
        whole_server(url, otlp_endpoint=collector) as client,
    ):
        client.headers = {"traceparent": PARENT}
        assert client.post("/v1/embeddings", model="text-embedding-mini", input="the crown jewels")[0] == 200
        assert client.post("/v1/moderations", model="text-moderation-small", input="the crown jewels")[0] == 200
        EveryRoute.absent.add("/rerank")
        assert client.post("/v1/rerank", model="bge-reranker", query="a", documents=["the crown jewels"])[0] == 400
        EveryRoute.absent.clear()
    assert [span["name"] for span in spans()] == [
        "embeddings text-embedding-mini",
        "moderation text-moderation-small",
        "rerank bge-reranker",
    ]
    assert {span["parentSpanId"] for span in spans()} == {PARENT[36:52]}
    assert spans()[0]["attributes"]["gen_ai.operation.name"] == "embeddings"
    assert spans()[2]["attributes"]["error.type"] == "unsupported_model"
    sent = next(headers["traceparent"] for path, headers, _ in EveryRoute.seen if path == "/v1/embeddings")
    assert sent == f"00-{spans()[0]['traceId']}-{spans()[0]['spanId']}-01"
    assert "crown" not in json.dumps(Collector.bodies)


def test_a_collector_that_refuses_is_complained_of_once(caplog: pytest.LogCaptureFixture) -> None:
    Collector.status = 503
    try:
        with traced() as client:
            client.create(model="m", input="hi")
    finally:
        Collector.status = 200
    (complaint,) = [record for record in caplog.records if record.name == "antiphon.telemetry"]
    assert "status 503" in complaint.getMessage()


def test_opentelemetrys_own_variables_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b, other=1",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_SERVICE_NAME": "mine",
    }
    headers, resource = from_environment(variables)
    assert (endpoint_of("", variables), endpoint_of("http://d", variables)) == ("http://c:4318", "http://d")
    assert headers == {"x-key": "a b", "other": "1"}
    assert resource == {"deployment.environment.name": "test", "service.name": "mine"}
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
    with traced() as client:
        client.create(model="m", input="hi")
    assert {body["key"] for body in Collector.bodies} == {"secret"}


@pytest.mark.parametrize(
    ("header", "context"),
    [
        (PARENT, Context(PARENT[3:35], PARENT[36:52])),
        (PARENT[:-2] + "00", Context(PARENT[3:35], PARENT[36:52], False)),
        ("ff" + PARENT[2:], None),
        ("00-" + "0" * 32 + PARENT[35:], None),
        ("", None),
        (PARENT.upper(), None),
    ],
)
def test_parents(header: str, context: Context | None) -> None:
    assert parse_parent(header) == context
