"""The span of a request with decisions, and those of its model calls beneath it."""

from __future__ import annotations

from tests.server.decisions.judge import judge
from tests.server.decisions.test_decisions import ALL, PREDICATE, ask
from tests.server.whole import whole_server
from tests.telemetry.test_tracing import PARENT, Collector, serving, spans


def test_calls_are_beneath_the_request() -> None:
    Collector.bodies = []
    with judge() as (url, _), serving(Collector) as collector, whole_server(url, otlp_endpoint=collector) as client:
        client.headers = {"traceparent": PARENT}
        assert ask(client, ALL)[0] == 200
        assert ask(client, [{**PREDICATE, "instructions": "FAIL 500"}])[0] == 502
    first, *calls, second, failed = spans()
    assert (first["name"], first["parentSpanId"]) == ("decisions judge", "b7ad6b7169203331")
    assert first["attributes"]["gen_ai.usage.input_tokens"] == "300"
    assert [span["name"] for span in calls] == ["chat judge"] * 3
    assert {span["parentSpanId"] for span in calls} == {first["spanId"]}
    assert second["status"]["code"] == 2 and failed["parentSpanId"] == second["spanId"]
