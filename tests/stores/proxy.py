"""A way to PostgreSQL that can be cut: by TCP, forwarded to the test server's socket."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

Mode = Literal["pass", "refuse", "swallow"]


class Proxy:
    """Forwards connections. In `mode` "refuse" it breaks them all off, in "swallow" nothing comes through any more."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = str(Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._database = parts.path
        self.mode: Mode = "pass"
        self._closed = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def url(self, parameters: str = "") -> str:
        """Return the URL of the database by this way."""
        return f"postgresql://postgres:secret@127.0.0.1:{self._port}{self._database}?sslmode=disable{parameters}"

    def close(self) -> None:
        """Break all off."""
        self._closed = True
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        peers: dict[socket.socket, socket.socket] = {}
        while not self._closed:
            if self.mode == "swallow":
                time.sleep(0.02)
                continue
            if self.mode == "refuse":
                for each in peers:
                    each.close()
                peers.clear()
            for ready in select.select([self._listener, *peers], [], [], 0.02)[0]:
                if ready is self._listener:
                    self._accept(peers)
                elif ready in peers:
                    self._pass_on(ready, peers)
        for each in peers:
            each.close()

    def _accept(self, peers: dict[socket.socket, socket.socket]) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            if self.mode == "refuse":
                raise ConnectionRefusedError
            server.connect(self._target)
        except OSError:
            client.close()
            server.close()
            return
        peers[client], peers[server] = server, client

    def _pass_on(self, source: socket.socket, peers: dict[socket.socket, socket.socket]) -> None:
        target = peers[source]
        try:
            data = source.recv(1 << 20)
            if data:
                target.sendall(data)
                return
        except OSError:
            pass
        for each in (source, target):
            del peers[each]
            each.close()


@contextlib.contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """Run a proxy until the block ends."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
