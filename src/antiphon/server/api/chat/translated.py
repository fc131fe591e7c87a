"""Chat completions for models whose backends speak another API: as a response that is told in chunks."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.core.text.sse import unbroken
from antiphon.responses.intake.intake import Intake
from antiphon.responses.prepare import Preparer
from antiphon.responses.services import Services
from antiphon.server.api.chat.asked import ChatAskedDecoder
from antiphon.server.api.chat.chunks import SILENCE, chunks
from antiphon.server.api.chat.keeping import KeptAnswer
from antiphon.server.api.foreground import Foreground
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import ByteSink, Reply, Request
from antiphon.types.events import Event
from antiphon.types.request import prewarms


class ChunkSink:
    """Sends chunks, which have no names of events."""

    __slots__ = ("_sink", "drain")

    def __init__(self, sink: ByteSink) -> None:
        self._sink = sink
        self.drain = sink.drain

    def send(self, events: Sequence[Event]) -> bool:
        """Frame the chunks and hand them to the connection in one piece."""
        frames = [b": \n\n" if event.type == SILENCE else b"data: %b\n\n" % event.body for event in events]
        return self._sink.write_nowait(unbroken(b"".join(frames)))


class TranslatedChat:
    """The handler of such requests."""

    def __init__(self, services: Services, intake: Intake, foreground: Foreground) -> None:
        self._services = services
        self._intake = intake
        self._foreground = foreground

    async def create(
        self, request: Request, body: bytes, kept: KeptAnswer | None = None, *, others: bool = False
    ) -> Reply | None:
        """Answer a request; `kept` keeps the answer. Raises APIError.

        `others`: the backend speaks this API, and gets fields that are not known here.
        """
        decoder = ChatAskedDecoder(others=others)
        asked = Preparer(self._services, self._intake, decoder)
        prepared = await asked.prepare(body, request.caller, request_hints(request))
        dialect = chunks(counted=decoder.usage, reads=prewarms(prepared.plan.request))
        preparer = Preparer(self._services, self._intake, decoder, dialect)
        headers = prepared.permit.headers
        if not prepared.plan.request.stream:
            reply = await self._foreground.whole(request, preparer.run(prepared, mute=True), headers)
            return reply if kept is None else msgspec.structs.replace(reply, body=await kept.whole(reply.body))
        keep = kept.sink if kept is not None else None
        await self._foreground.stream(request, preparer.run(prepared), headers, ChunkSink, keep=keep)
        return None
