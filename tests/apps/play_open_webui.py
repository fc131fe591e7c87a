"""Open WebUI with a connection of each kind (Responses, chat completions): models, answers, tools of the caller and its own, pictures."""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from tests.apps.cases import case, run
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same

_STARTS_WITHIN = 300  # seconds: it makes its database first
_DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR42mP4z8BAEmIY1TCqYfhqAACQ+f8B8u7oVwAAAABJRU5ErkJggg=="
_TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}
_SETTINGS = {
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "for-the-tests",
    "OFFLINE_MODE": "True",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "RAG_EMBEDDING_ENGINE": "openai",
    "RAG_OPENAI_API_BASE_URL": "http://127.0.0.1:9/v1",
    "RAG_OPENAI_API_KEY": "none",
    "AUDIO_STT_ENGINE": "openai",
    "ENABLE_VERSION_UPDATE_CHECK": "False",
    "ENABLE_COMMUNITY_SHARING": "False",
    "ENABLE_OLLAMA_API": "False",
    "ENABLE_OPENAI_API": "True",
    "OPENAI_API_BASE_URLS": BASE_URL,
    "OPENAI_API_KEYS": API_KEY,
    "ENABLE_PERSISTENT_CONFIG": "True",
}


def started() -> str:
    """Start it with a database of its own; return its address."""
    home = Path(os.environ["HOME"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = (home / "open-webui.log").open("w")
    program = [str(Path(os.environ["FOLDER"]) / "bin/open-webui"), "serve", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, **_SETTINGS, "DATA_DIR": str(home / "data")}
    process = subprocess.Popen(program, cwd=home, env=environment, stdout=log, stderr=subprocess.STDOUT)
    atexit.register(process.kill)
    _ended.append(process.kill)
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.5)
    raise AssertionError((home / "open-webui.log").read_text()[-800:])


_ended: list[Any] = []
_url = os.environ.get("OPEN_WEBUI_URL") or started()  # one that runs already may be named
_token = ""


def call(method: str, path: str, body: Any = None) -> str:
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {_token}"} if _token else {})}
    request = urllib.request.Request(
        _url + path, None if body is None else json.dumps(body).encode(), headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(f"{error.code} {error.read().decode()[:400]}") from None


def asked(content: Any, **fields: Any) -> str:
    return call(
        "POST", "/api/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": content}], **fields}
    )


def words(streamed: str) -> str:
    """Return the text of its stream: chunks of chat completions, or the events of the Responses API as they came."""
    lines = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    chunks = [choice["delta"].get("content") or "" for line in lines for choice in line.get("choices", ())]
    return "".join(chunks) or "".join(
        line["delta"] for line in lines if line.get("type") == "response.output_text.delta"
    )


def saved(prompt: str, **fields: Any) -> str:
    """Ask within a saved chat, as its page does; return the answer that it has saved."""
    chat = {"title": "x", "models": [MODEL], "history": {"messages": {}, "currentId": None}, "messages": []}
    id = json.loads(call("POST", "/api/v1/chats/new", {"chat": chat}))["id"]
    answer = str(uuid.uuid4())
    asked(prompt, stream=True, chat_id=id, id=answer, session_id="s1", **fields)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message = json.loads(call("GET", f"/api/v1/chats/{id}"))["chat"]["history"]["messages"].get(answer, {})
        if message.get("done"):
            return str(message["content"])
        time.sleep(0.5)
    raise AssertionError(f"the chat has no answer: {message}")


def each(api_type: str, name: str) -> None:
    @case(f"connection and models, {name}")
    def connection() -> None:
        config = json.loads(call("GET", "/openai/config"))
        config["OPENAI_API_CONFIGS"] = {
            "0": {"enable": True, "api_type": api_type, "connection_type": "external", "auth_type": "bearer"}
        }
        call("POST", "/openai/config/update", config)
        models = json.loads(call("GET", "/api/models?refresh=true"))["data"]
        assert MODEL in [one["id"] for one in models], models

    @case(f"answer, {name}")
    def answer() -> None:
        has(asked(play("Hi", {"think": "T", "say": "hello there"}), stream=False), "hello there")

    @case(f"stream, {name}")
    def stream() -> None:
        same(words(asked(play("Hi", {"think": "T", "say": "hello there, friend"}), stream=True)), "hello there, friend")

    for streams in (False, True):

        @case(f"tool of the caller, {'streamed' if streams else 'whole'}, {name}")
        def tools(streams: bool = streams) -> None:
            said = asked(play("Add", {"call": [["add", {"a": 1}]]}), stream=streams, tools=[_TOOL])
            has(said, "add")
            assert "NO-SUCH-TOOL" not in said, said

    @case(f"picture, {name}")
    def picture() -> None:
        parts = [
            {"type": "text", "text": play("What?", {"say": "pictures {{images}}"})},
            {"type": "image_url", "image_url": {"url": _DOT}},
        ]
        has(asked(parts, stream=False), "pictures 1")

    @case(f"saved chat, {name}")
    def chat() -> None:
        has(saved(play("Hi", {"think": "T", "say": "kept hello"})), "kept hello")

    @case(f"its own two tools, {name}")
    def own() -> None:
        steps = (
            {"think": "T", "call": [["get_current_timestamp", {}], ["calculate_timestamp", {"days_ago": 1}]]},
            {"say": "END {{tool.0}} {{tool.1}}"},
        )
        said = saved(play("When?", *steps), params={"function_calling": "native"})
        has(said, "END ")
        assert "NO-" not in said, said


_token = json.loads(call("POST", "/api/v1/auths/signin", {"email": "", "password": ""}))["token"]
each("responses", "responses")
each("", "chat")
run(*_ended)
