"""JSON Schemas over a real socket: what is refused before the model is asked, and what becomes of answers that do not fit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.checker import bombs
from tests.server.whole import Client, Json, golden_upstream, turn, whole_server

PLAIN: Json = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def strict(schema: Any, **more: Any) -> Json:
    return {"format": {"type": "json_schema", "name": "x", "strict": True, "schema": schema, **more}}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with whole_server(schema_timeout=1.0) as client:
        yield client


class Health(threading.Thread):
    """Asks for /health all the time and keeps the longest wait, in seconds."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.waits: list[float] = []
        self.ended = False

    def run(self) -> None:
        while not self.ended:
            began = time.perf_counter()
            assert self.client.get("/health")[0] == 200
            self.waits.append(time.perf_counter() - began)
            time.sleep(0.005)


@contextmanager
def healthy(client: Client) -> Iterator[None]:
    """Assert that /health is answered all the while."""
    health = Health(client)
    health.start()
    try:
        yield
    finally:
        health.ended = True
        health.join()
    assert max(health.waits) < 0.5


def test_the_plain_case(client: Client) -> None:
    made = client.create(model="scripted", input='{"a":1}', text=strict(PLAIN))
    assert made["status"] == "completed" and made["output"][0]["content"][0]["text"] == '{"a":1}'
    status, body = client.post("/v1/responses", model="scripted", input='{"a":"1"}', text=strict(PLAIN))
    assert (status, body["error"]["code"]) == (502, "invalid_output") and "'/a'" in body["error"]["message"]
    events = client.stream(model="scripted", input='{"a":"1"}', text=strict(PLAIN))
    assert events[-1]["response"]["error"]["code"] == "invalid_output"
    failed = client.finished(client.create(model="scripted", input="{", text=strict(PLAIN), background=True)["id"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "invalid_output")


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (strict({"type": 12}), "text.format.schema"),
        ({"type": "json_schema", "strict": True, "schema": {"type": 12}}, "text.schema"),
        ({"format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"type": 12}}}},
         "text.format.schema"),
        (strict({"$ref": "http://127.0.0.1:9/x"}), "text.format.schema"),
        (strict({"$ref": "http://127.0.0.1:9/x"}, strict=False), "text.format.schema"),
        (strict(bombs.diamonds(40)), "text.format.schema"),
    ],
)  # fmt: skip
def test_a_wrong_schema_is_a_400_on_every_way(client: Client, text: Json, param: str) -> None:
    for more in ({}, {"stream": True}, {"background": True}, {"background": True, "stream": True}):
        status, body = client.post("/v1/responses", model="scripted", input='{"a":1}', text=text, **more)
        assert (status, body["error"]["param"], body["error"]["code"]) == (400, param, "invalid_json_schema"), body
    status, body = client.post("/v1/responses/input_tokens", model="scripted", input="x", text=text)
    assert (status, body["error"]["param"]) == (400, param)
    with client.websocket() as connection:
        [event] = turn(connection, model="scripted", input='{"a":1}', text=text)
        assert (event["status"], event["error"]["param"]) == (400, param)
        made = turn(connection, model="scripted", input='{"a":1}', text=strict(PLAIN))
        assert made[-1]["type"] == "response.completed"


def test_a_schema_that_a_conversation_changes_to_is_looked_at_too(client: Client) -> None:
    update = {"type": "configuration_update", "text": strict({"$ref": "file:///etc/passwd"})}
    say = {"role": "user", "content": '{"a":1}'}
    status, body = client.post("/v1/responses", model="scripted", input=[update, say])
    assert (status, body["error"]["param"]) == (400, "text.format.schema"), body


def test_what_is_not_strict_is_not_compiled(client: Client) -> None:
    for schema in ({"type": 12}, {"required": "a"}):
        made = client.create(model="scripted", input="{", text=strict(schema, strict=False))
        assert made["status"] == "completed"


def test_with_the_check_off_a_schema_is_looked_at_only() -> None:
    with whole_server(structured_output="off") as client:
        assert client.create(model="scripted", input="{", text=strict({"type": 12}))["status"] == "completed"
        status, body = client.post("/v1/responses", model="scripted", input="{", text=strict(bombs.nested(200)))
        assert (status, body["error"]["param"]) == (400, "text.format.schema")


def test_a_schema_of_more_bytes_than_allowed() -> None:
    with whole_server(schema_limit=1000) as client:
        schema = {"enum": ["x" * 2000]}
        status, body = client.post("/v1/responses", model="scripted", input="x", text=strict(schema))
        assert status == 400 and "at most 1000" in body["error"]["message"]


