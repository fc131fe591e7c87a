"""WriterTable: kind of item → Writer. A front end with other events passes its own table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from antiphon.core.deltas import CallStart
from antiphon.core.kinds import BY_NAME
from antiphon.core.relay.writers import WriteRelayed, write
from antiphon.core.stream.emitter import Emitter, MuteEmitter
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.stream.tool_writers import CallItemWriter as CallItemWriter
from antiphon.core.stream.tool_writers import ServeCall
from antiphon.core.stream.writers import MessageWriter, ReasoningWriter, Writer


class TextWriter(Writer, Protocol):
    """The Writer of an item that grows by pieces of text, or has none at all."""

    index: int

    def text(self, text: str) -> None:
        """Append a piece."""
        ...


class AnswerWriter(Writer, Protocol):
    """The Writer of a message."""

    index: int

    def text(self, text: str, logprobs: bytes = b"") -> None:
        """Append a piece of the answer."""
        ...

    def annotate(self, annotation: bytes) -> None:
        """Add a citation (JSON) to the answer so far."""
        ...

    def refusal(self, text: str) -> None:
        """Append a piece of a refusal."""
        ...


class WriterTable(msgspec.Struct, frozen=True, kw_only=True):
    """One maker of Writers per kind of item; each is called with the Emitter, the item's id and its `output_index`.

    Whatever events a Writer makes, its `close` returns the item as the Responses API has it: the next model call, the store
    and the fold of the stream read that. Items that this server makes itself (tools of servers, approvals, compactions) have
    Writers of their own; an Emitter that is not OpenAI's passes over their events or spells them its way.

    `relayed` writes the items of a backend that speaks Responses, which hold more than the Deltas of a chat backend. Without it
    they are told by the other three (`core/relay/told`); then several of them may be open at once. `serve` makes the Writers of
    calls that this server runs, in place of those in `core.kinds`, `serve_output` those of what they gave, where that is an item
    of its own.
    """

    message: Callable[[Emitter, str, int], AnswerWriter]
    reasoning: Callable[[Emitter, str, int, StreamTerms], TextWriter]
    call: Callable[[Emitter, str, int, CallStart], CallItemWriter]
    relayed: WriteRelayed | None = None
    serve: ServeCall | None = None
    serve_output: ServeCall | None = None


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """Events of a front end: its Emitter, its Emitter without encoding (for responses that are not streamed), and its Writers.

    `links`: the text holds a link to each web page that it cites; otherwise the annotation alone names it.
    """

    emitter: Callable[[], Emitter] = Emitter
    mute: Callable[[], Emitter] = MuteEmitter
    writers: WriterTable
    links: bool = True


def _reasoning(emitter: Emitter, item_id: str, index: int, options: StreamTerms) -> ReasoningWriter:
    return ReasoningWriter(
        emitter,
        item_id,
        index,
        open_responses_names=options.open_responses_names,
        summarise=options.summarise,
        seal=options.seal,
    )


def _call(emitter: Emitter, item_id: str, index: int, call: CallStart) -> CallItemWriter:
    write = BY_NAME[call.kind].write
    assert write is not None, "a call that the client runs"
    return write(emitter, item_id, index, call)


OPENAI_WRITERS = WriterTable(message=MessageWriter, reasoning=_reasoning, call=_call, relayed=write)
OPENAI = Dialect(writers=OPENAI_WRITERS)
"""The events of OpenAI's Responses API."""
