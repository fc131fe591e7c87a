"""Kinds of backends, tool servers and stores that other packages add: the examples, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import re

import httpx2
import pytest
from examples.custom_backend import ShoutStream

from antiphon import (
    BackendConfig,
    CallDelta,
    CallStart,
    Config,
    ConfigError,
    Finish,
    FinishReason,
    McpServerConfig,
    RemoteTool,
    Store,
    ToolOutput,
    Turn,
    create_app,
    load_config,
)
from antiphon.backends.scripted import ScriptedBackend
from antiphon.stores.open import open_store
from tests.examples.packages import add_package

SHOUT = {"antiphon.backends": "shout = examples.custom_backend:ShoutBackend"}
CLOCK = {"antiphon.tools": "clock = examples.custom_tool:Clock"}
SCRIPTED = {"only": BackendConfig(api="scripted", url="http://unused")}


async def post(app, path: str, body: object) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.post(path, json=body)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return request.param


async def respond(app, body: dict[str, object], *, streamed: bool = False) -> dict:
    answer = await post(app, "/v1/responses", {**body, "stream": streamed})
    assert answer.status_code == 200, answer.text
    if not streamed:
        return answer.json()
    return json.loads(re.findall(r"data: (\{.*)", answer.text)[-1])["response"]


# Backends


async def test_a_backend_of_another_package_answers(tmp_path, monkeypatch, streamed):
    add_package(tmp_path, monkeypatch, SHOUT)
    file = tmp_path / "antiphon.toml"
    file.write_text('store = "memory"\n[backends.loud]\napi = "shout"\nurl = "shout:"\noptions = {mark = "!"}\n')
    async with create_app(load_config(file)).running() as app:
        response = await respond(app, {"model": "shout", "input": "hello you"}, streamed=streamed)
        refused = await post(app, "/v1/chat/completions", {"model": "shout", "messages": []})
    assert response["output"][0]["content"][0]["text"] == "HELLO YOU !"
    assert refused.json()["error"]["code"] == "unsupported_model"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            Config(backends={"a": BackendConfig(api="shuot", url="x:")}),
            "backends.a.api: 'shuot' is not known, and no package adds it (antiphon.backends); did you mean 'shout'?",
        ),
        (
            Config(backends={"a": BackendConfig(api="broken", url="x:")}),
            "cannot be imported: No module named 'nowhere'",
        ),
        (Config(backends={"a": BackendConfig(api="value", url="x:")}), "'value' (string:digits) is not callable"),
        (Config(backends={"a": BackendConfig(api="twice", url="x:")}), "several packages add 'twice': "),
        (
            Config(backends=SCRIPTED, mcp_servers={"t": McpServerConfig(kind="nothing")}),
            "mcp_servers.t.kind: 'nothing' is not known, and no package adds it (antiphon.tools); known: mcp",
        ),
        (Config(backends=SCRIPTED, mcp_servers={"t": McpServerConfig()}), "expected either a command or a url"),
        (
            Config(backends=SCRIPTED, store="redis://x"),
            "store: 'redis' is not known, and no package adds it (antiphon.stores); known: postgresql, postgres",
        ),
    ],
)
def test_a_kind_that_cannot_be_had_stops_the_start(tmp_path, monkeypatch, config, message):
    lines = "shout = a:b\nbroken = nowhere:Thing\nvalue = string:digits\ntwice = one:One"
    add_package(tmp_path, monkeypatch, {"antiphon.backends": lines})
    (tmp_path / "other").mkdir()
    add_package(tmp_path / "other", monkeypatch, {"antiphon.backends": "twice = two:Two"}, "other")
    config.store = "memory" if "://" not in config.store else config.store
    with pytest.raises(ConfigError, match=re.escape(message)):
        create_app(config)


def test_nothing_is_looked_up_for_kinds_that_are_built_in(monkeypatch):
    def entry_points(**_: object):
        raise AssertionError("looked up")

    monkeypatch.setattr("antiphon.config.plugins.entry_points", entry_points)
    create_app(Config(store="memory", backends=SCRIPTED, mcp_servers={"m": McpServerConfig(command="mcp")}))


# Tools

TIME = {"type": "mcp", "server_label": "time", "require_approval": "never"}


class Calling(ScriptedBackend):
    """A backend that makes the calls of `options.calls`, then says that it is done."""

    def __init__(self, name: str, config: BackendConfig, models: object) -> None:
        super().__init__(name)
        self._calls = config.options["calls"]

    async def open(self, turn: Turn) -> ShoutStream:  # type: ignore[override]
        stream = ShoutStream(["done"], "")
        if not any("mcp_call" in str(item) for item in turn.items):
            starts = [CallStart(f"c{i}", f"c{i}", name, "mcp", "time") for i, (name, _) in enumerate(self._calls)]
            texts = [CallDelta(f"c{i}", text) for i, (_, text) in enumerate(self._calls)]
            stream._deltas = [*starts, *texts, Finish(FinishReason("tool_calls"))]
        return stream


def with_tool(*calls: tuple[str, str], **settings) -> Config:
    return Config(
        store="memory",
        backends={"only": BackendConfig(api="calling", url="x:", options={"calls": calls})},
        mcp_servers={"time": McpServerConfig(kind="clock", **settings)},
    )


CALLING = {"antiphon.backends": f"calling = {__name__}:Calling"}
FAULTY = {**CALLING, "antiphon.tools": f"clock = {__name__}:Faulty"}


async def test_a_tool_of_another_package_is_called(tmp_path, monkeypatch, streamed):
    add_package(tmp_path, monkeypatch, {**CALLING, **CLOCK})
    calls = ("now", '{"zone": "Asia/Tokyo"}'), ("now", '{"zone": "Nowhere"}')
    body = {"model": "scripted", "input": "Hi", "tools": [TIME]}
    async with create_app(with_tool(*calls, options={"zones": ["Asia/Tokyo"]})).running() as app:
        response = await respond(app, body, streamed=streamed)
    listing, *calls = response["output"]
    assert (listing["type"], [tool["name"] for tool in listing["tools"]]) == ("mcp_list_tools", ["now"])
    assert [call["name"] for call in calls if call["type"] == "mcp_call"] == ["now", "now"]
    assert re.fullmatch(r"\d\d:\d\d in Asia/Tokyo", calls[0]["output"])
    assert "There is no zone 'Nowhere'." in json.dumps(calls[1])


class Faulty:
    """A tool server that does what `options.does` says."""

    def __init__(self, label: str, config: McpServerConfig) -> None:
        self._does = config.options["does"]

    async def list(self):
        if self._does == "fail":
            raise ValueError("secret words")
        names = ["a", "a"] if self._does == "doubles" else [str(i) for i in range(3)]
        return [RemoteTool(server_label="mine", name=name) for name in names]

    async def call(self, name: str, arguments: str) -> ToolOutput:
        if self._does == "hang":
            await asyncio.sleep(60)
        return ToolOutput("x" * 2000)

    async def close(self) -> None:
        raise ValueError("no")


@pytest.mark.parametrize(
    ("does", "words"),
    [("fail", "The tool server 'time' failed: ValueError"), ("doubles", "it lists two tools named 'a'")],
)
async def test_a_tool_server_that_fails_to_list_is_a_424(tmp_path, monkeypatch, does, words):
    add_package(tmp_path, monkeypatch, FAULTY)
    async with create_app(with_tool(options={"does": does})).running() as app:
        answer = await post(app, "/v1/responses", {"model": "scripted", "input": "Hi", "tools": [TIME]})
    assert answer.status_code == 424
    assert words in answer.json()["error"]["message"]
    assert "secret words" not in answer.text


@pytest.mark.parametrize(
    ("does", "words"), [("hang", "did not answer within 0.2 seconds"), ("talk", "its answer has more than 1024 bytes")]
)
async def test_a_call_has_the_bounds_of_mcp_servers(tmp_path, monkeypatch, does, words):
    add_package(tmp_path, monkeypatch, FAULTY)
    config = with_tool(("1", "{}"), options={"does": does}, allowed_tools=["1"])
    config.mcp_timeout, config.mcp_max_answer = 0.2, 1024
    async with create_app(config).running() as app:
        response = await respond(app, {"model": "scripted", "input": "Hi", "tools": [TIME]})
    assert [tool["name"] for tool in response["output"][0]["tools"]] == ["1"]
    assert words in json.dumps(response["output"][1]["error"])


# Stores


OPENED: list[str] = []


def remember(url: str) -> Store:
    """Return a store of a URL's."""
    OPENED.append(url)
    return open_store("memory")


