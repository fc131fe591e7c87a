"""The Dialect of one request: the Emitter and the Writers of the Messages API."""

from __future__ import annotations

from functools import partial

from antiphon.core.stream.writer_table import Dialect, WriterTable
from antiphon.server.messages.answer import AnswerTerms
from antiphon.server.messages.emitter import CallBlock, MessagesEmitter, TextBlock, ThinkingBlock
from antiphon.server.messages.server_blocks import ServerCallBlock, ServerResultBlock


def dialect(told: AnswerTerms) -> Dialect:
    """Return the events of one request."""
    writers = WriterTable(
        message=TextBlock,  # type: ignore[arg-type]  # its own Emitter
        reasoning=partial(ThinkingBlock, told=told),
        call=CallBlock,  # type: ignore[arg-type]  # its own Emitter
        serve=partial(ServerCallBlock, told=told),
        serve_output=partial(ServerResultBlock, told=told),
    )
    return Dialect(
        emitter=partial(MessagesEmitter, told),
        mute=partial(MessagesEmitter, told, quiet=True),
        writers=writers,
        links=False,
    )
