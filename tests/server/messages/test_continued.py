"""A conversation that ends with the assistant's text: the answer goes on from there, and repeats nothing.

The servers behind it say what the engines of their names were seen to say: llama.cpp goes on with any last message, and repeats
what was begun wherever it says the text as a whole; vLLM's `/responses` goes on with a message that has an id and is in progress.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from antiphon.config import BackendConfig
from tests.server.messages.case_requests import asking, both, post
from tests.server.whole import Json, upstream, whole_server

pytestmark = pytest.mark.slow

BEGUN = "One, two,"
HISTORY = [{"role": "user", "content": "Count."}, {"role": "assistant", "content": BEGUN}]


class Continuing(BaseHTTPRequestHandler):
    """Goes on with `more`; one that cannot begins anew."""

    protocol_version = "HTTP/1.1"
    owner: ClassVar[str] = "llamacpp"
    more: ClassVar[str] = " three."
    asked: ClassVar[list[Json]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(json.dumps({"data": [{"id": "m", "owned_by": self.owner}]}).encode(), "application/json")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(asked)
        if self.path.endswith("/responses"):
            self._responses(asked)
        else:
            self._chat(asked)

    def _chat(self, asked: Json) -> None:
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        if not asked.get("stream"):
            said = {"role": "assistant", "content": BEGUN + self.more}
            whole = {"choices": [{"index": 0, "message": said, "finish_reason": "stop"}], "usage": usage}
            self._send(json.dumps(whole).encode(), "application/json")
            return
        chunks: list[Json] = [{"choices": [{"index": 0, "delta": {"content": self.more}}]}]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
        lines = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
        self._send(lines + b"data: [DONE]\n\n", "text/event-stream")

    def _responses(self, asked: Json) -> None:
        last = asked["input"][-1]
        goes_on = last["role"] == "assistant" and (
            self.owner == "llamacpp" or (last.get("id", "").startswith("msg_") and last["status"] == "in_progress")
        )
        delta = self.more if goes_on else "Anew."
        echo = BEGUN if self.owner == "llamacpp" else ""
        part = {"type": "output_text", "text": echo + delta, "annotations": []}
        item: Json = {"type": "message", "id": "msg_9", "role": "assistant", "status": "completed", "content": [part]}
        where = {"item_id": "msg_9", "output_index": 0, "content_index": 0}
        response = {"id": "resp_9", "object": "response", "status": "completed", "model": "m", "output": [item]}
        response["usage"] = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
        events: list[Json] = []
        if delta:
            events = [
                {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
                {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
                {"type": "response.output_text.delta", **where, "delta": delta},
                {"type": "response.output_text.done", **where, "text": echo + delta},
                {"type": "response.content_part.done", **where, "part": part},
                {"type": "response.output_item.done", "output_index": 0, "item": item},
            ]
        if not asked.get("stream"):
            self._send(json.dumps(response).encode(), "application/json")
            return
        events.append({"type": "response.completed", "response": response})
        lines = b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events)
        self._send(lines, "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def handler(owner: str, more: str = " three.") -> type[Continuing]:
    Continuing.asked.clear()
    return type("Handler", (Continuing,), {"owner": owner, "more": more})


CASES: list[Any] = [("chat", "llamacpp"), ("responses", "llamacpp"), ("responses", "vllm")]


@pytest.mark.parametrize(("api", "owner"), CASES)
@pytest.mark.parametrize("more", [" three.", BEGUN], ids=["", "the same again"])
def test_the_answer_goes_on(api: Any, owner: str, more: str) -> None:
    with upstream(handler(owner, more)) as url, whole_server(backends={"b": BackendConfig(url=url, api=api)}) as client:
        message = both(client, HISTORY)
        assert [block["text"] for block in message["content"]] == [more] and message["stop_reason"] == "end_turn"
        assert all(asked["stream"] for asked in Continuing.asked)


def test_an_answer_that_has_nothing_to_add_repeats_nothing() -> None:
    with upstream(handler("llamacpp", "")) as url:
        backend = {"b": BackendConfig(url=url, api="responses")}
        with whole_server(backends=backend) as client:
            assert "".join(block["text"] for block in both(client, HISTORY)["content"]) == ""


@pytest.mark.parametrize("stream", [False, True])
def test_others_would_begin_anew_and_are_not_asked(stream: bool) -> None:
    with upstream(handler("openai")) as url:
        backend = {"b": BackendConfig(url=url, api="responses")}
        with whole_server(backends=backend) as client:
            answer = post(client, asking(HISTORY, stream=stream))
            assert answer.status_code == 400 and "does not support assistant message prefill" in answer.text
            assert not Continuing.asked
