"""What a handler sees of HTTP: Request in, Reply or a stream of bytes out. How bytes move: `uvicorn_protocol.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from antiphon.access.caller import Caller
from antiphon.core.json_encoding import to_json
from antiphon.core.request.json_text import MOST_VALUES
from antiphon.errors import AntiphonError, Gone

Header = tuple[bytes, bytes]


SMALL_BODY = 1024 * 1024
"""Bytes of a request to a route that takes settings and ids only: it is decoded in the event loop, within milliseconds."""


class ClientGone(Gone):
    """The client closed the connection; there is nobody left to answer."""


class ServerStopping(AntiphonError):
    """The server stops: a WebSocket handler ends its turns and closes the connection."""


class Reply(msgspec.Struct, frozen=True):
    """A whole answer. `content-length`, `x-request-id` and `openai-processing-ms` are added on the way out."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Sequence[Header] = ()


def json_reply(value: object, status: int = 200, headers: Sequence[Header] = ()) -> Reply:
    """Return a JSON answer."""
    return Reply(to_json(value), status, headers=headers)


class ByteSink(Protocol):
    """An answer that is being streamed."""

    def write_nowait(self, data: bytes) -> bool:
        """Send bytes in order without waiting. Returns False where `drain` should come before more. Raises ClientGone."""
        ...

    async def drain(self) -> None:
        """Wait while the client reads too slowly; return at once otherwise. Raises ClientGone."""
        ...

    async def write(self, data: bytes) -> None:
        """Send bytes, waiting while the client reads too slowly. Raises ClientGone."""
        ...

    async def close(self, last: bytes = b"") -> None:
        """End the answer, after its last bytes."""
        ...


class Request(Protocol):
    """One HTTP request. `path` has no query and no `/v1`; `params` are the path's variables, percent-decoded.

    `root_path` is where the application is mounted, such as `/ai`; "" at the root. `slash_at_end`: of the path as it came.
    """

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def root_path(self) -> str: ...
    @property
    def slash_at_end(self) -> bool: ...
    @property
    def params(self) -> Mapping[str, str]: ...
    @property
    def query(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def owner(self) -> str: ...
    @property
    def caller(self) -> Caller: ...
    @property
    def request_id(self) -> str: ...

    def header(self, name: bytes) -> bytes | None:
        """Return a header by its lower-case name."""
        ...

    def headers(self, name: bytes) -> list[bytes]:
        """Return all headers of a lower-case name, as they came."""
        ...

    async def body(
        self, *, form: bool = False, most: int = 0, values: int = MOST_VALUES, checked: bool = True
    ) -> bytes:
        """Return the body, decompressed: JSON of so many `values`, or a `form` with files.

        `most`: bytes; of a form instead of `max_body`, of JSON besides. `checked`: it has passed `check_json`,
        else that is left to whoever decodes it.

        Raises APIError 413, 415 or 400, and ClientGone.
        """
        ...

    async def part(self, limit: int) -> bytes:
        """Return the next part of the body as it came, b"" at its end. Raises APIError 413 or 408, and ClientGone."""
        ...

    def hold(self, size: int) -> None:
        """Count bytes that are held until the request is answered. Raises APIError 429 or 503."""
        ...

    async def stream(
        self,
        content_type: str = "text/event-stream",
        status: int = 200,
        headers: Sequence[Header] = (),
        length: int | None = None,
    ) -> ByteSink:
        """Send the head of a streamed answer, of so many bytes where that is known. Raises ClientGone."""
        ...

    def cancel_on_disconnect(self) -> None:
        """Cancel the task at hand when the client goes away before the answer is complete (at once if it has gone already)."""
        ...


Handler = Callable[[Request], Awaitable[Reply | None]]
"""Answers a request: with a Reply, or with None after it has streamed.

An APIError that it raises is worded by the route's form (`response_head.AnswerForm`).
"""
