"""Recorded sessions of Claude Code: every request is answered, and each prompt begins as the one before it, for prefix caches.

`tests/golden/claude_code_sessions.json` has requests of Claude Code 2.1.332 and of its Agent SDK. Long texts are cut to their
beginning and length, tools to their names; `expanded` fills them in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import httpx2 as httpx
import pytest

from antiphon.composition import app
from antiphon.config import BackendConfig, Config, ModelConfig
from tests.golden.player import ROOT
from tests.server.serving import serving
from tests.server.whole import upstream

pytestmark = pytest.mark.slow

Json = dict[str, Any]
RECORDED = json.loads((ROOT / "claude_code_sessions.json").read_text())
SESSIONS: dict[str, list[Json]] = RECORDED["sessions"]
CUT = re.compile(r"<(\d+) chars(?:: (.*))?>", re.DOTALL)
SHARED = 0.99
"""How much of a prompt has to be the beginning of the next one, which a prefix cache then need not read again."""


def expanded(value: Any) -> Any:
    """Fill in what was cut: a text's length, an object's keys."""
    match value:
        case str() if cut := CUT.fullmatch(value):
            begin, length = (cut[2] or "text ").removesuffix("…"), int(cut[1])
            return (begin + " and so on" * (length // 10 + 1))[:length]
        case list():
            return [expanded(inner) for inner in value]
        case {"keys": [*_], "properties": [*names], "required": required}:
            return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": required}
        case dict():
            return {name: expanded(inner) for name, inner in value.items()}
    return value


def body_of(recorded: Json) -> Json:
    """Return a request as it was sent."""
    body: Json = expanded(recorded["body"])
    if "tools" in body:
        body["tools"] = [tool_of(tool) for tool in body["tools"]]
    return body


def tool_of(tool: Any) -> Json:
    fields = {"name": tool} if isinstance(tool, str) else tool
    declared = RECORDED["tools"].get(fields.get("name"), {}) if "type" not in fields else {}
    return {**fields, **expanded(declared)}


class Listener(BaseHTTPRequestHandler):
    """A backend that keeps what it is asked, and says yes."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[Json]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(
            b'{"object":"list","data":[{"id":"m","object":"model","max_model_len":1000000}]}', "application/json"
        )

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        chunk = b'{"choices":[{"index":0,"delta":{"content":"Yes."},"finish_reason":"stop"}]}'
        self._send(b"data: %b\n\ndata: [DONE]\n\n" % chunk, "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module", params=["keep", "merge-first", "alternate"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A server in front of models that differ in which roles they take where."""
    with upstream(Listener) as url:
        names = {"claude-*": "m", "qwen3-8b": "m"}
        models = {"m": ModelConfig(roles=request.param)}
        backends = {"b": BackendConfig(url=url)}
        config = Config(store="memory", backends=backends, models=models, messages_models=names, shutdown_grace=1.0)
        with serving(app.build(config), config) as server, httpx.Client(base_url=server.url, timeout=30) as client:
            yield client


def prompts(client: httpx.Client, session: str) -> list[Json]:
    """Send a session's requests; return what the backend was asked."""
    Listener.asked.clear()
    for recorded in SESSIONS[session]:
        answer = client.post(recorded["path"], json=body_of(recorded))
        assert answer.status_code == 200, answer.text
        assert "message_stop" in answer.text or answer.json()["type"] == "message"
    return list(Listener.asked)


def continued(session: str) -> list[tuple[int, int]]:
    """Return which requests continue which: their messages begin with the other's, however they are spelled."""
    said = [
        [(message["role"], spelled(message["content"])) for message in one["body"]["messages"]]
        for one in SESSIONS[session]
    ]
    pairs = []
    for later in range(len(said)):
        earlier = [
            n for n in range(later) if len(said[n]) < len(said[later]) and said[later][: len(said[n])] == said[n]
        ]
        pairs += [(earlier[-1], later)] if earlier else []
    return pairs


def spelled(content: Any) -> Any:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [{name: value for name, value in block.items() if name != "cache_control"} for block in blocks]


CONTINUED = sorted(session for session in SESSIONS if continued(session))


@pytest.mark.parametrize("session", sorted(SESSIONS))
def test_every_request_is_answered(client: httpx.Client, session: str) -> None:
    assert prompts(client, session)


@pytest.mark.parametrize("session", CONTINUED)
def test_each_prompt_begins_as_the_one_before_it(client: httpx.Client, session: str) -> None:
    asked = prompts(client, session)
    for earlier, later in continued(session):
        before, after = asked[earlier], asked[later]
        assert after["messages"][: len(before["messages"])] == before["messages"]
        tools = len(before.get("tools") or ())
        assert (after.get("tools") or [])[:tools] == (before.get("tools") or [])
        if len(after.get("tools") or ()) == tools:
            assert shared(prompt(before), prompt(after)) >= SHARED


def prompt(asked: Json) -> str:
    """Return what a model reads, in the order of most templates."""
    return "\n".join(json.dumps(part) for part in [*(asked.get("tools") or ()), *asked["messages"]])


def shared(one: str, other: str) -> float:
    common = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return common / len(one)


def test_the_recordings_have_sessions_of_all_kinds() -> None:
    assert len(CONTINUED) > 12 and "tool_search" in CONTINUED, CONTINUED


@pytest.mark.parametrize("session", ["one_call", "agent_sdk", "terminal"])
def test_prompts_of_two_conversations_share_their_beginning(client: httpx.Client, session: str) -> None:
    """Claude Code's billing line differs between conversations, and its session's id, too: neither reaches a model."""
    Listener.asked.clear()
    first = body_of(SESSIONS[session][0])
    second = json.loads(json.dumps(first).replace("cc_version=2.1.332.", "cc_version=2.1.332.x"))
    second["metadata"] = {"user_id": "somebody else"}
    assert first["system"][0] != second["system"][0]
    for body in (first, second):
        assert client.post("/v1/messages?beta=true", json=body).status_code == 200
    one, other = Listener.asked
    assert prompt(one) == prompt(other)
