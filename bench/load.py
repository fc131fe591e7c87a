"""A small asynchronous client for what the load generator does not do: streams that are opened and left, resumed, chained."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from bench.lab import PATH, PORT, request_body

PROMPT = "Write a haiku about the sea, then explain it in one sentence."


class Wire:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls) -> Wire:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", PORT, limit=64 * 1024 * 1024))

    def send(self, method: str, path: str, body: bytes = b"") -> None:
        """Write a request."""
        fields = f"host: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        head = f"{method} {path} HTTP/1.1\r\n{fields}\r\n\r\n"
        self._writer.write(head.encode() + body)

    async def until(self, mark: bytes) -> bytes:
        """Read up to a mark."""
        return await self._reader.readuntil(mark)

    async def answer(self) -> Any:
        """Read a whole JSON answer."""
        head = await self.until(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("latin-1"))
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return json.loads(await self._reader.readexactly(int(length.split(b":")[1])))

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def hold_open(model: str, count: int, look: Callable[[], float]) -> float:
    """Open streams, wait for the first token of each, look, and close them."""
    body = request_body(model=model, input=PROMPT, stream=True, store=False)

    async def one() -> Wire:
        wire = await Wire.open()
        wire.send("POST", PATH, body)
        await wire.until(b"output_text.delta\ndata:")
        return wire

    wires: list[Wire] = []
    for _ in range(0, count, 50):
        wires += await asyncio.gather(*(one() for _ in range(50)))
    found = look()
    for wire in wires:
        wire.close()
    return found


async def resumed(model: str, count: int, ramp: float) -> int:
    """Begin background streams, lose each after its first token, and follow it from there; return their number."""
    body = request_body(model=model, input=PROMPT, background=True, stream=True)

    async def one(place: int) -> None:
        await asyncio.sleep(ramp * place / count)
        lost = await Wire.open()
        lost.send("POST", PATH, body)
        created = await lost.until(b'"object":"response"')
        id = re.findall(rb'"id":"(resp_\w+)"', created)[-1].decode()
        await lost.until(b"output_text.delta\ndata:")
        lost.close()
        wire = await Wire.open()
        wire.send("GET", f"{PATH}/{id}?stream=true&starting_after=4")
        await wire.until(b"data: [DONE]\n\n")
        wire.close()

    await asyncio.gather(*(one(place) for place in range(count)))
    return count


async def conversation(model: str, turns: int, after: Callable[[int], None]) -> None:
    """Chain turns with `previous_response_id`; `after` is called with the number of turns that are done."""
    wire, previous = await Wire.open(), None
    for turn in range(turns):
        wire.send("POST", PATH, request_body(model=model, input=PROMPT, previous_response_id=previous))
        previous = (await wire.answer())["id"]
        after(turn + 1)
    wire.close()
