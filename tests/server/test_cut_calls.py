"""Forced calls that are brought about by constrained answers, and cut off: a call that is incomplete, and never text."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

from antiphon.config import BackendConfig
from tests.server.test_matrix import MODES, end_of
from tests.server.whole import Client, Json, upstream, whole_server

pytestmark = pytest.mark.slow

FUNCTION: Json = {"type": "function", "name": "own", "parameters": {"type": "object", "properties": {}}}
CUSTOM: Json = {"type": "custom", "name": "shape", "format": {"type": "grammar", "syntax": "regex", "definition": "a+"}}


class Cut(BaseHTTPRequestHandler):
    """An engine that follows schemas and grammars, and ends in the midst of each answer."""

    protocol_version = "HTTP/1.1"
    size: ClassVar[int] = 0

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(b'{"object":"list","data":[{"id":"m","object":"model"},{"id":"text","object":"model"}]}', "json")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        schema = request.get("response_format", {}).get("json_schema", {}).get("schema")
        if "grammar" in request:
            text = "aaaa"
        elif schema is not None:
            name = schema["properties"]["name"]["const"]
            text = json.dumps({"name": name, "arguments": {"queries": ["cats"], "query": "cats"}})[: self.size]
        else:
            text = "Before."
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice: Json = {"index": 0, "finish_reason": "stop" if text == "Before." else "length"}
        if not request.get("stream"):
            whole = {"choices": [{**choice, "message": {"role": "assistant", "content": text}}], "usage": usage}
            self._send(json.dumps(whole).encode(), "json")
            return
        chunks: list[Json] = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in text]
        chunks.append({"choices": [{**choice, "delta": {}}], "usage": usage})
        body = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
        self._send(body + b"data: [DONE]\n\n", "event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", f"{'application' if kind == 'json' else 'text'}/{kind}")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store: Path = tmp_path_factory.mktemp("store") / "antiphon.db"
    with upstream(Cut) as url:
        backend = BackendConfig(url=url, api="chat", profile="llama_cpp")
        with whole_server(url, store=str(store), backends={"upstream": backend}) as served:
            yield served


@pytest.mark.parametrize("size", [1, 12, 30, 60])
@pytest.mark.parametrize("kind", ["function", "file_search", "custom"])
def test_a_forced_call_that_is_cut_off(client: Client, kind: str, size: int) -> None:
    Cut.size = size
    made: dict[str, tuple[Json, Any, str]] = {
        "function": (FUNCTION, {"type": "function", "name": "own"}, "function_call"),
        "file_search": (
            {"type": "file_search", "vector_store_ids": [client.post("/v1/vector_stores")[1]["id"]]},
            {"type": "file_search"},
            "file_search_call",
        ),
        "custom": (CUSTOM, {"type": "custom", "name": "shape"}, "custom_tool_call"),
    }
    tool, choice, item = made[kind]
    fields = {"model": "m", "input": "Hi.", "tools": [tool], "tool_choice": choice, "max_output_tokens": 20}
    answers = [end_of(client.stream(**fields)), *(mode(client, fields) for mode in MODES)]
    for answer in answers:
        assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
        assert [(one["type"], one["status"]) for one in answer["output"]] == [(item, "incomplete")]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [1, 12, 30, 60])
def test_through_messages(client: Client, stream: bool, size: int) -> None:
    Cut.size = size
    fields: Json = {
        "model": "m",
        "max_tokens": 20,
        "messages": [{"role": "user", "content": "Hi."}],
        "tools": [{"name": "own", "description": "x", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "own"},
        "stream": stream,
    }
    asked = urllib.request.Request(f"{client.url}/v1/messages", json.dumps(fields).encode())
    with urllib.request.urlopen(asked, timeout=20) as answer:
        said = answer.read().decode()
    assert '"own"' in said and '"max_tokens"' in said
    assert '\\"name' not in said and '"text_delta"' not in said
