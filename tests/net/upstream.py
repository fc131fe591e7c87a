"""A small HTTP server whose every byte a test decides: status, chunks, delays, breaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any


class Call:
    """A request as it arrived, and the means to answer it."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes, out: asyncio.StreamWriter) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.gone = asyncio.Event()
        self._out = out

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    async def raw(self, data: bytes) -> None:
        self._out.write(data)
        await self._out.drain()

    async def answer(
        self, body: object, status: int = 200, headers: Mapping[str, str] | None = None, type: str = "application/json"
    ) -> None:
        """Answer in one piece; what is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"{name}: {value}\r\n" for name, value in (headers or {}).items()]
        head = f"HTTP/1.1 {status} Any\r\ncontent-type: {type}\r\ncontent-length: {len(data)}\r\n{''.join(lines)}\r\n"
        await self.raw(head.encode() + data)

    async def start(self, type: str = "text/event-stream") -> None:
        await self.raw(f"HTTP/1.1 200 OK\r\ncontent-type: {type}\r\ntransfer-encoding: chunked\r\n\r\n".encode())

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, data: object) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        await self.chunk(f"data: {text}\n\n".encode())

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    def hang_up(self) -> None:
        """Close the connection now."""
        self._out.close()

    def reset(self) -> None:
        self._out.transport.abort()


Handler = Callable[[Call], Awaitable[None]]


class Upstream:
    """The running server: what it was asked, on how many connections."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.calls: list[Call] = []
        self.accepted = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def drop_connections(self) -> None:
        """Close all connections that are open."""
        for writer in list(self.open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open.add(writer)
        try:
            while (call := await _read(reader, writer)) is not None:
                self.calls.append(call)
                await self._answer(call, reader)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def _answer(self, call: Call, reader: asyncio.StreamReader) -> None:
        """Run the handler while watching for the client's leaving."""
        answering = asyncio.ensure_future(self.handler(call))
        try:
            while not answering.done():
                await asyncio.wait((answering,), timeout=0.01)
                if reader.at_eof() or reader.exception() is not None:
                    call.gone.set()
                    answering.cancel()
                    return
            answering.result()
        finally:
            answering.cancel()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Call | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode().split("\r\n")[:-2]
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(method, path, headers, body, writer)


@asynccontextmanager
async def running(handler: Handler, socket: str = "", port: int = 0) -> AsyncIterator[Upstream]:
    """Run a server on a free port of the loopback, or on a unix socket."""
    upstream = Upstream(handler)
    if socket:
        server: asyncio.Server = await asyncio.start_unix_server(upstream.serve, socket)
    else:
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", port)
        upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        await upstream.stop()
        await server.wait_closed()


async def until(condition: Callable[[], bool], seconds: float = 1.0) -> None:
    """Wait for a condition. Raises TimeoutError after some seconds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (any condition, not only those that have an event)
            await asyncio.sleep(0.005)
