"""Each vendor's shapes through a real server: streamed and not, chained and replayed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from antiphon.backends.chat.profiles import PROFILES, find
from antiphon.config import BackendConfig
from tests.backends.vendors.corpus import SHAPES, Answer, Shape, vendors
from tests.golden.rules import check_stream
from tests.server.serving import wait_until
from tests.server.whole import Client, upstream, whole_server

pytestmark = pytest.mark.slow

Json = dict[str, Any]
VENDORS = vendors()
CASES = [
    pytest.param(
        shape,
        streamed,
        id=f"{vendor.name}-{shape.name}-{'streamed' if streamed else 'whole'}",
    )
    for vendor in VENDORS.values()
    for shape in vendor.shapes.values()
    for streamed in (True, False)
    if shape.answer(streamed) is not None
]
CONTINUED = [case for case in CASES if case.values[0].name in ("text", "thoughts", "call", "parallel")]
SCHEMA = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}
ASKED: dict[str, Json] = {
    "call": {"tools": [TOOL]},
    "parallel": {"tools": [TOOL]},
    "schema": {"text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}}},
    "cut": {"max_output_tokens": 3},
}
"""What a request for a shape asks for besides its input."""
EXPECTED: dict[str, Json] = {
    "text": {"text": "Hello, world."},
    "thoughts": {"thoughts": "Two and two.", "text": "Four."},
    "call": {"calls": [["get_weather", {"location": "Paris"}]]},
    "parallel": {"calls": [["get_weather", {"location": "Paris"}], ["get_weather", {"location": "Rome"}]]},
    "schema": {"text": '{"location":"Paris"}'},
    "cut": {"text": "One, two"},
    "overflow": {"status": 400, "code": "context_length_exceeded"},
    "rate_limit": {"status": 429, "code": "rate_limit_exceeded"},
    "broken": {"text": "Hel", "code": "backend_error"},
}


class Vendors(BaseHTTPRequestHandler):
    """Plays the shape that the request's `model` names: `VENDOR.SHAPE`; what goes on from an answer is told the text."""

    protocol_version = "HTTP/1.1"
    seen: list[Json]

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        vendor = VENDORS[self.path.split("/")[1]]
        assert vendor.api == "chat" or self.headers["anthropic-version"]
        models = [{"id": f"{vendor.name}.{shape}", "object": "model"} for shape in vendor.shapes]
        body = json.dumps({"object": "list", "data": models}).encode()
        self._send(Answer(200, {"content-type": "application/json"}, body))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.path.endswith(("/chat/completions", "/v1/messages")):
            self._send(Answer(404, {"content-type": "application/json"}, b'{"error":{"message":"no such path"}}'))
            return
        self.seen.append(request)
        name, _, shape = request["model"].partition(".")
        goes_on = any(message["role"] == "assistant" for message in request["messages"])
        answer = VENDORS[name].shapes["text" if goes_on else shape].answer(bool(request.get("stream")))
        assert answer is not None, request
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for header, value in answer.headers.items():
            self.send_header(header, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Client, list[Json]]]:
    seen: list[Json] = []
    handler = type("Handler", (Vendors,), {"seen": seen})
    with upstream(handler) as url:
        base = url.removesuffix("/v1")
        backends = {
            vendor.name: BackendConfig(
                url=f"{base}/{vendor.name}/v1",
                break_after=0,
                api=vendor.api,
                profile=vendor.fields.get("named") or vendor.fields.get("profile", "auto"),
            )
            for vendor in VENDORS.values()
        }
        shapes = sum(len(vendor.shapes) for vendor in VENDORS.values())
        with whole_server(backends=backends) as client:
            wait_until(lambda: len(client.get("/v1/models")[1]["data"]) == shapes)
            yield client, seen


def asked(shape: Shape, **fields: Any) -> Json:
    return {"model": f"{shape.vendor.name}.{shape.name}", "input": "Go.", **ASKED.get(shape.name, {}), **fields}


def made(client: Client, streamed: bool, request: Json) -> Json:
    """Make a response; return how it ended."""
    if not streamed:
        status, body = client.post("/v1/responses", **request)
        return body if status == 200 else {"status": "refused", "http": status, **body}
    status, events = client.post("/v1/responses", stream=True, **request)
    if status != 200:
        return {"status": "refused", "http": status, **events}
    check_stream(events)
    return events[-1]["response"]


