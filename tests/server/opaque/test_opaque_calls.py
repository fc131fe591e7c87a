"""Data that only the backend reads, beside calls of server tools and after kill -9."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest

from tests.server.providers import Json, call, signed
from tests.server.test_hosted_tools import process
from tests.server.whole import upstream, whole_server
from tests.tools.lookup import Lookup

pytestmark = pytest.mark.slow


# Tools that the server runs, a run that is taken over


class Looking(BaseHTTPRequestHandler):
    """Calls the server's tool with a signature, and refuses to go on without it."""

    protocol_version = "HTTP/1.1"
    hesitates: ClassVar[threading.Event | None] = None
    reached: ClassVar[threading.Event] = threading.Event()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        calls = [call for message in request["messages"] for call in message.get("tool_calls", ())]
        if calls and any(call.get("extra_content") != signed("S1")["extra_content"] for call in calls):
            self._send(400, {"error": {"message": "missing a thought_signature", "code": None}})
            return
        if calls and self.hesitates is not None:
            self.reached.set()
            self.hesitates.wait(20)
        lookup = {**call("call_1", "lookup", **signed("S1"))}
        lookup["function"] = {"name": "lookup", "arguments": '{"query":"cats"}'}
        message = {"content": "Done."} if calls else {"content": None, "tool_calls": [lookup]}
        self._send(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    def _send(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)


def test_a_tool_of_the_server_and_a_later_turn() -> None:
    with upstream(Looking) as url, whole_server(url, hosted=[Lookup()]) as client:
        tools = [{"type": "lookup", "shelf": "a"}]
        first = client.create(model="m", input="Look.", tools=tools)
        assert [item["type"] for item in first["output"]] == ["reasoning", "lookup_call", "message"]
        client.create(model="m", input="Again.", tools=tools, previous_response_id=first["id"])


def test_a_run_taken_over_after_kill_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server dies between the tool's result and the model's answer: the other one has the signature too."""
    gate = threading.Event()
    monkeypatch.setattr(Looking, "hesitates", gate)
    Looking.reached.clear()
    store = tmp_path / "antiphon.db"
    with upstream(Looking) as url:
        with process(store, url) as (client, running):
            asked = {"model": "m", "input": "Look.", "tools": [{"type": "lookup", "shelf": "a"}], "background": True}
            id = client.create(**asked)["id"]
            assert Looking.reached.wait(20)
            running.kill()
            running.wait()
        gate.set()
        with process(store, url) as (client, _):
            assert client.finished(id)["status"] == "completed"
            client.create(model="m", input="Again.", previous_response_id=id)
