"""What a broken or hostile backend may send: raw bytes, as data, and a server that sends them.

Each kind is a model: a request's `model` names what it is answered with, the same bytes for a stream and for a whole answer.
`FINE` answers well, so that it can be seen that the next request gets its own answer.
"""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.backends.hostile_answers import (
    APIS,
    BODY,
    FINE,
    Api,
    Json,
    Kind,
    head,
    whole,
)
from tests.backends.hostile_bytes import http_kinds
from tests.backends.hostile_json import chat_kinds, messages_kinds, responses_kinds

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kinds in (*(http_kinds(api) for api in APIS), chat_kinds(), responses_kinds(), messages_kinds())
    for kind in kinds
}


# The server


class _Handler(socketserver.BaseRequestHandler):
    """Answers what it is asked with the bytes of the kind that `model` names; `/models` lists them all."""

    server: HostileServer

    def handle(self) -> None:
        with suppress(OSError, ValueError):
            while (asked := self._read()) is not None:
                if not self._answer(asked):
                    return

    def _read(self) -> bytes | None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.request.recv(65536)
            if not more:
                return None
            data += more
        start, body = data.split(b"\r\n\r\n", 1)
        length = next(
            (int(line[15:]) for line in start.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            more = self.request.recv(65536)
            if not more:
                return None
            body += more
        return body

    def _answer(self, asked: bytes) -> bool:
        """Send an answer; False where the connection is to be closed then."""
        if not asked:
            self.request.sendall(whole(self.server.models()))
            return True
        model = json.loads(asked)["model"]
        if model == FINE:
            body = BODY[self.server.api]
            self.request.sendall(head(length=len(body)) + body)
            return True
        kind = KINDS[model]
        for piece in kind.pieces():
            if isinstance(piece, bytes):
                self.request.sendall(piece)
            elif self.server.stopped.wait(piece):
                return False
        return kind.keep


class HostileServer(socketserver.ThreadingTCPServer):
    """A backend of one API that sends what KINDS holds."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, api: Api) -> None:
        self.api = api
        self.stopped = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def models(self) -> Json:
        """Return the list of models: the kinds of its API."""
        names = [FINE, *(kind.name for kind in KINDS.values() if kind.api == self.api)]
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error here."""


@contextmanager
def hostile(api: Api) -> Iterator[HostileServer]:
    """Run such a backend in a thread; gives it, with its base `url`."""
    server = HostileServer(api)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
        time.sleep(0)
