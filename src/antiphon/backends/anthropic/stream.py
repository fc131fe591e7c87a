"""Answers of the Messages API as they arrive; one that pauses is asked for the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from antiphon.backends.anthropic.answers import no_event
from antiphon.backends.anthropic.decoder import MessagesDecoder
from antiphon.backends.base import Take
from antiphon.backends.chat.answers.endings import CHOICE
from antiphon.core.deltas import Delta
from antiphon.core.text.sse import SSEParser
from antiphon.errors import BackendError
from antiphon.net.http.response import HttpResponse
from antiphon.runtime.offload import by_size

WHOLE_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer that comes whole."""
MOST_PAUSES = 10
"""Times that one answer is asked to go on."""

Again = Callable[[bytes], Awaitable[HttpResponse]]
"""Asks for the rest of an answer, whose content so far is a JSON array. Raises BackendError."""


class MessagesStream:
    """The answer to a call, as Deltas; streamed, or whole where the server does not stream."""

    def __init__(
        self, response: HttpResponse, decoder: MessagesDecoder, again: Again, ignored: Sequence[str] = ()
    ) -> None:
        self.ignored = ignored
        self._decoder = decoder
        self._again = again
        self._take: Take | None = None
        self._pauses = 0
        self._ended = False
        self._aborted = self._full = False
        self._listen(response)

    def _listen(self, response: HttpResponse) -> None:
        response.counts_itself = True  # comments are no sign of life, pings are
        self._response = response
        self._parser = SSEParser()
        self._streamed = not response.header(b"content-type").startswith(b"application/json")

    async def pour(self, take: Take) -> bool:
        """Give the Deltas as they arrive. Raises BackendError."""
        self._take = take
        self._full = False
        try:
            while not self._ended:
                if not self._decoder.ended and not await self._read():
                    return False
                if not self._ended:
                    if self._full:
                        return False
                    await self._go_on()
            if self._decoder.uncalled:
                self.ignored = [*self.ignored, CHOICE]
            return True
        except BackendError:
            self.abort()
            raise
        finally:
            self._take = None

    async def _read(self) -> bool:
        """Read on; False where nobody wants more for now."""
        if not self._streamed:
            await self._read_whole()
        elif await self._response.pour(self._feed):
            if not self._decoder.ended:
                self._close()
        elif not self._decoder.ended:
            return False
        return True

    def _feed(self, data: bytes) -> bool:
        events = self._parser.feed(data)
        if not events:
            return True
        self._response.alive()
        deltas: list[Delta] = []
        try:
            self._decoder.feed(events, deltas)
            self._decoder.check_size()
            if self._decoder.ended:
                self._end(deltas)
        except BackendError:
            self._pass_on(deltas)
            raise
        return self._pass_on(deltas) and not self._decoder.ended

    def _close(self) -> None:
        """Read what the end of the body brings."""
        deltas: list[Delta] = []
        try:
            self._decoder.feed(self._parser.close(), deltas)
            if self._parser.stray and not self._decoder.ended:
                raise no_event(b"\n".join(self._parser.stray))
            self._end(deltas)
        finally:
            self._pass_on(deltas)

    async def _read_whole(self) -> None:
        body = await self._response.read_all(WHOLE_LIMIT)
        deltas: list[Delta] = []
        try:
            await by_size(len(body), self._decoder.whole, body, deltas)
            self._decoder.check_size()
            self._end(deltas)
        finally:
            self._pass_on(deltas)

    def _end(self, deltas: list[Delta]) -> None:
        """Close the answer, unless it pauses."""
        self._response.release()
        if self._decoder.paused and self._pauses < MOST_PAUSES:
            return
        self._decoder.finish(deltas)
        self._ended = True

    async def _go_on(self) -> None:
        """Ask for the rest of an answer that pauses."""
        self._pauses += 1
        response = await self._again(self._decoder.go_on())
        if self._aborted:
            response.abort()
        self._listen(response)

    def _pass_on(self, deltas: list[Delta]) -> bool:
        if deltas and self._take is not None and not self._take(deltas):
            self._full = True
        return not self._full

    def abort(self) -> None:
        self._ended = self._aborted = True
        self._response.abort()
