"""Stored responses over HTTP: create, read, chain, list, delete; what is refused; errors of the backend."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from antiphon.config import ModelConfig
from antiphon.server.http import direct_exchange
from tests.server.whole import Client, Upstream, whole_server

MISSING = "resp_" + "0" * 48


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = tmp_path_factory.mktemp("store") / "antiphon.db"
    models = {
        "plain": ModelConfig(
            name="scripted", responses=True, functions=False, structured_outputs=False, reasoning=False
        ),
        "blind": ModelConfig(name="scripted", images=False),
        "chat-only": ModelConfig(name="scripted", responses=False),
        "tuned": ModelConfig(
            name="scripted", temperature=0.3, max_output_tokens=77, aliases=["gpt-tuned", "org/tuned"]
        ),
    }
    with whole_server(store=str(store), models=models, instructions_limit=100, keepalive=0.2, head_hold=0.3) as client:
        yield client


def text(response: dict) -> str:
    return response["output"][-1]["content"][0]["text"]


def test_all_keys_are_there(client: Client) -> None:
    response = client.create(model="scripted", input="Hi.")
    wanted = """id object created_at completed_at status error incomplete_details background conversation instructions
        max_output_tokens max_tool_calls model output parallel_tool_calls previous_response_id prompt prompt_cache_key reasoning
        safety_identifier service_tier store temperature text tool_choice tools top_logprobs top_p truncation usage user metadata
        presence_penalty frequency_penalty""".split()
    assert sorted(response) == sorted(wanted)


def test_a_stored_response_is_read_and_deleted(client: Client) -> None:
    made = client.create(model="scripted", input="Hi.", metadata={"a": "b"})
    assert client.get(f"/v1/responses/{made['id']}") == (200, made)
    assert client.get(f"/responses/{made['id']}") == (200, made)
    deleted = {"id": made["id"], "object": "response", "deleted": True}
    assert client.send("DELETE", f"/v1/responses/{made['id']}") == (200, deleted)
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
        status, body = client.send(method, f"/v1/responses/{made['id']}{path}")
        assert (status, body["error"]["code"]) == (404, "response_not_found")


def test_what_is_not_stored_cannot_be_read_or_continued(client: Client) -> None:
    made = client.create(model="scripted", input="Hi.", store=False)
    assert client.get(f"/v1/responses/{made['id']}")[0] == 404
    status, body = client.post("/v1/responses", model="scripted", input="x", previous_response_id=made["id"])
    assert (status, body["error"]["code"]) == (400, "previous_response_not_found")
    assert body["error"]["param"] == "previous_response_id"


def test_input_items_are_paged_and_hold_the_history(client: Client) -> None:
    first = client.create(
        model="scripted", input=[{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]
    )
    second = client.create(model="scripted", input="three", previous_response_id=first["id"])
    _, all_items = client.get(f"/v1/responses/{second['id']}/input_items?order=asc&limit=100")
    texts = [item["content"][0]["text"] for item in all_items["data"]]
    assert texts == ["one", "two", "two", "three"]
    _, newest = client.get(f"/v1/responses/{second['id']}/input_items?limit=1")
    assert (newest["data"][0]["content"][0]["text"], newest["has_more"]) == ("three", True)
    _, rest = client.get(f"/v1/responses/{second['id']}/input_items?after={newest['last_id']}")
    assert [item["id"] for item in rest["data"]] == [item["id"] for item in all_items["data"]][2::-1]
    assert client.get(f"/v1/responses/{second['id']}/input_items?limit=0")[0] == 400
    assert client.get(f"/v1/responses/{second['id']}/input_items?after=nothing")[1]["error"]["param"] == "after"


def test_output_items_resolve_by_id_alone(client: Client) -> None:
    made = client.create(model="scripted", input="Remember me.")
    items = [{"type": "item_reference", "id": made["output"][0]["id"]}, {"role": "user", "content": "Go on."}]
    assert text(client.create(model="scripted", input=items)) == "Go on."
    status, body = client.post(
        "/v1/responses", model="scripted", input=[{"type": "item_reference", "id": "msg_nobody"}]
    )
    assert (status, body["error"]["param"]) == (404, "input[0].id")


def test_configured_ids_aliases_and_defaults(client: Client) -> None:
    for name in ("tuned", "gpt-tuned", "org/tuned"):
        made = client.create(model=name, input="Hi.")
        assert (made["model"], made["temperature"], made["max_output_tokens"]) == (name, 0.3, 77)
    status, body = client.post("/v1/responses", model="nobody", input="Hi.")
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "model_not_found", "model")
    assert "tuned" in body["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": "chat-only"}, "model", "unsupported_model"),
        ({"model": "plain", "tools": [{"type": "function", "name": "f"}]}, "tools", "unsupported_parameter"),
        (
            {"model": "plain", "text": {"format": {"type": "json_schema", "name": "x", "schema": {}}}},
            "text.format",
            "unsupported_parameter",
        ),
        (
            {
                "model": "blind",
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]}
                ],
            },
            "input[0].content[0]",
            "unsupported_parameter",
        ),
        ({"model": "scripted", "instructions": "x" * 101}, "instructions", "invalid_value"),
        ({"model": "scripted", "background": True, "store": False}, "store", "invalid_value"),
        ({"model": "scripted", "conversation": "conv_nobody"}, "conversation", "conversation_not_found"),
        ({"model": "scripted", "file_id": "file_nobody"}, "file_id", "file_not_found"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(client: Client, fields: dict, param: str, code: str) -> None:
    for stream in (False, True):
        status, body = client.post("/v1/responses", **{"input": "Hi.", "stream": stream, **fields})
        assert status in (400, 404)
        assert (body["error"]["param"], body["error"]["code"]) == (param, code)


def test_errors_before_the_first_event_are_http_errors(client: Client) -> None:
    for stream in (False, True):
        status, body = client.post("/v1/responses", model="scripted", input="/error 429 slow down", stream=stream)
        assert (status, body["error"]["type"]) == (429, "rate_limit_error")
        assert "slow down" in body["error"]["message"]


def test_an_error_in_the_middle_ends_the_stream_in_order(client: Client) -> None:
    events = client.stream(model="scripted", input="Some words first.\n/error 500 kaputt")
    kinds = [event["type"] for event in events]
    assert kinds[-3:] == ["response.output_item.done", "error", "response.failed"]
    error = events[-2]
    assert (error["message"], error["error"]["message"]) == ("kaputt", "kaputt")
    failed = events[-1]["response"]
    assert (failed["status"], failed["error"]["message"]) == ("failed", "kaputt")
    assert failed["output"][0]["status"] == "incomplete"
    assert client.get(f"/v1/responses/{failed['id']}") == (200, failed)
    assert client.post("/v1/responses", model="scripted", input="Words.\n/error 500 kaputt")[0] == 500


@pytest.mark.slow
def test_a_silent_backend_gets_keepalives_after_the_first_event(client: Client) -> None:
    events = client.stream(model="scripted", input="/delay 0.7\nLate.")
    kinds = [event["type"] for event in events]
    assert kinds[0] == "response.created"
    assert kinds.count("keepalive") >= 2
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


@pytest.mark.slow
def test_a_response_that_comes_whole_has_no_keepalives(client: Client) -> None:
    made = [client.create(model="scripted", input=f"{delay}Late.")["id"] for delay in ("", "/delay 0.7\n")]
    _, listed = client.get("/admin/requests")
    quick, late = ([one["events"] for one in listed["data"] if one["id"] == id] for id in made)
    assert quick == late


class Slow(BaseHTTPRequestHandler):
    """A backend that talks for a minute, and tells when it is left alone."""

    left = threading.Event()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = b'{"object":"list","data":[{"id":"slow","object":"model"}]}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            for _ in range(600):
                self.wfile.write(b'data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n')
                time.sleep(0.05)
        except OSError:
            self.left.set()


@pytest.mark.parametrize("stream", [True, False])
def test_the_backend_is_let_go_when_the_client_leaves(stream: bool) -> None:
    Slow.left.clear()
    upstream = Upstream(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    with whole_server(f"http://127.0.0.1:{upstream.server_address[1]}/v1") as client:
        host, port = client.url.removeprefix("http://").split(":")
        body = b'{"model":"slow","input":"Hi.","stream":%b}' % str(stream).lower().encode()
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)
            if stream:
                assert b"200 OK" in connection.recv(65536)
            else:
                time.sleep(0.3)
        assert Slow.left.wait(1.0), "the backend call goes on"
    upstream.shutdown()
    upstream.server_close()
    thread.join()


def test_reading_again_as_a_stream_needs_background(client: Client) -> None:
    made = client.create(model="scripted", input="Hi.")
    status, body = client.get(f"/v1/responses/{made['id']}?stream=true")
    assert (status, body["error"]["param"]) == (400, "stream")
    assert client.post(f"/v1/responses/{made['id']}/cancel")[0] == 400


def test_sealed_reasoning_restores_itself_without_the_store(client: Client) -> None:
    asked = {"store": False, "include": ["reasoning.encrypted_content"]}
    made = client.create(model="scripted", input="/think deep thoughts\nAnswer.", **asked)
    thought = made["output"][0]
    assert thought["content"][0]["text"] == "deep thoughts"
    assert "deep" not in thought["encrypted_content"]
    replayed = [{"type": "reasoning", "summary": [], "encrypted_content": thought["encrypted_content"]}]
    again = client.create(model="scripted", input=[*replayed, {"role": "user", "content": "Go on."}], **asked)
    assert text(again) == "Go on."


def test_summaries_when_asked(client: Client) -> None:
    made = client.create(model="scripted", input="/think hm\nYes.", reasoning={"summary": "auto"})
    assert made["output"][0]["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert client.create(model="scripted", input="/think hm\nYes.")["output"][0]["summary"] == []


def test_ignored_tools_are_named(client: Client) -> None:
    tools = [{"type": "programmatic_tool_calling"}, {"type": "image_generation"}]
    fields = {"model": "scripted", "input": "Hi.", "tools": tools}
    request = urllib.request.Request(f"{client.url}/v1/responses", json.dumps(fields).encode())
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.headers["x-antiphon-ignored"] == "programmatic_tool_calling, image_generation"


class Flood(Slow):
    """A backend that says more than any buffer holds."""

    left = threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        chunk = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"word " * 200)
        try:
            for _ in range(100_000):
                self.wfile.write(chunk * 20)
        except OSError:
            self.left.set()


def test_a_client_that_stops_reading_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection stays open, its buffers are full: after a while the backend call ends."""
    monkeypatch.setattr(direct_exchange, "STALLED", 0.5)
    Flood.left.clear()
    upstream = Upstream(("127.0.0.1", 0), Flood)
    thread = threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    with whole_server(f"http://127.0.0.1:{upstream.server_address[1]}/v1") as client:
        host, port = client.url.removeprefix("http://").split(":")
        body = b'{"model":"slow","input":"Hi.","stream":true,"store":false}'
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
            )
            assert Flood.left.wait(10.0), "the backend call goes on"
    upstream.shutdown()
    upstream.server_close()
    thread.join()
