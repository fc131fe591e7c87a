"""A whole server in this process, spoken to as ASGI: thousands of requests in seconds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from antiphon.composition import app
from antiphon.config import BackendConfig, Config, ModelConfig
from antiphon.server.asgi import AntiphonApp

NOBODY = "http://127.0.0.1:9/v1"  # where nothing listens: requests are made and go nowhere
ENDINGS = (
    "error", "response.completed", "response.incomplete", "response.failed", "response.steer.failed", "response.steer.accepted",
)  # fmt: skip
PROFILES = ("openai", "vllm", "llama_cpp", "sglang")


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class LocalSocket:
    """The client's end of a WebSocket connection."""

    def __init__(self) -> None:
        self.arrived = asyncio.Queue[dict[str, Any]]()
        self.said = asyncio.Queue[dict[str, Any]]()
        self.closed: int | None = None
        self.arrived.put_nowait({"type": "websocket.connect"})

    async def take(self, message: Any) -> None:
        """Take what the server sends."""
        if message["type"] == "websocket.close":
            self.closed = message.get("code")
        elif message["type"] == "websocket.send":
            self.said.put_nowait(json.loads(message["text"], parse_int=float))  # numbers of any length come back

    async def ask(self, message: bytes) -> dict[str, Any]:
        """Send a message and return the event that ends its turn, or refuses it."""
        self.arrived.put_nowait({"type": "websocket.receive", "bytes": message})
        while True:
            event = await asyncio.wait_for(self.said.get(), 20)
            if event["type"] in ENDINGS:
                return event


class Local:
    """Sends requests to an application."""

    def __init__(self, application: AntiphonApp) -> None:
        self.app = application

    async def send(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and return the whole answer."""
        path, _, query = target.partition("?")
        given = {"host": "127.0.0.1", "content-type": "application/json", **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        }
        said: list[dict[str, Any]] = []
        arrived = asyncio.Queue[dict[str, Any]]()
        arrived.put_nowait({"type": "http.request", "body": body, "more_body": False})

        async def send(message: Any) -> None:
            said.append(message)

        await self.app(scope, arrived.get, send)
        return Answer(said[0]["status"], b"".join(message.get("body", b"") for message in said[1:]))

    @asynccontextmanager
    async def websocket(self) -> AsyncIterator[LocalSocket]:
        """Open a WebSocket connection, and close it in the end."""
        socket = LocalSocket()
        scope = {
            "type": "websocket",
            "path": "/v1/responses",
            "raw_path": b"/v1/responses",
            "headers": [(b"host", b"127.0.0.1")],
        }
        serving = asyncio.create_task(self.app(scope, socket.arrived.get, socket.take))
        try:
            yield socket
        finally:
            socket.arrived.put_nowait({"type": "websocket.disconnect", "code": 1000})
            await asyncio.wait_for(serving, 20)

    async def post(self, target: str, **fields: Any) -> Answer:
        """Post JSON."""
        return await self.send("POST", target, json.dumps(fields).encode())


def config(**settings: Any) -> Config:
    """Return settings: the scripted backend, and kinds of servers that are not there."""
    backends = {"scripted": BackendConfig(url=NOBODY, api="scripted")}
    models = {"scripted": ModelConfig(backends=["scripted"])}
    for profile in PROFILES:
        backends[profile] = BackendConfig(url=NOBODY, profile=profile, discover=False, break_after=0)
        models[profile] = ModelConfig(backends=[profile])
    backends["responses"] = BackendConfig(url=NOBODY, api="responses", discover=False, break_after=0)
    models["responses"] = ModelConfig(backends=["responses"])
    return Config(**{"store": "memory", "retries": 0, "backends": backends, "models": models, **settings})


@asynccontextmanager
async def local(**settings: Any) -> AsyncIterator[Local]:
    """Start an application and stop it in the end."""
    application = app.build(config(**settings))
    news = asyncio.Queue[dict[str, Any]]()
    started, stopped = asyncio.Event(), asyncio.Event()

    async def send(message: Any) -> None:
        assert "failed" not in message["type"], message
        (started if "startup" in message["type"] else stopped).set()

    news.put_nowait({"type": "lifespan.startup"})
    life = asyncio.create_task(application({"type": "lifespan"}, news.get, send))
    try:
        await asyncio.wait({asyncio.ensure_future(started.wait()), life}, return_when="FIRST_COMPLETED")
        assert started.is_set()
        yield Local(application)
    finally:
        news.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait_for(life, 20)
