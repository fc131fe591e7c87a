"""A Messages backend and its client over a real socket: what several test modules start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Raw

from antiphon.backends.anthropic.backend import AnthropicBackend
from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.request.tool_decoding import decode_tool
from tests.backends.anthropic.streams import message, sse, text
from tests.net.upstream import Call, Handler, Upstream, running

Json = dict[str, Any]
HELLO = message(text(0, "Hel", "lo"))
TOOL = decode_tool(Raw(b'{"type":"function","name":"f","strict":true,"parameters":{"type":"object","properties":{}}}'))


@asynccontextmanager
async def pair(
    handler: Handler, models: dict[str, ModelConfig] | None = None, learn: bool = True, **fields: Any
) -> AsyncIterator[tuple[AnthropicBackend, Upstream]]:
    async with running(handler) as upstream:
        settings: dict[str, Any] = {"url": upstream.url.removesuffix("/v1"), "key": "sk-x", "idle_timeout": 2}
        settings |= {"api": "anthropic", **fields}
        backend = AnthropicBackend("a", BackendConfig(**settings), models, learn=learn)
        try:
            yield backend, upstream
        finally:
            await backend.close()


async def play(call: Call) -> None:
    await call.start()
    await call.chunk(sse(HELLO))
    await call.end()
