"""Answers to chat completion calls: streamed, whole; one that is a refusal may be asked for otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from antiphon.backends.base import Take
from antiphon.backends.chat.answers.endings import CHOICE, UNFORCED, tell_uncalled
from antiphon.backends.chat.answers.fast_chunks import FastChunks
from antiphon.backends.chat.codec import ChatCall, ChatDecoder
from antiphon.backends.learning.asking import Asking
from antiphon.core.deltas import Delta, Finish, FinishReason
from antiphon.core.fast_path import FastPath
from antiphon.core.text.sse import MOST_SAID, SSEParser
from antiphon.errors import BackendError
from antiphon.net.http.response import HttpResponse
from antiphon.runtime.offload import LARGE, by_size

MANY = 8  # events of one read, from which on they are looked at together
FIRST = 2  # of them, from which is learned what all have in common
MOST_LOOKS = 4  # in one read


def _nobody(deltas: Sequence[Delta]) -> bool:
    raise AssertionError("nobody takes the answer at present")


Again = Callable[[Asking, BackendError], Awaitable["Answer | None"]]
"""Asks otherwise after a refusal; None where there is no other way. Raises BackendError."""


class Answer:
    """The answer to a call. Where the server refuses it instead of an answer, `again` may ask otherwise."""

    def __init__(
        self, response: HttpResponse, decoder: ChatDecoder, asking: Asking, call: ChatCall, again: Again
    ) -> None:
        self.ignored: Sequence[str] = call.ignored  # names of the request's wishes that the server was not told
        self._unsure = call.think == "unsure"
        self._response = response
        self._decoder = decoder
        self._asking = asking
        self._again = again
        self._next: Answer | None = None
        self._path: FastPath | None = None
        self._take: Take = _nobody
        self._wanted: Take = _nobody
        self._ended = False

    def offer(self, path: FastPath) -> None:
        """Be offered a way past Deltas, for a stream in its steady state."""
        self._path = path

    async def pour(self, take: Take) -> bool:
        """Give the Deltas as they arrive. Raises BackendError."""
        if self._next is not None:
            return await self._pour_next(self._next, take)
        self._wanted = take
        self._take = take if self._asking.settled else self._first
        try:
            if not self._ended:
                await self._read()
            return self._ended
        except BackendError as error:
            self.abort()
            self._next = None if self._asking.settled else await self._again(self._asking, error)
            if self._next is None:
                if error.code == UNFORCED:
                    self._end_uncalled(take)
                    return True
                if held := self._asking.release():
                    take(held)
                raise
        finally:
            self._take = self._wanted = _nobody
        return await self._pour_next(self._next, take)

    def _end_uncalled(self, take: Take) -> None:
        """Give an answer without the call that it had to be; the client is told so."""
        cut = self._decoder.cut
        if cut is not None:
            take([*self._asking.release(), Finish(cut)])
            return
        self.ignored = [*self.ignored, CHOICE]
        tell_uncalled(self._asking.turn.model)
        take([*self._asking.uncalled(), Finish(FinishReason.STOP)])

    async def _pour_next(self, answer: Answer, take: Take) -> bool:
        """Give the Deltas of the answer to a request that asks otherwise."""
        if self._path is not None:
            answer.offer(self._path)
        ended = await answer.pour(take)
        self.ignored = answer.ignored
        return ended

    def _first(self, deltas: Sequence[Delta]) -> bool:
        """Take the beginning of the answer."""
        shown = self._asking.heard(deltas)
        if self._asking.settled:
            self._take = self._wanted
        return not shown or self._wanted(shown)

    async def _read(self) -> None:
        raise NotImplementedError

    def _note(self) -> None:
        """Take note of what the answer, which has ended, tells of the server."""
        if self._decoder.all_thoughts:
            self._asking.all_thoughts()
        if self._unsure and not self._decoder.cut:
            self._asking.thought(unopened=self._decoder.unopened)
        elif self._decoder.unopened:
            self._asking.closed_thoughts()

    def abort(self) -> None:
        self._ended = True
        self._response.abort()
        if self._next is not None:
            self._next.abort()


class ChatStream(Answer):
    """The answer to a streamed call."""

    def __init__(
        self, response: HttpResponse, decoder: ChatDecoder, asking: Asking, call: ChatCall, again: Again
    ) -> None:
        super().__init__(response, decoder, asking, call, again)
        response.counts_itself = True  # comments and empty chunks are no part of an answer
        self._parser = SSEParser()
        self._size = 0
        self._came = 0
        self._hastened = False
        self._chunks = FastChunks(response.pause)

    async def _read(self) -> None:
        if await self._response.pour(self._feed):
            self._close()

    def _feed(self, data: bytes) -> bool:
        self._came += len(data)
        events = self._parser.feed(data)
        if self._hastened:
            self._settle()
        if len(events) <= MANY or self._path is None:
            return self._feed_events(events)
        at, ready = self._feed_many(events)
        if at < len(events) and not self._ended:
            ready = self._feed_events(events[at:]) and ready
        if not ready:
            self._response.shortcut = None
        return ready and not self._ended

    def _feed_many(self, events: Sequence[bytes]) -> tuple[int, bool]:
        """Let events that can be only more of one text go straight to the client.

        Return how many events were read, and whether the client wants more.
        """
        at, ready = 0, True
        for _ in range(MOST_LOOKS):
            ready = self._feed_events(events[at : at + FIRST]) and ready
            at += FIRST
            if self._ended or self._path is None or at >= len(events):
                break
            if self._hastened:
                taken, wanted = self._chunks.take_events(events[at:])
                at, ready = at + taken, ready and wanted
                self._settle()
                self._response.shortcut = None
                if self._path is not None:
                    self._response.alive()
                    self._hasten(self._path)
        return at, ready

    def _feed_events(self, events: Sequence[bytes]) -> bool:
        decoder = self._decoder
        deltas: list[Delta] = []
        try:
            if events:
                decoder.feed(events, deltas)
            if self._came + self._chunks.size > MOST_SAID and decoder.size > MOST_SAID:
                raise _too_long()
            if decoder.ended:
                self._end(deltas)
        except BackendError:
            if deltas and decoder.size <= MOST_SAID:
                self._take(deltas)
            raise
        if deltas:
            self._response.alive()
            if not self._take(deltas) or self._ended:
                return False
            if self._path is not None:
                self._hasten(self._path)
            return True
        if decoder.size != self._size:  # what was said is held back
            self._size = decoder.size
            self._response.alive()
        return not self._ended

    def _hasten(self, path: FastPath) -> None:
        """Let what comes next go straight to the client, where it can be only more of the same text."""
        if self._asking.settled and not self._parser.waiting and self._decoder.hasten(self._chunks, path):
            self._response.shortcut = self._chunks.take
            self._hastened = True

    def _settle(self) -> None:
        """Let the decoder know of what went straight to the client."""
        self._hastened = False
        if self._chunks.texts:
            self._decoder.settle(self._chunks.texts)
        if not self._chunks.settle():
            self._path = None

    def _close(self) -> None:
        """Read what the end of the body brings."""
        deltas: list[Delta] = []
        if self._hastened:
            self._settle()
        try:
            self._decoder.feed(self._parser.close(), deltas)
            self._end(deltas)
        finally:
            if deltas:
                self._take(deltas)

    def _end(self, deltas: list[Delta]) -> None:
        """Close the answer. Raises BackendError where it was broken off: then there was no finish reason."""
        if self._parser.stray:
            self._decoder.feed_stray(b"\n".join(self._parser.stray), deltas)
        self._decoder.finish(deltas)
        self._ended = True
        self._response.release()
        self._note()


def _too_long() -> BackendError:
    return BackendError(502, f"The backend's answer has more than {MOST_SAID} characters.")


WHOLE_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer that comes whole."""


class WholeAnswer(Answer):
    """The answer to a call that is not streamed: all Deltas at once."""

    async def _read(self) -> None:
        body = await self._response.read_all(WHOLE_LIMIT)
        self._ended = True
        deltas: list[Delta] = []
        try:
            if len(body) < LARGE:
                self._decode(body, deltas)
            else:
                await by_size(len(body), self._decode, body, deltas)
        except BackendError:
            if self._decoder.size > MOST_SAID:
                deltas.clear()
            raise
        finally:
            if deltas:
                self._take(deltas)
        self._note()

    def _decode(self, body: bytes, deltas: list[Delta]) -> None:
        decoder = self._decoder
        if body.lstrip()[:1] in (b"{", b"["):
            decoder.feed_whole(body, deltas)
        else:
            # Some servers stream and call it JSON.
            parser = SSEParser()
            decoder.feed([*parser.feed(body), *parser.close()], deltas)
            if parser.stray:
                decoder.feed_stray(b"\n".join(parser.stray), deltas)
        if decoder.size > MOST_SAID:
            raise _too_long()
        decoder.finish(deltas)
