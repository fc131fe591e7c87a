"""Antiphon inside a FastAPI application: its paths stand below /ai, the host's own beside them.

    uvicorn examples.mount_in_fastapi:host
    curl http://127.0.0.1:8000/ai/v1/responses -H 'content-type: application/json' -d '{"model": "scripted", "input": "Hello"}'

FastAPI and Starlette run no lifespan of what is mounted, so the host's own lifespan starts the server and closes it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from antiphon import BackendConfig, Config, create_app

config = Config(
    store="memory",
    backends={"example": BackendConfig(api="scripted", url="http://unused")},  # yours: BackendConfig(url="http://…/v1")
)
responses_api = create_app(config)


@asynccontextmanager
async def lifespan(host: FastAPI) -> AsyncIterator[None]:
    """Start the server before the first request, and close it after the last."""
    async with responses_api.running():
        yield


host = FastAPI(lifespan=lifespan)
host.mount("/ai", responses_api)


@host.get("/hello")
async def hello() -> dict[str, str]:
    """One of the host's own routes."""
    return {"hello": "world"}
