"""The application inside another one: below a `root_path`, and with or without a lifespan."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

import httpx2
import openai
import pytest
import websockets.exceptions
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets.sync.client import connect

from antiphon import BackendConfig, Config, ConfigError, KeyConfig, create_app, load_config
from antiphon.backends.scripted import ScriptedBackend
from antiphon.server.http.asgi_exchange import path_below
from tests.server.serving import serving_any

SCRIPTED = {"only": BackendConfig(api="scripted", url="http://unused")}


def app(**settings):
    return create_app(Config(store="memory", backends=SCRIPTED, **settings))


def mounted(inner, path: str = "/ai", *, lifespan: bool = True) -> Starlette:
    @contextlib.asynccontextmanager
    async def running(host: Starlette) -> AsyncIterator[None]:
        async with inner.running():
            yield

    return Starlette(routes=[Mount(path, app=inner)], lifespan=running if lifespan else None)


@pytest.fixture(scope="module", params=["/ai", "/a/b c/ä"])
def url(request: pytest.FixtureRequest):
    with serving_any(mounted(app(), request.param)) as base:
        yield base + request.param.replace(" ", "%20").replace("ä", "%C3%A4")


def test_the_api_is_served_below_the_root_path(url: str):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    assert [model.id for model in client.models.list()] == ["scripted"]
    first = client.responses.create(model="scripted", input="One.")
    assert client.responses.retrieve(first.id).output_text == "One."
    with client.responses.stream(model="scripted", input="Two.", previous_response_id=first.id) as stream:
        assert stream.get_final_response().output_text == "Two."
    assert httpx2.get(f"{url}/models").json() == httpx2.get(f"{url}/v1/models").json()
    answer = httpx2.options(f"{url}/v1/responses")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")


def test_what_is_not_there_is_a_404_in_our_shape(url: str):
    answer = httpx2.get(f"{url}/v1/nothing")
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "Unknown path: /v1/nothing")


def test_the_page_and_its_files_are_served_below_the_root_path(url: str):
    page = httpx2.get(f"{url}/").text
    for file in ("playground/style.css", "playground/main.mjs"):
        assert f'"{file}"' in page
        assert httpx2.get(f"{url}/{file}").status_code == 200
    assert httpx2.get(f"{url}/docs").status_code == 200


def test_the_openapi_document_names_the_root_path(url: str):
    document = httpx2.get(f"{url}/openapi.json").json()
    (server,) = document["servers"]
    assert url.endswith(server["url"])
    assert httpx2.get(url.removesuffix(server["url"]) + server["url"] + "/v1/models").status_code == 200


def test_websocket_mode_is_served_below_the_root_path(url: str):
    with connect(url.replace("http", "ws", 1) + "/v1/responses") as socket:
        socket.send(json.dumps({"type": "response.create", "model": "scripted", "input": "Three."}))
        events = [json.loads(socket.recv())]
        while events[-1]["type"] != "response.completed":
            events.append(json.loads(socket.recv()))
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Three."


def test_a_websocket_to_another_path_is_refused(url: str):
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught, connect(url.replace("http", "ws", 1) + "/v1/x"):
        pass
    assert caught.value.response.status_code == 404


@pytest.mark.parametrize(
    ("root", "raw", "below"),
    [
        ("", b"/v1/models", b"/v1/models"),
        ("/ai", b"/ai/v1/models", b"/v1/models"),
        ("/ai/", b"/ai/v1/models", b"/v1/models"),
        ("/ai", b"/ai", b"/"),
        ("/ai", b"/ai/", b"/"),
        ("/ai", b"/v1/models", b"/v1/models"),  # a server that cuts the root off
        ("/ai", b"/aim/models", b"/aim/models"),
        ("/a/b", b"/a%2Fb/models/x%2Fy", b"/models/x%2Fy"),
        ("/ä", b"/%C3%A4/v1", b"/v1"),
        ("/a", b"/a/a/models", b"/a/models"),
    ],
)
def test_a_path_below_the_root(root: str, raw: bytes, below: bytes):
    assert path_below({"path": "unused", "raw_path": raw, "root_path": root}) == below


def test_a_path_without_its_raw_form_is_encoded():
    assert path_below({"path": "/ai/models/a b", "root_path": "/ai"}) == b"/models/a%20b"


async def ask(inner, method: str, path: str, **request) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=inner)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, **request)


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models"), ("POST", "/v1/responses"), ("GET", "/")])
async def test_without_a_lifespan_every_request_is_an_error_that_says_why(method: str, path: str, caplog):
    inner = mounted(app(), lifespan=False)
    with caplog.at_level(logging.ERROR, "antiphon"):
        for _ in range(2):
            answer = await ask(inner, method, f"/ai{path}")
            assert answer.status_code == 500
            assert answer.json()["error"]["code"] == "not_started"
            assert "app.running()" in answer.json()["error"]["message"]
    assert [record.getMessage() for record in caplog.records if "app.running()" in record.getMessage()] == [
        "application not started: requests are refused: " + answer.json()["error"]["message"]
    ]


def test_without_a_lifespan_a_websocket_is_refused():
    with serving_any(mounted(app(), lifespan=False)) as base:
        url = base.replace("http", "ws", 1) + "/ai/v1/responses"
        with pytest.raises(websockets.exceptions.InvalidStatus) as caught, connect(url):
            pass
    assert caught.value.response.status_code == 500


async def test_a_handshake_is_refused_on_servers_that_cannot_answer_one():
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    inner = app()
    async with inner.running():
        await inner({"type": "websocket", "path": "/nothing", "headers": [(b"host", b"localhost")]}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_it_runs_once():
    inner = app()
    async with inner.running() as same:
        assert same is inner
        assert (await ask(inner, "GET", "/v1/models")).json()["data"]
        with pytest.raises(RuntimeError, match="runs already"):
            async with inner.running():
                pass
    assert (await ask(inner, "GET", "/v1/models")).status_code == 503
    with pytest.raises(RuntimeError, match="was closed"):
        async with inner.running():
            pass


async def test_a_second_lifespan_is_told_that_it_runs():
    sent = []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    inner = app()
    async with inner.running():
        await inner({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": "This Antiphon application runs already."}]


# create_app


def test_the_rules_of_the_command_hold():
    with pytest.raises(ConfigError, match=r"host: '0\.0\.0\.0' can be reached"):
        create_app(Config(host="0.0.0.0"))
    with pytest.raises(ConfigError, match="same key as"):
        app(keys={"a": KeyConfig(key="same"), "b": KeyConfig(key="same")})


def test_the_settings_handed_in_stay_as_they_are():
    config = Config(store="memory", backends=SCRIPTED)
    create_app(config)
    assert config == Config(store="memory", backends=SCRIPTED)


async def test_without_a_backend_it_serves_the_demo_model():
    config = Config(store="memory")
    async with create_app(config).running() as inner:
        assert [one["id"] for one in (await ask(inner, "GET", "/v1/models")).json()["data"]] == ["antiphon-demo"]
    assert config.engine is None


class Unloadable(ScriptedBackend):
    """A backend whose model cannot be loaded."""

    def start(self) -> None:
        pass

    async def ready(self) -> None:
        raise ConfigError("the model is broken")


async def test_a_model_that_cannot_be_loaded_does_not_stop_the_host(monkeypatch, caplog):
    monkeypatch.setattr("antiphon.composition.app.make_backends", lambda config: {"engine": Unloadable("engine")})
    async with app().running() as inner:
        await asyncio.sleep(0.01)
        assert (await ask(inner, "GET", "/health")).status_code == 200
    assert (inner.failure, "the model is broken" in caplog.messages) == ("the model is broken", True)


def test_a_file_of_settings_is_read_by_the_rules_of_the_command(tmp_path, monkeypatch):
    file = tmp_path / "antiphon.toml"
    file.write_text('store = "memory"\n[backends.only]\nurl = "http://unused"\napi = "scripted"\n')
    monkeypatch.setenv("ANTIPHON_PORT", "81")
    assert (load_config(file).port, load_config(file).store) == (81, "memory")
    monkeypatch.chdir(tmp_path)
    assert load_config() == load_config(file)
    assert create_app().router.routes
    file.write_text("prot = 1")
    with pytest.raises(ConfigError, match="did you mean 'port'"):
        create_app()
