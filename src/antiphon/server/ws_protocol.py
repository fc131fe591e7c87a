"""uvicorn's WebSocket protocol, but for its beginning and its end.

The handshake comes checked and whole: none stays half open. Running turns are not cut off when the server stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import unquote

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from antiphon.server.framing import handshake_head, origin_form
from antiphon.server.http import Header
from antiphon.server.ws_connection import STOPPING


class GracefulWebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    _url = b"/"
    _headers: Sequence[Header] = ()

    def begin(self, url: bytes, headers: Sequence[Header], rest: bytes) -> None:
        """Open the connection with a handshake that is in order; `rest` is what came behind it."""
        self._url, self._headers = url, headers
        self.data_received(handshake_head(headers))
        if rest:
            self.data_received(rest)

    def handle_connect(self, event: Request) -> None:
        """Let the application see the head as it came; its task begins to run later."""
        super().handle_connect(event)
        path, query, authority = origin_form(self._url)
        headers = list(self._headers)
        if authority is not None:
            headers = [header for header in headers if header[0] != b"host"] + [(b"host", authority)]
        self.scope["raw_path"], self.scope["path"] = path, unquote(path.decode("latin-1"))
        self.scope["query_string"], self.scope["headers"] = query, headers

    def shutdown(self) -> None:
        """Tell the handler that the server stops; it closes when it is done."""
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait(cast(Any, {"type": STOPPING}))
        else:
            super().shutdown()
