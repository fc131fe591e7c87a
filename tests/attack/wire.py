"""A fast client for hostile bytes: HTTP/1.1 over kept connections, and WebSocket frames of any kind."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections import deque
from typing import NamedTuple

import httptools


class Answer(NamedTuple):
    """One answer. `status` 0: none came; `whole`: it came to its end."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    whole: bool


NONE = Answer(0, {}, b"", False)


class _Reader(asyncio.Protocol):
    """Collects the answers of one connection."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.news = asyncio.Event()
        self.closed = False
        self.raw = 0
        self.rest = bytearray()  # what follows an upgrade
        self.upgraded = False
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._in_answer = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.raw += len(data)
        if self.upgraded:
            self.rest += data
            self.news.set()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.upgraded = True
            self.rest += data[upgrade.args[0] :]
            self.news.set()
        except httptools.HttpParserError:
            self.closed = True
            self.news.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._in_answer and self._headers:
            self._end(whole=b"content-length" not in self._headers and b"transfer-encoding" not in self._headers)
        self.news.set()

    def on_message_begin(self) -> None:
        self._headers, self._body, self._in_answer = {}, [], True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._end(whole=True)

    def _end(self, *, whole: bool) -> None:
        self._in_answer = False
        self.answers.append(Answer(self._parser.get_status_code(), self._headers, b"".join(self._body), whole))
        self.news.set()


class Connection:
    """One connection, opened anew whenever it was closed."""

    def __init__(self, port: int, tries: int = 20) -> None:
        self._port = port
        self._tries = tries
        self._reader: _Reader | None = None

    async def ask(self, data: bytes, seconds: float = 20.0, *, eof: bool = False) -> Answer:
        """Send bytes and return the first answer; NONE where none comes in time or the server hangs up."""
        for _ in range(2):  # a kept connection may have been closed meanwhile
            fresh = self._reader is None or self._reader.closed
            reader = await self._open() if fresh else self._reader
            assert reader is not None and reader.transport is not None
            reader.answers.clear()
            reader.transport.write(data)
            if eof:
                reader.transport.write_eof()
            answer = await self._answer(reader, seconds)
            if answer.status or fresh or not reader.closed:
                break
        if not answer.status or not answer.whole or answer.headers.get(b"connection") == b"close" or eof:
            self.close()
        return answer

    async def _answer(self, reader: _Reader, seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                while not reader.answers:
                    if reader.closed:
                        return NONE
                    reader.news.clear()
                    await reader.news.wait()
        except TimeoutError:
            return NONE
        return reader.answers.popleft()

    async def _open(self) -> _Reader:
        loop = asyncio.get_running_loop()
        for attempt in range(self._tries):
            try:
                _, reader = await loop.create_connection(_Reader, "127.0.0.1", self._port)
            except OSError:
                if attempt == self._tries - 1:
                    raise
                await asyncio.sleep(0.05)
            else:
                self._reader = reader
                return reader
        raise AssertionError

    def close(self) -> None:
        """Hang up."""
        if self._reader is not None and self._reader.transport is not None:
            self._reader.transport.abort()
        self._reader = None


def request(
    method: str, path: str, body: bytes | None = None, headers: tuple[tuple[str, str], ...] = (), key: str = ""
) -> bytes:
    """Return a well-formed request."""
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1"]
    if key:
        lines.append(f"authorization: Bearer {key}")
    if body is not None:
        if not any(name == "content-type" for name, _ in headers):
            lines.append("content-type: application/json")
        lines.append(f"content-length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + (body or b"")


TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """Return a client's frame (RFC 6455, 5.2). The mask is zero: it changes nothing, and costs nothing."""
    size = len(payload)
    head = bytes([fin << 7 | reserved << 4 | opcode])
    flag = 0x80 if masked else 0
    if size < 126:
        head += bytes([flag | size])
    elif size < 1 << 16:
        head += bytes([flag | 126]) + struct.pack("!H", size)
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


class Closed(Exception):
    """The server closed the connection; the argument is the code, 1006 where none came."""


class WebSocket:
    """A connection after its handshake."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    @classmethod
    async def open(cls, port: int, key: str, headers: bytes = b"", method: bytes = b"GET") -> WebSocket:
        """Make the handshake. Raises Closed with the HTTP status where it is refused."""
        _, reader = await asyncio.get_running_loop().create_connection(_Reader, "127.0.0.1", port)
        assert reader.transport is not None
        nonce = base64.b64encode(os.urandom(16))
        reader.transport.write(
            b"%b /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %b\r\nupgrade: websocket\r\n"
            b"connection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: %b\r\n%b\r\n"
            % (method, key.encode(), nonce, headers)
        )
        async with asyncio.timeout(20):
            while not reader.upgraded:
                if reader.answers or reader.closed:
                    status = reader.answers[0].status if reader.answers else 0
                    reader.transport.abort()
                    raise Closed(status)
                reader.news.clear()
                await reader.news.wait()
        return cls(reader)

    def send(self, data: bytes) -> None:
        """Send bytes: one frame, or whatever they are."""
        assert self._reader.transport is not None
        self._reader.transport.write(data)

    async def receive(self, seconds: float = 10.0) -> bytes:
        """Return the next message; pings are answered. Raises Closed and TimeoutError."""
        async with asyncio.timeout(seconds):
            while True:
                found = self._take()
                if found is None:
                    if self._reader.closed:
                        raise Closed(1006)
                    self._reader.news.clear()
                    await self._reader.news.wait()
                    continue
                opcode, payload = found
                if opcode == CLOSE:
                    raise Closed(int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005)
                if opcode == PING:
                    self.send(frame(payload, PONG))
                elif opcode in (TEXT, BINARY):
                    return payload

    def _take(self) -> tuple[int, bytes] | None:
        data = self._reader.rest
        if len(data) < 2:
            return None
        size, start = data[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + size:
            return None
        payload = bytes(data[start : start + size])
        opcode = data[0] & 0x0F
        del data[: start + size]
        return opcode, payload

    def close(self) -> None:
        """Hang up without a word."""
        if self._reader.transport is not None:
            self._reader.transport.abort()
