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

from antiphon.config import BackendConfig
from tests.bounds import bound
from tests.runtime.checker import bombs
from tests.server.whole import Client, Json, golden_upstream, turn, whole_server

pytestmark = pytest.mark.slow

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
    assert max(health.waits) < bound(2.0)  # on a busy machine; a few milliseconds else


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
        assert (status, body["error"]["param"].removesuffix(".items")) == (400, "text.format.schema")


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
    thread = threading.Thread(target=internal.serve_forever, kwargs={"poll_interval": 0.005})
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
        for schema, words in (({"$ref": "http://127.0.0.1:9/x"}, "outside"), (bombs.nested(200), "deep")):
            format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            fields = {"model": "one_call", "messages": [{"role": "user", "content": "Hi."}]}
            status, body = client.post("/v1/chat/completions", **fields, response_format=format)
            param = body["error"]["param"].removesuffix(".items")
            assert (status, param) == (400, "response_format.json_schema.schema"), body
            assert words in body["error"]["message"]


def forced(**tool: Any) -> Json:
    kind = tool["type"]
    return {"tools": [tool], "tool_choice": {"type": kind, "name": tool["name"]}}


def deep(depth: int, innermost: str = "{}") -> Any:
    return json.loads('{"items":' * depth + innermost + "}" * depth)


def lark(definition: str, syntax: str = "lark") -> Json:
    format = {"type": "grammar", "syntax": syntax, "definition": definition}
    return forced(type="custom", name="f", format=format)


DECLARATIONS = {
    "required beside 600 levels": (
        forced(type="function", name="f", parameters={"required": "a", "properties": {"a": deep(600)}}),
        "tools[0]",
    ),
    "$ref below 300 levels": (
        forced(type="function", name="f", parameters=deep(300, '{"$ref":"#/$defs/x"}')),
        "tools[0].parameters",
    ),
    "$defs is a list": (
        forced(type="function", name="f", parameters={"$defs": [1], "$ref": "#/$defs/x"}),
        "tools[0].parameters",
    ),
    "definitions is a string": (
        forced(type="function", name="f", parameters={"definitions": "x", "$ref": "#/definitions/x"}),
        "tools[0].parameters",
    ),
    "chat_template_kwargs is a number": (
        {"chat_template_kwargs": 5, "reasoning": {"effort": "low"}},
        "chat_template_kwargs",
    ),
    "escape": (lark(r'start: "\x"'), "tools[0].format.definition"),
    "named escape": (lark(r'start: "\N{foo}".."b"'), "tools[0].format.definition"),
    "range to a name": (lark('start: "a"..foo'), "tools[0].format.definition"),
    "range of line breaks": (lark(r'start: "\n\n".."b"'), "tools[0].format.definition"),
    "NUL": (lark('start: "\0"'), "tools[0].format.definition"),
    "empty": (lark(""), "tools[0].format.definition"),
    "5,000 parentheses": (lark("start:" + " (" * 5000), "tools[0].format.definition"),
    "expression of 5,000 parentheses": (lark("(" * 5000, "regex"), "tools[0].format.definition"),
    "200,000 characters": (lark('start: "a"' + ' "a"' * 50_000), "tools[0].format.definition"),
}


@pytest.fixture(scope="module")
def llama() -> Iterator[Client]:
    with golden_upstream() as url:
        backend = BackendConfig(url=url, profile="llama_cpp")
        with whole_server(backends={"upstream": backend}) as client:
            yield client


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_wrong_declaration_is_a_400_that_names_it(llama: Client, name: str) -> None:
    more, param = DECLARATIONS[name]
    fields = {"model": "one_call", "input": "Hi.", **more}
    with healthy(llama):
        for way in ({}, {"stream": True}):
            status, body = llama.post("/v1/responses", **fields, **way)
            assert status == 400 and body["error"]["param"].startswith(param), body
        status, body = llama.post("/v1/responses", **fields, background=True)
        if status == 200:  # what the backend's kind alone makes wrong shows when it is called
            body = llama.finished(body["id"])
            assert body["status"] == "failed" and body["error"]["code"] != "server_error", body
        with llama.websocket() as connection:
            event = turn(connection, **fields)[-1]
            assert event["status"] == 400 if event["type"] == "error" else event["type"] == "response.failed", event


def test_a_long_grammar_is_translated_beside_the_loop(llama: Client) -> None:
    rules = "\n".join(f'r{n}: ("a" | "b" r{n + 1})' for n in range(1200))
    with healthy(llama):
        status, body = llama.post(
            "/v1/responses", model="one_call", input="Hi.", **lark(f'start: r0\n{rules}\nr1200: "c"')
        )
    assert status == 200, body