async def test_a_store_of_another_package_keeps_responses(tmp_path, monkeypatch):
    add_package(tmp_path, monkeypatch, {"antiphon.stores": f"remember = {__name__}:remember"})
    settings = Config(store="remember://here", secret="s" * 32, backends=SCRIPTED)
    async with create_app(settings).running() as app:
        response = await respond(app, {"model": "scripted", "input": "Hi"})
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get(f"/v1/responses/{response['id']}")).json() == response
    assert OPENED == ["remember://here"]
    with pytest.raises(ConfigError, match="secret: must be set"):
        create_app(Config(store="remember://here", backends=SCRIPTED))


async def test_the_example_keeps_files_in_a_folder_and_all_else_in_a_database(tmp_path, monkeypatch):
    add_package(tmp_path, monkeypatch, {"antiphon.stores": "folder = examples.custom_store:open_folder"})
    settings = Config(store=f"folder://{tmp_path}/kept", secret="s" * 32, backends=SCRIPTED)
    async with create_app(settings).running() as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            response = await respond(app, {"model": "scripted", "input": "Hi"})
            assert (await client.get(f"/v1/responses/{response['id']}")).json() == response
            form = {"files": {"file": ("a.txt", b"text")}, "data": {"purpose": "user_data"}}
            first = (await client.post("/v1/files", **form)).json()
            second = (await client.post("/v1/files", **form)).json()
            path = f"/v1/files/{first['id']}"
            assert (tmp_path / "kept" / "files" / first["id"]).read_bytes() == b"text"
            assert (await client.get(f"{path}/content")).content == b"text"
            listed = (await client.get("/v1/files?limit=1")).json()
            assert ([file["id"] for file in listed["data"]], listed["has_more"]) == ([second["id"]], True)
            assert (await client.get("/v1/files/..%2Fantiphon")).status_code == 404
            assert (await client.delete(path)).json()["deleted"]
            assert (await client.get(path)).status_code == 404
