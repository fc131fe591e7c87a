"""Limits of relayed chat completions: what they use is read off while it passes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from antiphon.access.limits import Demand
from antiphon.composition import app
from antiphon.config import BackendConfig, Config, KeyConfig, ModelConfig
from antiphon.server.api.chat.meter import demand
from tests.net.upstream import Call
from tests.net.upstream import running as upstream
from tests.server.serving import serving

USAGE = {"prompt_tokens": 400, "completion_tokens": 200, "prompt_tokens_details": {"cached_tokens": 100}}
PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"usage"}}]}\n\n'


@asynccontextmanager
async def relay(handler: Callable[[Call], Awaitable[None]], *limits: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Put a client with limits, the whole server and an upstream in a row."""
    async with upstream(handler) as backend:
        config = Config(
            store="memory",
            shutdown_grace=1.0,
            keys={"k": KeyConfig(key="k", limits=list(limits))},
            backends={"b": BackendConfig(url=backend.url, discover=False)},
            models={"nova": ModelConfig(backends=["b"], price_input=1000, price_output=1000, price_cached=0)},
        )
        with serving(app.build(config), config) as served:
            async with httpx2.AsyncClient(base_url=served.url, headers={"x-api-key": "k"}, timeout=10) as client:
                yield client


async def ask(client: httpx2.AsyncClient, **fields: Any) -> httpx2.Response:
    body = {"model": "nova", "messages": [{"role": "user", "content": "hi"}], **fields}
    return await client.post("/v1/chat/completions", json=body)


async def whole(call: Call) -> None:
    await call.answer({"choices": [], "usage": USAGE})


def streaming(*pieces: bytes) -> Callable[[Call], Awaitable[None]]:
    async def handler(call: Call) -> None:
        await call.start()
        for piece in pieces:
            await call.chunk(piece)
            await asyncio.sleep(0.001)
        await call.end()

    return handler


LAST = b'data: {"choices":[],"usage":%b}\n\n' % json.dumps(USAGE).encode()
DONE = b"data: [DONE]\n\n"
USED = 600
SEEN = {
    "whole": (whole, {}, USED),
    "streamed with usage": (streaming(*[PIECE] * 5, LAST, DONE), {"stream": True}, USED),
    "usage cut into pieces": (streaming(PIECE, LAST[:30], LAST[30:], DONE[:9], DONE[9:]), {"stream": True}, USED),
    "streamed without usage": (streaming(*[PIECE] * 50, DONE), {"stream": True}, 17 + 51),
}


@pytest.mark.parametrize("case", SEEN)
async def test_what_was_used_is_settled(case: str) -> None:
    handler, fields, used = SEEN[case]
    async with relay(handler, "10000 tokens/min") as client:
        begun = time.monotonic()
        first = await ask(client, max_tokens=5000, **fields)
        assert first.status_code == 200
        assert int(first.headers["x-ratelimit-remaining-tokens"]) < 5000
        left = int((await ask(client, max_tokens=1, **fields)).headers["x-ratelimit-remaining-tokens"])
    refilled = 10_000 / 60 * (time.monotonic() - begun)
    assert 10_000 - used - 40 < left <= 10_000 - used + 20 + refilled


async def test_requests_budgets_and_places() -> None:
    async with relay(whole, "4 requests/min", "1 streams", "1 cost/day") as client:
        answers = [await ask(client) for _ in range(4)]
        # 300 fresh and 200 made tokens: half of the budget each time
        assert [answer.status_code for answer in answers] == [200, 200, 402, 402]
        assert answers[0].headers["x-ratelimit-remaining-requests"] == "3"
        assert answers[2].json()["error"]["code"] == "insufficient_quota"


async def test_a_refused_request_costs_nothing() -> None:
    async def refuse(call: Call) -> None:
        await call.answer({"error": {"message": "too hot"}}, status=400)

    async with relay(refuse, "1000 tokens/min", "1 streams") as client:
        assert [(await ask(client, max_tokens=900)).status_code for _ in range(3)] == [400] * 3


@pytest.mark.slow
async def test_a_backend_that_is_away_costs_nothing() -> None:
    async def hang_up(call: Call) -> None:
        call.hang_up()

    async with relay(hang_up, "1000 tokens/min", "1 streams") as client:
        assert [(await ask(client, max_tokens=900)).status_code for _ in range(3)] == [502] * 3


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({}, None),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8, "max_tokens": 7}, 8),
        ({"max_completion_tokens": None, "max_tokens": 7}, 7),
        ({"max_tokens": "many"}, None),
    ],
)
def test_what_a_request_will_use(fields: dict[str, Any], most: int | None) -> None:
    import msgspec

    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    assert demand(b"x" * 400, raw) == Demand(100, most)
