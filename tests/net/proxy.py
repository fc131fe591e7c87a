"""A small proxy: CONNECT, plain requests in absolute form, SOCKS 5; it notes what it is asked for, and where names lead."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from antiphon.net.proxies import Proxy


class ForwardProxy:
    """`names` are hosts that only the proxy can find. With a `password` it wants one."""

    def __init__(self, names: Mapping[str, str], password: str = "") -> None:
        self.names = names
        self.password = password
        self.asked: list[str] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def proxy(self, scheme: str = "http") -> Proxy:
        user = ("user", self.password) if self.password else ("", "")
        return Proxy(scheme, "127.0.0.1" if scheme != "https" else "localhost", self.port, *user)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.readexactly(1)
            if first == b"\x05":
                await self._socks(reader, writer)
            else:
                await self._http(first + await reader.readuntil(b"\r\n\r\n"), reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _http(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, _, rest = head.partition(b"\r\n")
        method, target, _ = line.decode().split(" ")
        self.asked.append(f"{method} {target}")
        basic = f"Basic {base64.b64encode(f'user:{self.password}'.encode()).decode()}"
        lines = [one for one in rest.split(b"\r\n") if not one.lower().startswith(b"proxy-authorization:")]
        if self.password and basic.encode() not in rest:
            writer.write(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")
            return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            there = await self._open(host.strip("[]"), int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            authority, _, path = target.removeprefix("http://").partition("/")
            host, _, port = authority.partition(":")
            there = await self._open(host, int(port or 80))
            there[1].write(f"{method} /{path} HTTP/1.1\r\n".encode() + b"\r\n".join(lines))
        await _pass_on(reader, writer, *there, b"" if method == "CONNECT" else f" http://{authority}".encode())

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        method = 2 if self.password else 0
        writer.write(bytes((5, method if method in methods else 255)))
        if method:
            _, size = await reader.readexactly(2)
            user = await reader.readexactly(size)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            good = (user, password) == (b"user", self.password.encode())
            writer.write(bytes((1, not good)))
            if not good:
                return
        _, _, _, kind = await reader.readexactly(4)
        raw = await reader.readexactly((await reader.readexactly(1))[0] if kind == 3 else {1: 4, 4: 16}[kind])
        host = raw.decode() if kind == 3 else str(ipaddress.ip_address(raw))
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append(f"SOCKS {host}:{port}")
        try:
            there = await self._open(host, port)
        except OSError:
            writer.write(b"\x05\x04\x00\x01\0\0\0\0\0\0")
            return
        writer.write(b"\x05\x00\x00\x03\x04here\x00\x01")
        await _pass_on(reader, writer, *there)

    async def _open(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.names.get(host, host), port)


async def _pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
    absolute: bytes = b"",
) -> None:
    """Carry bytes both ways; `absolute` is what stands before the path in further requests."""

    async def one_way(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data.replace(absolute, b" ", 1) if absolute else data)
            await sink.drain()
        sink.close()

    try:
        await asyncio.gather(one_way(reader, far_writer), one_way(far_reader, writer))
    finally:
        far_writer.transport.abort()


@asynccontextmanager
async def proxying(
    names: Mapping[str, str] | None = None, password: str = "", tls: ssl.SSLContext | None = None
) -> AsyncIterator[ForwardProxy]:
    """Run a proxy; with `tls` it is spoken to in TLS."""
    proxy = ForwardProxy(names or {}, password)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
