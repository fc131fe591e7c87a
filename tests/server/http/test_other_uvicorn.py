"""With a uvicorn whose insides nobody has read, plain ASGI serves the same."""

from __future__ import annotations

import json
import logging

import httpx2
import openai
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.sync.client import connect

from antiphon import BackendConfig, Config, create_app
from antiphon.server.http.uvicorn_protocol import DirectProtocol
from antiphon.server.process.run import make_server
from tests.server.serving import Served, serving

CONFIG = Config(store="memory", shutdown_grace=0, backends={"only": BackendConfig(api="scripted", url="http://unused")})


def server_for(version: str, monkeypatch: pytest.MonkeyPatch) -> uvicorn.Server:
    monkeypatch.setattr(uvicorn, "__version__", version)
    server = make_server(create_app(CONFIG), CONFIG)
    server.config.load()
    return server


def test_the_version_that_was_read_is_served_directly(monkeypatch, caplog):
    assert server_for("0.54.7", monkeypatch).config.http_protocol_class is DirectProtocol
    assert not caplog.records


@pytest.mark.parametrize("version", ["0.53.0", "0.55.0", "0.540.0", "1.0.0"])
def test_another_version_is_served_by_asgi_and_one_line_says_so(monkeypatch, caplog, version):
    with caplog.at_level(logging.WARNING):
        assert server_for(version, monkeypatch).config.http_protocol_class is HttpToolsProtocol
    (message,) = caplog.messages
    assert message.startswith(f"uvicorn {version} is not supported for direct socket writes")


def test_websockets_can_be_switched_off_as_well(monkeypatch):
    monkeypatch.setattr(uvicorn, "__version__", "9.9.9")
    server = make_server(create_app(CONFIG), Config(websocket=False))
    server.config.load()
    assert server.config.ws_protocol_class is None


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uvicorn, "__version__", "9.9.9")
    with serving(create_app(CONFIG), CONFIG) as running:
        yield running


def test_responses_are_streamed(served: Served):
    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none")
    with client.responses.stream(model="scripted", input="One two three.") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == "One two three."
    assert kinds.count("response.output_text.delta") == 3
    assert httpx2.get(f"{served.url}/v1/nothing").status_code == 404
    assert httpx2.head(f"{served.url}/").status_code == 200


def test_websocket_mode(served: Served):
    with connect(served.url.replace("http", "ws", 1) + "/v1/responses") as socket:
        socket.send(json.dumps({"type": "response.create", "model": "scripted", "input": "Four."}))
        events = [json.loads(socket.recv())]
        while events[-1]["type"] != "response.completed":
            events.append(json.loads(socket.recv()))
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Four."