def told(response: Json) -> Json:
    """Return what the client reads of a response: text, thoughts and calls, each only where there are any."""
    output = response.get("output", [])
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    thoughts = [
        part["text"]
        for item in output
        if item["type"] == "reasoning"
        for part in item.get("content") or item["summary"]
    ]
    calls = [[item["name"], json.loads(item["arguments"])] for item in output if item["type"] == "function_call"]
    found = {"text": "".join(part["text"] for part in parts), "thoughts": "".join(thoughts), "calls": calls}
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize(("shape", "streamed"), CASES)
def test_a_shape_reaches_the_client(served: tuple[Client, list[Json]], shape: Shape, streamed: bool) -> None:
    client, _ = served
    expected = {**EXPECTED[shape.name], **shape.expected}
    response = made(client, streamed, asked(shape))
    error = response.get("error") or {}
    if "code" in expected:
        assert response["status"] in ("failed", "refused"), response
        assert (error["code"], response.get("http", expected.get("status"))) == (
            expected["code"],
            expected.get("status"),
        )
        assert shape.fields["words"] in error["message"]
    else:
        assert not error, error
        assert response["status"] == ("incomplete" if shape.name == "cut" else "completed")
    wanted = {name: expected[name] for name in ("text", "thoughts", "calls") if expected.get(name)}
    assert told(response) == wanted
    if "usage" in expected:
        usage = response["usage"]
        assert usage is not None
        assert {name: usage[name] if name in usage else _detail(usage, name) for name in expected["usage"]} == expected[
            "usage"
        ]


def _detail(usage: Json, name: str) -> int:
    return {**usage["input_tokens_details"], **usage["output_tokens_details"]}[name]


@pytest.mark.parametrize(("shape", "streamed"), CONTINUED)
def test_a_next_turn_is_the_same_chained_and_replayed(
    served: tuple[Client, list[Json]], shape: Shape, streamed: bool
) -> None:
    client, seen = served
    first = made(client, streamed, asked(shape, include=["reasoning.encrypted_content"]))
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": f"sunny {number}"}
        for number, item in enumerate(item for item in first["output"] if item["type"] == "function_call")
    ] or [{"role": "user", "content": "And then?"}]
    seen.clear()
    chained = made(client, streamed, asked(shape, input=results, previous_response_id=first["id"]))
    replay = [{"role": "user", "content": "Go."}, *first["output"], *results]
    replayed = made(client, streamed, asked(shape, input=replay, store=False))
    assert chained["status"] == replayed["status"] == "completed"
    once, again = (request["messages"] for request in seen)
    assert once == again
    paired(once)
    told_back = next(message for message in once if message["role"] == "assistant")
    for path, value in shape.fields.get("returns", {}).items():
        assert at(told_back, path) == value, told_back


def paired(messages: list[Json]) -> None:
    """Make sure that each call has its result, in order, right behind it."""
    open_calls: list[str] = []
    for message in messages:
        blocks = message["content"] if isinstance(message["content"], list) else []
        for block in blocks:
            if block["type"] == "tool_result":
                assert open_calls.pop(0) == block["tool_use_id"]
        if message["role"] == "tool":
            assert open_calls.pop(0) == message["tool_call_id"]
        else:
            assert not open_calls
        open_calls += [call["id"] for call in message.get("tool_calls") or ()]
        open_calls += [block["id"] for block in blocks if block["type"] == "tool_use"]
    assert not open_calls


def at(value: Any, path: str) -> Any:
    """Return what stands at a path such as `tool_calls.0.extra_content`."""
    for step in path.split("."):
        if value is None:
            return None
        value = value[int(step)] if step.isdigit() else value.get(step)
    return value


@pytest.mark.parametrize(
    "vendor", [one for one in VENDORS.values() if one.api == "chat"], ids=lambda vendor: vendor.name
)
def test_the_address_of_a_vendor_points_to_its_profile(vendor: Any) -> None:
    found = find("auto", vendor.fields["url"], vendor.fields.get("owners", ()))
    assert found is not None and found.name == vendor.fields["profile"]


def test_every_profile_has_a_vendor_whose_shapes_are_played_with_it() -> None:
    played = {
        name for vendor in VENDORS.values() for name in (vendor.fields.get("named"), vendor.fields.get("profile"))
    }
    assert not PROFILES.keys() - played, "describe a server of this profile in tests/backends/vendors"


def test_there_are_thirty_vendors_and_every_shape_names_its_source() -> None:
    assert len(VENDORS) >= 30
    shapes = [shape for vendor in VENDORS.values() for shape in vendor.shapes.values()]
    assert all(shape.source.startswith("https://") or shape.recorded for shape in shapes)
    assert all(shape.checked for shape in shapes)


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.name)
def test_a_vendor_has_each_shape_or_says_that_there_is_no_record_of_it(vendor: Any) -> None:
    assert set(vendor.shapes) | set(vendor.absent) == set(SHAPES)
    assert not set(vendor.shapes) & set(vendor.absent)
    assert all(not reason or reason.endswith(".") for reason in vendor.absent.values())
