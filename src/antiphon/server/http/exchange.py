"""The seam between HTTP's meaning and its bytes: one request and its answer, on whatever carries them.

`server/http/direct_exchange.py` writes to the transport itself, `server/http/asgi_exchange.py` talks to any ASGI server;
one test body runs over both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import unquote

from antiphon.server.http.messages import ByteSink, Header

Take = Callable[[int], None]
"""Is told of so many bytes more. Raises APIError where they are too many."""


def first_of_each(headers: Sequence[Header]) -> Mapping[bytes, bytes]:
    """Return headers by name; of several of one name, the first counts."""
    return dict(reversed(headers))


def below(raw: bytes, root: str) -> bytes:
    """Return a path, still percent-encoded, below a `root` where it begins with it; as it is where it does not."""
    end = raw.find(b"/", 1)
    while end != -1:
        if unquote(raw[:end].decode("latin-1")) == root:
            return raw[end:]
        end = raw.find(b"/", end + 1)
    return b"/" if unquote(raw.decode("latin-1")) == root else raw


class Exchange(Protocol):
    """One request and its answer. The headers' names are lower-case."""

    client: str
    """The client's address, "" where it has none: on a unix socket."""
    scheme: str
    """`http` or `https`, as the client asked."""
    direct_host: bytes | None
    """The Host of a trusted proxy's own request, where `host` of the headers is what the proxy was asked for."""

    method: str
    raw_path: bytes
    """The path below `root_path`, percent-encoded."""
    root_path: str
    """Where the application is mounted, such as `/ai`; "" at the root."""
    query_string: bytes
    headers: Sequence[Header]
    fields: Mapping[bytes, bytes]
    """`first_of_each` of the headers."""
    answered: bool
    """Whether a head has been sent."""
    response_complete: bool
    """Whether the whole answer is handed on already: `finish` has nothing to do then."""
    owner: str
    """Whose request it is, "" where nobody knows."""

    async def read_body(self, limit: int, take: Take | None = None) -> bytes:
        """Return the body as it came. `take` is told of the bytes as they come; what it raises ends the reading.

        Raises APIError 413 above `limit` bytes, 408 when it takes too long, and ClientGone.
        """
        ...

    async def read_part(self, limit: int) -> bytes:
        """Return what of the body has come since the last call, waiting for some; b"" at its end.

        What nobody has asked for stays with the client, but for a little. For each part it has as long as for a whole body.
        Raises APIError 413 above `limit` bytes in all, 408, and ClientGone.
        """
        ...

    def send(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send a whole answer, `content-length` included; where the client has gone, nothing happens."""
        ...

    def begin(self, status: int, headers: Sequence[Header], length: int | None = None) -> ByteSink:
        """Send the head of a streamed answer, of so many bytes where that is known. Raises ClientGone."""
        ...

    def on_disconnect(self, callback: Callable[[], object]) -> None:
        """Call back, once, when the client goes away before the answer is complete."""
        ...

    def abort(self) -> None:
        """Break the connection off: what was streamed must not look complete."""
        ...

    async def finish(self) -> None:
        """Let go, after everything that was sent has been handed on."""
        ...
