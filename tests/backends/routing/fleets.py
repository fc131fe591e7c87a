"""Backends over real connections, in a registry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from antiphon.backends.base import Backend, BackendHealth, RoutedStream
from antiphon.backends.open import open_backend
from antiphon.backends.routing.registry import Registry
from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.turn import Hints
from antiphon.types.request import CreateResponse
from tests.backends.turns import read_all, text_of, turn
from tests.net.upstream import Call, Upstream, running


class Server:
    """A chat completions server that says its name. `broken` is the status that it answers with instead."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.broken = 0
        self.silent = False
        self.retry_after = ""
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[str] = []
        self.looks = 0
        self.at_once = self.most_at_once = 0

    async def __call__(self, call: Call) -> None:
        if call.method == "GET":
            self.looks += 1
            if self.silent:
                call.reset()
            else:
                await call.answer({"data": [{"id": "m"}]})
            return
        self.asked.append(call.json["messages"][-1]["content"])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
            await self._answer(call)
        finally:
            self.at_once -= 1

    async def _answer(self, call: Call) -> None:
        if self.silent:
            call.reset()
        elif self.broken:
            headers = {"retry-after": self.retry_after} if self.retry_after else {}
            await call.answer({"error": {"message": "no"}}, self.broken, headers)
        else:
            await call.start()
            await call.event({"choices": [{"index": 0, "delta": {"content": self.name}}]})
            await call.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            await call.event("[DONE]")
            await call.end()


class Fleet:
    """Some servers and the registry in front of them; `m` is what all serve."""

    def __init__(self, servers: Sequence[Server], upstreams: Sequence[Upstream], registry: Registry) -> None:
        self.servers = servers
        self.upstreams = upstreams
        self.registry = registry

    async def ask(self, text: str = "hi", *, model: str = "m", key: str = "", **hints: str) -> str:
        """Make a call and return who answered."""
        return text_of(await read_all(await self.open(text, model=model, key=key, **hints)))

    async def open(self, text: str = "hi", *, model: str = "m", key: str = "", **hints: str) -> RoutedStream:
        request = CreateResponse(model=model, input="…", prompt_cache_key=key or None)
        return await self.registry.resolve(model).open(turn(text, model=model, request=request, hints=Hints(**hints)))

    def health(self, name: str) -> BackendHealth:
        return next(one for one in self.registry.health() if one.name == name)


@asynccontextmanager
async def fleet(
    names: str = "a", models: dict[str, ModelConfig] | None = None, retries: int = 0, **settings: Any
) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        servers = [Server(name) for name in names]
        upstreams = [await stack.enter_async_context(running(server)) for server in servers]
        configs = {
            server.name: BackendConfig(url=upstream.url, **settings)
            for server, upstream in zip(servers, upstreams, strict=True)
        }
        backends: dict[str, Backend] = {name: open_backend(name, config) for name, config in configs.items()}
        known = Registry(models or {}, backends, settings=configs, retries=retries)
        await known.start()
        try:
            yield Fleet(servers, upstreams, known)
        finally:
            await known.close()
            assert all(one.outstanding == 0 and one.waiting == 0 for one in known.health())
