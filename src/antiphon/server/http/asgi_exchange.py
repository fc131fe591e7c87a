"""An Exchange on plain ASGI: slower than `server/http/uvicorn_protocol.py`, at home on any server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from io import BytesIO
from typing import Any
from urllib.parse import quote

from antiphon.errors import AntiphonError, APIError
from antiphon.server.http.body import too_large
from antiphon.server.http.exchange import Take, below, first_of_each
from antiphon.server.http.messages import ClientGone, Header

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def too_slow() -> APIError:
    """Return the 408."""
    return APIError(408, "The request took too long to arrive.", code="request_timeout")


def path_below(scope: Message) -> bytes:
    """Return a request's path, still percent-encoded, below the `root_path` at which the application is mounted.

    ASGI's `path` and `raw_path` begin with `root_path`; those of servers which cut it off are taken as they are.
    """
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    root: str = scope.get("root_path", "").rstrip("/")
    return below(raw, root) if root else raw


class ASGIExchange:
    """One request of an ASGI server's."""

    def __init__(self, scope: Message, receive: Receive, send: Send, body_timeout: float) -> None:
        self.method: str = scope["method"]
        self.raw_path = path_below(scope)
        self.root_path: str = scope.get("root_path", "").rstrip("/")
        self.query_string: bytes = scope["query_string"]
        self.headers: Sequence[Header] = list(scope["headers"])
        self.fields = first_of_each(self.headers)
        self.client: str = (scope.get("client") or ("",))[0]
        self.scheme: str = scope.get("scheme", "http")
        self.direct_host: bytes | None = None
        self.answered = self.response_complete = False
        self.owner = ""
        self.gone = False
        self._receive = receive
        self._deliver = send
        self._body_timeout = body_timeout
        self._waiting: list[Message] = []
        self._flushing = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._callback: Callable[[], object] | None = None
        self._aborted = False
        self._body_read = False
        self._body_size = 0  # of what was read in parts
        self._broken_body = False

    # Request

    async def read_body(self, limit: int, take: Take | None = None) -> bytes:
        """Return the body as it came. Raises APIError 413, 408 or what `take` raises, and ClientGone."""
        self._broken_body = True
        try:
            async with asyncio.timeout(self._body_timeout):
                body = await self._read_body(limit, take)
        except TimeoutError:
            raise too_slow() from None
        self._broken_body = False
        return body

    async def _read_body(self, limit: int, take: Take | None) -> bytes:
        body, size, more = BytesIO(), 0, not self._body_read
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()
                raise ClientGone
            part = message.get("body", b"")
            body.write(part)
            size += len(part)
            if size > limit:
                raise too_large(limit)
            if take is not None:
                take(len(part))
            more = message.get("more_body", False)
        self._body_read = True
        return body.getvalue()

    async def read_part(self, limit: int) -> bytes:
        """Return the next part of the body, b"" at its end. Raises APIError 413 or 408, and ClientGone."""
        self._broken_body = not self._body_read
        while not self._body_read:
            try:
                async with asyncio.timeout(self._body_timeout):
                    message = await self._receive()
            except TimeoutError:
                raise too_slow() from None
            if message["type"] == "http.disconnect":
                self._leave()
                raise ClientGone
            part: bytes = message.get("body", b"")
            self._body_size += len(part)
            if self._body_size > limit:
                raise too_large(limit)
            self._body_read = not message.get("more_body", False)
            self._broken_body = not self._body_read
            if part:
                return part
        return b""

    def on_disconnect(self, callback: Callable[[], object]) -> None:
        """Call back when the client goes away; the body must have been read."""
        self._callback = callback
        if self.gone:
            self._leave()
        elif self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self.gone = True
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    # Answer

    def send(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Queue a whole answer."""
        self.answered = True
        self._callback = None
        closing: list[Header] = [(b"connection", b"close")] if self._broken_body else []
        self._put({"type": "http.response.start", "status": status, "headers": [*headers, *closing]})
        self._put({"type": "http.response.body", "body": body})

    def begin(self, status: int, headers: Sequence[Header], length: int | None = None) -> ASGIExchange:
        """Queue the head of a streamed answer, of so many bytes where that is known."""
        if self.gone:
            raise ClientGone
        self.answered = True
        if length is not None:
            headers = (*headers, (b"content-length", b"%d" % length))
        self._put({"type": "http.response.start", "status": status, "headers": list(headers)})
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())
        return self

    def write_nowait(self, data: bytes) -> bool:
        """Queue bytes. Returns False: `drain` tells how fast the server takes them. Raises ClientGone."""
        if self.gone:
            raise ClientGone
        self._put({"type": "http.response.body", "body": data, "more_body": True})
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return False

    async def drain(self) -> None:
        """Send what is queued, waiting while the client reads too slowly. Raises ClientGone."""
        await self._flush()
        if self.gone:
            raise ClientGone

    async def write(self, data: bytes) -> None:
        """Send bytes. Raises ClientGone."""
        self.write_nowait(data)
        await self.drain()

    async def close(self, last: bytes = b"") -> None:
        """End the answer, after its last bytes."""
        self._callback = None
        self._put({"type": "http.response.body", "body": last})
        await self._flush()

    def abort(self) -> None:
        """Leave the answer incomplete."""
        self._aborted = True

    async def finish(self) -> None:
        """Send what is queued. An aborted answer ends in an exception, so that the server breaks the connection off."""
        await self._flush()
        for task in (self._watcher, self._flusher):
            if task is not None:
                task.cancel()
        if self._aborted:
            raise BrokenOff

    def _put(self, message: Message) -> None:
        self._waiting.append(message)

    async def _flush(self) -> None:
        """Hand the queue to the server, in order, whoever asks."""
        async with self._flushing:
            while self._waiting and not self.gone:
                message = self._waiting.pop(0)
                try:
                    await self._deliver(message)
                except OSError:  # what ASGI 2.4 has servers raise after a disconnect
                    self._leave()


class BrokenOff(AntiphonError):
    """The answer could not be completed."""
