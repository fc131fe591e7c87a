"""The embedded engine with the demo model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from antiphon.backends.chat.backend import ChatBackend
from antiphon.backends.llama.backend import LlamaCppBackend
from antiphon.backends.llama.model import find_model
from antiphon.config import BackendConfig, EngineConfig
from antiphon.core.deltas import Delta, UsageReport
from antiphon.core.turn import Turn
from antiphon.net.http.address import parse_url
from antiphon.net.http.client import HttpClient
from antiphon.types.response import Usage
from tests.backends.turns import read_all, turn

ENDLESS = {"ignore_eos": msgspec.Raw(b"true")}


class Sockets:
    """Makes the chat backend as usual, and remembers where the socket is."""

    path = ""

    def __call__(self, path: str) -> ChatBackend:
        self.path = path
        return ChatBackend("engine", BackendConfig(url="http://engine/v1", profile="llama_cpp"), socket=path)

    async def get(self, path: str) -> Any:
        client = HttpClient(parse_url("http://engine", self.path))
        try:
            response = await client.send("GET", path)
            body = b""
            while piece := await response.read():
                body += piece
            return json.loads(body)
        finally:
            await client.close()


@asynccontextmanager
async def engine(sockets: Sockets | None = None, **settings: Any) -> AsyncIterator[LlamaCppBackend]:
    patience = settings.pop("patience", 20.0)
    config = EngineConfig(**({"threads": 1, "parallel": 2} | settings))
    backend = LlamaCppBackend(config, find_model(config), connect=sockets, patience=patience)
    try:
        yield backend
    finally:
        await backend.close()


async def ask(backend: LlamaCppBackend, *texts: str, **fields: Any) -> list[Delta]:
    return await read_all(await backend.open(greedy(*texts, **fields)))


def greedy(*texts: str, **fields: Any) -> Turn:
    return turn(*texts, **({"temperature": 0.0, "max_output_tokens": 200} | fields))


def usage_of(deltas: list[Delta]) -> Usage:
    return next(delta.usage for delta in reversed(deltas) if isinstance(delta, UsageReport))
