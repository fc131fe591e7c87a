"""Foreground: responses whose client waits, whole or streamed; aborted when it disconnects, failed when the server stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from antiphon.core.text import sse
from antiphon.errors import APIError
from antiphon.responses.run import Run
from antiphon.responses.sink import NULL, Sink
from antiphon.server.api.routing_hints import turn_state
from antiphon.server.http.messages import ByteSink, ClientGone, Header, Reply, Request
from antiphon.telemetry.observers import shown_ignored
from antiphon.types.events import Event

SHUTDOWN = APIError(503, "The server is shutting down.", code="server_shutdown")


def ignored_header(names: Sequence[str]) -> Sequence[Header]:
    """Return the header that names what a request asks for and does not get."""
    return ((b"x-antiphon-ignored", ", ".join(shown_ignored(names)).encode("latin-1", "replace")),) if names else ()


class SSESink:
    """Sends Events as server-sent events. `frames` sends frames that are ready."""

    __slots__ = ("_sink", "drain", "frames")

    def __init__(self, sink: ByteSink) -> None:
        self._sink = sink
        self.drain = sink.drain
        self.frames = sink.write_nowait

    def send(self, events: Sequence[Event]) -> bool:
        """Frame the events and hand them to the connection, in one piece where they are not large."""
        if len(events) == 1:
            return self._sink.write_nowait(sse.encode(events))
        ready = True
        for piece in sse.pieces(events):
            ready = self._sink.write_nowait(piece)
        return ready


class Foreground:
    """The foreground responses of this process. `head_hold`: seconds that a stream's head waits for the backend to accept."""

    def __init__(self, head_hold: float) -> None:
        self._head_hold = head_hold
        self._running: set[Run] = set()

    def stop(self) -> None:
        """End all of them as failed: the grace period is over."""
        for run in list(self._running):
            run.stop(SHUTDOWN)

    async def whole(self, request: Request, run: Run, headers: Sequence[Header]) -> Reply:
        """Make a response and return its body. Raises APIError where it failed."""
        request.cancel_on_disconnect()
        self._running.add(run)
        try:
            await run.open()
            await run.run(NULL)
        finally:
            self._running.discard(run)
            run.abort()
        if run.error is not None:
            raise run.error
        return Reply(run.body, headers=[*headers, *turn_state(run), *ignored_header(run.ignored)])

    async def stream(
        self,
        request: Request,
        run: Run,
        headers: Sequence[Header],
        sink_of: Callable[[ByteSink], Sink] = SSESink,
        last: bytes = sse.DONE,
        keep: Callable[[ByteSink], ByteSink] | None = None,
    ) -> None:
        """Make a response and send its Events through the Sink for a connection, then `last`.

        `keep` stands before the connection, and may hold back the end. Raises APIError as long as nothing was sent.
        """
        request.cancel_on_disconnect()
        self._running.add(run)
        try:
            await run.open(self._head_hold)
            try:
                sink = await request.stream(headers=[*headers, *turn_state(run), *ignored_header(run.ignored)])
                if keep is not None:
                    sink = keep(sink)
                await run.run(sink_of(sink))
                await sink.close(last)
            except ClientGone:
                return
        finally:
            self._running.discard(run)
            run.abort()
