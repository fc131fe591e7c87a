"""A small asynchronous client for what the load generator does not do: streams that are opened and left, resumed, chained."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from bench.lab import PATH, PORT, request_body

PROMPT = "Write a haiku about the sea, then explain it in one sentence."


class Wire:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int = PORT) -> Wire:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024 * 1024))

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


async def opened(model: str, count: int, together: int = 100) -> list[Wire]:
    """Open streams, so many at a time, and wait for the first token of each."""
    body = request_body(model=model, input=PROMPT, stream=True, store=False)

    async def one() -> Wire:
        wire = await Wire.open()
        wire.send("POST", PATH, body)
        await wire.until(b"output_text.delta\ndata:")
        return wire

    wires: list[Wire] = []
    for begun in range(0, count, together):
        wires += await asyncio.gather(*(one() for _ in range(min(together, count - begun))))
    return wires


async def resumed(model: str, count: int, ramp: float, ports: Sequence[int] = (PORT,)) -> int:
    """Begin background streams, lose each after its first token, and follow it from there; return their number.

    With several servers, each is followed on another one than it was begun on. Raises RuntimeError for a stream without its end.
    """
    body = request_body(model=model, input=PROMPT, background=True, stream=True)

    async def one(place: int) -> None:
        await asyncio.sleep(ramp * place / count)
        lost = await Wire.open(ports[place % len(ports)])
        lost.send("POST", PATH, body)
        created = await lost.until(b'"object":"response"')
        id = re.findall(rb'"id":"(resp_\w+)"', created)[-1].decode()
        await lost.until(b"output_text.delta\ndata:")
        lost.close()
        wire = await Wire.open(ports[(place + 1) % len(ports)])
        wire.send("GET", f"{PATH}/{id}?stream=true&starting_after=4")
        if b"event: response.completed" not in await wire.until(b"data: [DONE]\n\n"):
            raise RuntimeError(f"{id} did not complete.")
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
