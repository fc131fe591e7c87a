"""What was sent to a backend can be looked at: in every mode, of every kind of backend, by operators only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from antiphon.config import BackendConfig, KeyConfig, ModelConfig
from antiphon.responses.log.captures import shown_body
from tests.acceptance.command import serving
from tests.server.whole import Client, Json, turn, upstream, whole_server

CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


class Recorder(BaseHTTPRequestHandler):
    """Answers chat requests, streamed or not, and keeps their bodies; the first one that has `top_p` is refused for it."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes]

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.bodies.append(body)
        asked = json.loads(body)
        if "top_p" in asked:
            error = {"message": "Unsupported parameter: 'top_p'", "param": "top_p", "code": "unsupported_parameter"}
            self._send(json.dumps({"error": error}).encode(), status=400)
        elif asked.get("stream"):
            says = {"delta": {"role": "assistant", "content": "Hi"}, "index": 0, "finish_reason": "stop"}
            chunk = json.dumps({**CHUNK, "choices": [says]}).encode()
            self._send(b"data: %b\n\ndata: [DONE]\n\n" % chunk, "text/event-stream")
        else:
            says = {"message": {"role": "assistant", "content": "Hi"}, "index": 0, "finish_reason": "stop"}
            self._send(json.dumps({"id": "c", "object": "chat.completion", "choices": [says]}).encode())

    def _send(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def recording() -> Iterator[tuple[str, list[bytes]]]:
    """Run a backend; gives its URL and the bodies that it gets."""
    bodies: list[bytes] = []
    with upstream(type("Recording", (Recorder,), {"bodies": bodies})) as url:
        yield url, bodies


@contextmanager
def served(**settings: Any) -> Iterator[tuple[Client, list[bytes]]]:
    with recording() as (url, bodies):
        secret = BackendConfig(url=url, key="sk-of-the-backend", headers={"x-extra": "secret-header-value"})
        models = {"m": ModelConfig(backends=["upstream"], instructions="The operator's own words.")}
        with whole_server(backends={"upstream": secret}, models=models, **settings) as client:
            yield client, bodies


def ask(client: Client, mode: str, **fields: Any) -> Json:
    body = {"model": "m", "input": "Hello?", **fields}
    match mode:
        case "whole":
            return client.create(**body)
        case "stream":
            return dict(client.stream(**body)[-1]["response"])
        case "background":
            return client.finished(client.create(**body, background=True)["id"])
        case _:
            with client.websocket() as connection:
                return dict(turn(connection, **body, store=True)[-1]["response"])


@pytest.mark.parametrize("mode", ["whole", "stream", "background", "websocket"])
def test_what_was_sent_is_there_byte_for_byte(mode: str) -> None:
    with served() as (client, bodies):
        made = ask(client, mode, temperature=0.25)
        whole = client.get(f"/admin/responses/{made['id']}")[1]
        assert [one["backend"] for one in whole["sent"]] == ["upstream"]
        assert whole["sent"][0]["url"].startswith("http://127.0.0.1:")
        assert whole["sent"][0]["url"].endswith("/v1/chat/completions")
        assert [one["body"] for one in whole["sent"]] == [json.loads(body) for body in bodies]
        assert whole["sent"][0]["body"]["temperature"] == 0.25
        assert whole["sent_forgotten"] == 0
        assert "secret-header" not in json.dumps(whole)
        assert "sk-of-the-backend" not in json.dumps(whole)


def test_a_request_that_was_refused_and_changed_is_there_twice() -> None:
    with served() as (client, bodies):
        made = ask(client, "whole", top_p=0.5)
        sent = client.get(f"/admin/responses/{made['id']}")[1]["sent"]
        assert [one["body"].get("top_p") for one in sent] == [0.5, None]
        assert len(bodies) == 2


def test_neither_others_nor_ordinary_keys_see_it() -> None:
    keys = {"ann": KeyConfig(key="ann"), "root": KeyConfig(key="root", scopes=["admin"])}
    with served(keys=keys) as (client, _):
        ann, root = Client(client.url, "ann"), Client(client.url, "root")
        made = ask(ann, "whole")
        assert ann.get(f"/admin/responses/{made['id']}")[0] == 403
        whole = ann.get(f"/v1/responses/{made['id']}/log")[1]
        assert "sent" not in whole
        assert "operator's own" not in json.dumps(whole)
        assert root.get(f"/admin/responses/{made['id']}")[1]["sent"]


def test_what_is_not_stored_is_not_kept() -> None:
    with served() as (client, bodies):
        made = ask(client, "whole", store=False)
        assert bodies
        assert client.get(f"/admin/responses/{made['id']}")[0] == 404


def test_it_can_be_off() -> None:
    with served(capture_bytes=0) as (client, _):
        made = ask(client, "whole")
        whole = client.get(f"/admin/responses/{made['id']}")[1]
        assert whole["sent"] == [] and "capture_bytes" in whole["sent_missing"]


@pytest.mark.slow
def test_another_worker_of_the_server_is_asked(tmp_path: Path) -> None:
    """Whichever worker gets the request: it finds what any of them has sent. Without metrics, too."""
    with recording() as (url, bodies):
        (tmp_path / "antiphon.toml").write_text('metrics = "off"\n')
        with serving(tmp_path, "--workers", "2", "--backend", url, "--store", "a.db") as command:
            for _ in range(12):
                made = Client(command.url).create(model="m", input="hi")
                for _ in range(4):  # connections of their own: each goes to either
                    whole = Client(command.url).get(f"/admin/responses/{made['id']}")[1]
                    assert [json.dumps(call["body"]) for call in whole["sent"]] == [json.dumps(json.loads(bodies[-1]))]
                    assert whole["sent_missing"] is None


@pytest.mark.slow
def test_the_list_of_requests_is_that_of_all_workers(tmp_path: Path) -> None:
    """Whichever worker is asked, the page's Activity shows the same."""
    with recording() as (url, _), serving(tmp_path, "--workers", "2", "--backend", url, "--store", "a.db") as command:
        made = [Client(command.url).create(model="m", input="hi")["id"] for _ in range(12)]
        lists = [Client(command.url).get("/admin/requests")[1] for _ in range(12)]
        for found in lists:
            assert [one["id"] for one in found["data"]] == made[::-1] and found["running"] == []


def test_another_server_says_that_it_knows_nothing_of_it(tmp_path: Path) -> None:
    store = str(tmp_path / "a.db")
    with recording() as (url, _):
        backends = {"b": BackendConfig(url=url)}
        with whole_server(store=store, backends=backends) as one, whole_server(store=store, backends=backends) as two:
            made = one.create(model="m", input="hi")
            assert len(one.get(f"/admin/responses/{made['id']}")[1]["sent"]) == 1
            whole = two.get(f"/admin/responses/{made['id']}")[1]
            assert whole["response"] == made and whole["sent"] == []
            assert "made by another server" in whole["sent_missing"]


@pytest.mark.parametrize(("api", "path"), [("responses", "/v1/responses"), ("anthropic", "/v1/messages")])
def test_backends_of_other_kinds_tell_it_too(api: Any, path: str) -> None:
    with recording() as (url, bodies):
        backend = BackendConfig(url=url, api=api, discover=False)
        with whole_server(backends={"b": backend}, models={"m": ModelConfig(backends=["b"])}) as client:
            client.post("/v1/responses", model="m", input="Hello?")  # the answer is none of its API's
            client.post("/v1/responses", model="m", input="Hello?", stream=True)
            entries = client.get("/v1/responses")[1]["data"]
            for entry in entries:
                sent = client.get(f"/admin/responses/{entry['id']}")[1]["sent"]
                assert sent and sent[0]["url"].endswith(path)
                assert sent[0]["body"] in [json.loads(body) for body in bodies]
            assert len(entries) == 2


HELD = {
    "api_key": "sk-1",
    "extra_headers": {"x-one": "sk-1"},
    "vendor": {"Authorization": "sk-1", "routes": [{"access-token": "sk-1", "to": "b"}]},
    "guided": {"properties": {"password": {"type": "string"}}},
    "stop_after": 7,
}
"""Fields that no server knows, with secrets in some of them."""


DECLARED = {
    "type": "mcp", "server_label": "x", "server_url": "https://a.com/sk-1", "authorization": "sk-1", "headers": {"b": "sk-1"},
}  # fmt: skip
SANDBOX = {"type": "allowlist", "allowed_domains": ["a.com"], "domain_secrets": [{"name": "A", "value": "sk-1"}]}
PYTHON = {"type": "code_interpreter", "container": {"type": "auto", "network_policy": SANDBOX}}


@pytest.mark.parametrize("declared", [DECLARED, PYTHON], ids=["mcp", "code_interpreter"])
@pytest.mark.parametrize("place", ["tools", "tool_choice", "tools of tool_choice", "tools of an item", "mcp_servers"])
def test_no_place_of_a_declaration_shows_its_secrets(declared: Json, place: str) -> None:
    message = {"role": "user", "content": "sk-2"}
    bodies: dict[str, Json] = {
        "tools": {"tools": [declared]},
        "tool_choice": {"tool_choice": declared},
        "tools of tool_choice": {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [declared]}},
        "tools of an item": {
            "input": [{"type": "additional_tools", "role": "developer", "tools": [declared]}, message]
        },
        "mcp_servers": {"mcp_servers": [{"type": "url", "url": "https://a.com/sk-1", "authorization_token": "sk-1"}]},
    }
    shown = shown_body(json.dumps({"input": [message], **bodies[place]}).encode())
    assert b"sk-1" not in shown and b"sk-2" in shown
    plain = json.dumps({"tool_choice": {"type": "function", "name": "f"}, "input": [message]}).encode()
    assert shown_body(plain) == plain


@pytest.mark.parametrize("mode", ["whole", "stream", "background", "websocket"])
def test_secrets_in_fields_that_are_passed_on_are_neither_shown_nor_stored(mode: str) -> None:
    with served() as (client, bodies):
        made = ask(client, mode, **HELD)
        assert bodies[0].count(b"sk-1") == 4  # the backend gets what the client sent
        for path in (
            f"/admin/responses/{made['id']}",
            f"/v1/responses/{made['id']}/log",
            f"/v1/responses/{made['id']}",
        ):
            whole = client.get(path)[1]
            assert "sk-1" not in json.dumps(whole)
        sent = client.get(f"/admin/responses/{made['id']}")[1]["sent"][0]["body"]
        assert sent["api_key"] == sent["extra_headers"] == "<redacted>"
        assert sent["vendor"] == {"routes": [{"to": "b"}]}
        parameters = client.get(f"/v1/responses/{made['id']}/log")[1]["parameters"]
        assert not {"api_key", "extra_headers"} & parameters.keys()
        for kept in (sent, parameters):
            assert (kept["guided"], kept["stop_after"]) == (HELD["guided"], 7)
