"""Answers of backends that are passed on as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from antiphon.backends.base import ByteStream, whole_body
from antiphon.core.text.sse import UnbrokenLines
from antiphon.errors import BackendError
from antiphon.server.http.messages import ByteSink, ClientGone, Header, Reply, Request

WHOLE_LIMIT = 16 * 1024 * 1024
"""Bytes of such an answer that comes whole."""

_OURS = frozenset(
    {
        b"connection",
        b"content-length",
        b"content-type",
        b"date",
        b"keep-alive",
        b"openai-processing-ms",
        b"server",
        b"transfer-encoding",
        b"x-request-id",
    }
)


async def whole_reply(answer: ByteStream) -> Reply:
    """Return an answer that comes whole."""
    return Reply(await whole_body(answer, WHOLE_LIMIT), answer.status, content_type(answer), kept_headers(answer))


async def pass_on(
    request: Request,
    answer: ByteStream,
    headers: Sequence[Header] = (),
    keep: Callable[[ByteSink], ByteSink] | None = None,
) -> None:
    """Pass a stream on, piece by piece. Where the backend breaks off, so does the answer. `keep` stands before the connection."""
    sink = await request.stream(content_type(answer), answer.status, [*headers, *kept_headers(answer)])
    if keep is not None:
        sink = keep(sink)
    try:
        await _copy(answer, sink)
    except ClientGone:
        return
    except BackendError as error:
        # The head is out: the error goes into the stream, as OpenAI's own servers send it.
        sink.write_nowait(b"data: " + msgspec.json.encode(error.body()) + b"\n\ndata: [DONE]\n\n")
    await sink.close()


async def _copy(answer: ByteStream, sink: ByteSink) -> None:
    lines = UnbrokenLines()
    while data := await answer.read():
        if piece := lines.feed(data):
            sink.write_nowait(piece)
            await sink.drain()
    if rest := lines.feed(b""):
        sink.write_nowait(rest)


def content_type(answer: ByteStream) -> str:
    """Return the type of an answer; JSON where it names none."""
    for name, value in answer.headers:
        if name == b"content-type":
            return value.decode("latin-1")
    return "application/json"


def kept_headers(answer: ByteStream) -> list[Header]:
    """Return the headers of an answer that are the backend's own."""
    return [(name, value) for name, value in answer.headers if name not in _OURS]
