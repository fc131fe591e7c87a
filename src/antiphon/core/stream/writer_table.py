"""WriterTable: which Writer writes which kind of item. A front end with other events hands in a table of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from antiphon.core.deltas import CallStart
from antiphon.core.stream.emitter import Emitter, MuteEmitter
from antiphon.core.stream.terms import StreamOptions
from antiphon.core.stream.tool_writers import ListingWriter, ReadyWriter, StructuredCallWriter
from antiphon.core.stream.writers import CallWriter, MessageWriter, ReasoningWriter, Writer


class TextWriter(Writer, Protocol):
    """The Writer of an item that grows by pieces of text."""

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

    def refusal(self, text: str) -> None:
        """Append a piece of a refusal."""
        ...


class CallItemWriter(TextWriter, Protocol):
    """The Writer of a call that the client runs."""

    @property
    def arguments(self) -> str:
        """All that has come so far of its arguments."""
        ...


class ToolListWriter(Protocol):
    """The Writer of the tools of a server, being asked for."""

    index: int

    def tools(self, tools: Sequence[bytes]) -> bytes:
        """End with the tools, each as JSON; return the item as JSON."""
        ...

    def fail(self, message: str) -> bytes:
        """End with the reason why there are none; return the item as JSON."""
        ...


class WriterTable(msgspec.Struct, frozen=True, kw_only=True):
    """One maker of Writers per kind of item; each is called with the Emitter, the item's id and its `output_index`.

    Whatever events a Writer makes, its `close` returns the item as the Responses API has it: the next model call, the store
    and the fold of the stream read that. `ready` writes an item that is whole from the start; its last argument names an
    event of the item's own, or is "".
    """

    message: Callable[[Emitter, str, int], AnswerWriter]
    reasoning: Callable[[Emitter, str, int, StreamOptions], TextWriter]
    call: Callable[[Emitter, str, int, CallStart], CallItemWriter]
    listing: Callable[[Emitter, str, int, str], ToolListWriter]
    ready: Callable[[Emitter, str, int, bytes, str], None]


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How a front end spells what happens: its Emitter, one that counts for what is not streamed, and its Writers."""

    emitter: Callable[[], Emitter] = Emitter
    mute: Callable[[], Emitter] = MuteEmitter
    writers: WriterTable


def _reasoning(emitter: Emitter, item_id: str, index: int, options: StreamOptions) -> ReasoningWriter:
    return ReasoningWriter(
        emitter,
        item_id,
        index,
        open_responses_names=options.open_responses_names,
        summarise=options.summarise,
        seal=options.seal,
    )


def _call(emitter: Emitter, item_id: str, index: int, call: CallStart) -> CallItemWriter:
    write = CallWriter if call.kind in ("function", "custom") else StructuredCallWriter
    return write(emitter, item_id, index, call)


def _ready(emitter: Emitter, item_id: str, index: int, item: bytes, between: str) -> None:
    ReadyWriter(emitter, item_id, index).write(item, between)


OPENAI_WRITERS = WriterTable(
    message=MessageWriter, reasoning=_reasoning, call=_call, listing=ListingWriter, ready=_ready
)
OPENAI = Dialect(writers=OPENAI_WRITERS)
"""The events of OpenAI's Responses API."""