class _Internal(BaseHTTPRequestHandler):
    hits: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.hits.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"const":"internal-secret-value"}')


def test_nothing_is_fetched_and_nothing_of_a_file_comes_back(client: Client, tmp_path: Path) -> None:
    secret = tmp_path / "any.json"
    secret.write_text('{"const":"file-secret-4242","required":["aws_secret_key"]}')
    internal = ThreadingHTTPServer(("127.0.0.1", 0), _Internal)
    thread = threading.Thread(target=internal.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        port = internal.server_address[1]
        for uri in (secret.as_uri(), f"{secret.as_uri()}#/x", f"http://127.0.0.1:{port}/latest/meta-data"):
            for schema in (
                {"properties": {"a": {"$ref": uri}}},
                {"properties": {"a": {"$dynamicRef": uri}}},
                {"$schema": uri, **PLAIN},
                {"$id": uri, "properties": {"a": {"$ref": "other.json"}}},
            ):
                for more in ({}, {"stream": True}, {"background": True}):
                    status, body = client.post(
                        "/v1/responses", model="scripted", input='{"a":1}', text=strict(schema), **more
                    )
                    assert (status, body["error"]["param"]) == (400, "text.format.schema"), body
                    assert "secret-4242" not in json.dumps(body) and "aws_secret" not in json.dumps(body)
    finally:
        internal.shutdown()
        internal.server_close()
        thread.join()
    assert _Internal.hits == []


@pytest.mark.parametrize(("kind", "size"), [pair for pair in bombs.sized() if pair[1] >= 40])
def test_no_schema_holds_up_the_server(client: Client, kind: str, size: int) -> None:
    schema = bombs.dumped(kind, size)
    head = b'{"model":"scripted","input":"{\\"a\\":1}","text":{"format":{"type":"json_schema","name":"x","strict":true,'
    body = b'%b"schema":%b}}}' % (head, schema)
    with healthy(client):
        status, answer = client.send("POST", "/v1/responses", body)
    assert status in (200, 400, 502), answer
    if status != 200:
        assert answer["error"]["code"] in ("invalid_json_schema", "invalid_output", "unchecked_output", "invalid_json")


@pytest.mark.parametrize(
    ("answer", "schema", "code"),
    [
        ("[" * 20_000, {"type": "array"}, "unchecked_output"),
        ("1" * 6000, {"type": "integer"}, "unchecked_output"),
        ('{"a":NaN}', PLAIN, "invalid_output"),
        ('{"a":Infinity}', PLAIN, "invalid_output"),
        ('{"a":-Infinity}', PLAIN, "invalid_output"),
        ('{"a":1e999}', {"type": "object"}, "unchecked_output"),
        (bombs.family(60), bombs.RECURSIVE, "unchecked_output"),
        ('"' + "a" * 300_000 + '"', {"pattern": "(?=a)(a*)*b"}, "unchecked_output"),
    ],
)
@pytest.mark.parametrize("repair", [False, True])
def test_an_answer_that_cannot_be_checked_fails_with_a_reason(
    answer: str, schema: Json, code: str, repair: bool
) -> None:
    with whole_server(structured_output="repair" if repair else "check", schema_timeout=0.5) as client:
        fields = {"model": "scripted", "input": answer, "text": strict(schema)}
        with healthy(client):
            status, body = client.post("/v1/responses", **fields)
            assert (status, body["error"]["code"]) == (502, code), body
            events = client.stream(**fields)
            assert events[-1]["type"] == "response.failed" and events[-1]["response"]["error"]["code"] == code
            failed = client.finished(client.create(**fields, background=True)["id"])
            assert (failed["status"], failed["error"]["code"]) == ("failed", code)
            with client.websocket() as connection:
                assert any(event["type"] in ("response.failed", "error") for event in turn(connection, **fields))


def test_chat_completions_with_a_reference_to_elsewhere() -> None:
    with golden_upstream() as url, whole_server(url) as client:
        for schema, words in (({"$ref": "http://127.0.0.1:9/x"}, "outside"), (bombs.nested(200), "deeper")):
            format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            fields = {"model": "one_call", "messages": [{"role": "user", "content": "Hi."}]}
            status, body = client.post("/v1/chat/completions", **fields, response_format=format)
            assert (status, body["error"]["param"]) == (400, "response_format.json_schema.schema"), body
            assert words in body["error"]["message"]
