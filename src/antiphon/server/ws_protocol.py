"""uvicorn's WebSocket protocol, but for the end: running turns are not cut off when the server stops."""

from __future__ import annotations

from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from antiphon.server.ws_connection import STOPPING


class GracefulWebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    def shutdown(self) -> None:
        """Tell the handler that the server stops; it closes when it is done."""
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait(cast(Any, {"type": STOPPING}))
        else:
            super().shutdown()
