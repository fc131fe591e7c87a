"""One accepted WebSocket connection, on ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from antiphon.access.caller import Caller
from antiphon.server.http.messages import ClientGone, Header, ServerStopping

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

STOPPING = "antiphon.stopping"
"""The message with which `server/ws/uvicorn_protocol.py` says that the server stops; other servers just disconnect."""


class ASGIWebSocket:
    """A connection after its handshake. The ASGI server handles pings, fragments and compression.

    `caller` authenticates again: a connection can outlive its key. Raises APIError 401 or 403.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        owner: str,
        request_id: str,
        caller: Callable[[], Awaitable[Caller]],
        headers: Sequence[Header] = (),
    ) -> None:
        self.owner = owner
        self.caller = caller
        self.request_id = request_id
        self._headers = headers
        self._receive = receive
        self._send = send

    def header(self, name: bytes) -> bytes | None:
        """Return a header of the handshake by its lower-case name."""
        return next((value for given, value in self._headers if given == name), None)

    async def receive(self) -> bytes:
        """Return the next message. Raises ClientGone, and ServerStopping once."""
        message = await self._receive()
        if message["type"] == STOPPING:
            raise ServerStopping
        if message["type"] == "websocket.disconnect":
            raise ClientGone
        text = message.get("text")
        return text.encode() if text is not None else bytes(message["bytes"])

    async def send(self, message: bytes) -> None:
        """Send a text message, waiting while the client reads too slowly. Raises ClientGone."""
        try:
            await self._send({"type": "websocket.send", "text": message.decode()})
        except (OSError, RuntimeError):  # ASGI servers differ in what they raise after the client has gone
            raise ClientGone from None

    async def close(self, code: int = 1000) -> None:
        """Close the connection; nothing happens where it is closed already."""
        try:
            await self._send({"type": "websocket.close", "code": code})
        except (OSError, RuntimeError):
            return
