"""Hostile values in WebSocket messages: each is answered, none closes the connection, none is an error of the server's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from antiphon.runtime import unexpected_errors
from tests.hostile.samples import CHOICES, HOSTILE, attacks, items, tools
from tests.hostile.server import local

STRIDE = 97


def _messages() -> Iterator[bytes]:
    create = {
        "type": "response.create",
        "model": "scripted",
        "input": "hi",
        "store": False,
        "stream_id": "a",
        "generate": True,
    }
    yield from (attack.text for attack in attacks("create", create))
    steer = {"type": "response.steer", "previous_response_id": "resp_1", "input": [{"role": "user", "content": "hi"}]}
    yield from (attack.text for attack in attacks("steer", steer))
    for number, attack in enumerate(attack for name, one in items().items() for attack in attacks(name, one)):
        if number % STRIDE == 0:
            yield b'{"type":"response.create","model":"scripted","store":false,"input":[%b]}' % attack.text
    for number, attack in enumerate(
        attack for name, one in {**tools(), **CHOICES}.items() for attack in attacks(name, one)
    ):
        if number % STRIDE == 0:
            yield b'{"type":"response.create","model":"scripted","store":false,"input":"hi","tools":[%b]}' % attack.text
    yield from HOSTILE.values()
    yield b""


def test_no_message_ends_a_connection() -> None:
    async def run() -> list[str]:
        found = []
        async with local() as server, server.websocket() as socket:
            for message in _messages():
                event = await socket.ask(message)
                error = event.get("error") or event.get("response", {}).get("error") or {}
                if (event["type"] == "error" and event["status"] >= 500) or error.get("code") in (
                    "server_error",
                    "internal_error",
                ):
                    found.append(f"{message[:200]!r}: {event}")
                assert socket.closed is None, message[:200]
        return found

    before = sum(unexpected_errors.counts().values())
    assert not asyncio.run(run())
    assert sum(unexpected_errors.counts().values()) == before
