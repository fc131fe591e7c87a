"""OpenItems: the open items of a Turn: message, reasoning, calls of the client's tools."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from antiphon.core.deltas import CallDelta, CallStart
from antiphon.core.kinds import BY_DECLARATION, BY_NAME
from antiphon.core.opaque import Opaque
from antiphon.core.request.json_text import is_object
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.hosted_writers import HostedCallWriter
from antiphon.core.stream.output import Output
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.stream.transitions import Stage
from antiphon.core.stream.writer_table import AnswerWriter, CallItemWriter, TextWriter, WriterTable
from antiphon.core.stream.writers import Growing
from antiphon.core.tools.results import ModelText, ToolResult


class OpenItems(msgspec.Struct, eq=False):
    """Opens an item at its first Delta, one after the other, and closes it.

    `message` and `reasoning` are the open items, None if the next Delta begins one. `spoke`: the Turn has had an item.
    `kept` holds what only the backend can read, by the id of the thoughts that it goes with.
    """

    _emitter: Emitter
    _writers: WriterTable
    _output: Output
    _terms: StreamTerms
    _stage: Stage
    message: AnswerWriter | None = None
    reasoning: TextWriter | None = None
    spoke: bool = False
    kept: dict[str, ModelText] = {}
    _beside: list[Opaque] = []
    _thoughts_id: str = ""
    # By key; None for one of this Turn that is closed.
    _calls: dict[str, CallItemWriter | None] = {}

    def growing(self, key: str = "") -> Growing | None:
        """Return the text that grows: of the message or, by its key, of a client's call. None where other events tell of it."""
        found: Growing | None = getattr(self._calls.get(key) if key else self.message, "growing", None)
        return found

    def growing_thoughts(self) -> Growing | None:
        """Return the thoughts that grow, where nothing but their own events tells of it."""
        found: Growing | None = getattr(self.reasoning, "growing", None)
        return found

    def begin_message(self) -> AnswerWriter:
        """Close the reasoning and open a message."""
        self._begin()
        item_id, index = self._output.allocate("msg")
        self.message = self._writers.message(self._emitter, item_id, index)
        return self.message

    def begin_reasoning(self) -> TextWriter:
        """Close the message and open a reasoning item."""
        self._begin()
        self._thoughts_id, index = self._output.allocate("rs")
        options = self._terms if self._terms.seal_all is None else replace(self._terms, seal=self._seal)
        self.reasoning = self._writers.reasoning(self._emitter, self._thoughts_id, index, options)
        return self.reasoning

    def keep_beside(self, opaque: Opaque) -> None:
        """Keep what only the backend can read: it goes with the open thoughts, or has a reasoning item of its own."""
        if self.reasoning is None:
            self.begin_reasoning()
        self._beside.append(opaque)

    def add_picture(self, data: str) -> None:
        """Add a picture that the model made (base64), as an item of its own."""
        self._begin()
        kind = BY_DECLARATION["image_generation"]
        start = CallStart(kind.prefix, "", kind.name, kind.name)
        allocated = self._output.allocate(kind.prefix)
        writer = HostedCallWriter(self._emitter, *allocated, start, type=kind.call, opening={"result": None})
        self._output.keep(writer.index, writer.result(ToolResult(fields={"result": data})))
        self._emitter.pictured(data)

    def begin_call(self, call: CallStart) -> None:
        """Open a call of a client's tool."""
        self._calls[call.key] = self._writers.call(
            self._emitter, *self._output.allocate(BY_NAME[call.kind].prefix), call
        )

    def before_call(self) -> None:
        """Close open items before a call, so that the client can run earlier calls while the next one streams."""
        self._begin()
        for key, writer in self._calls.items():
            if writer is not None and is_object(writer.arguments):
                self._close_call(key, writer, "completed")

    def feed_call(self, delta: CallDelta) -> bool:
        """Append to a call's arguments; False where no such call is open, or was closed already and this is but a blank."""
        writer = self._calls.get(delta.key)
        if writer is not None:
            if delta.text:
                writer.text(delta.text)
            return True
        return delta.key in self._calls and not delta.text.strip()

    def close(self, status: str) -> None:
        """Close all items at the Turn's end."""
        self._close_texts(status)
        if self._calls:
            for key, writer in self._calls.items():
                if writer is not None:
                    self._close_call(key, writer, status)
            self._calls.clear()

    def _begin(self) -> None:
        self._stage.check("feed")
        self.spoke = True
        if self.message is not None or self.reasoning is not None:
            self._close_texts("completed")

    def _seal(self, text: str) -> str | None:
        """Seal the thoughts that are being closed, with what goes with them."""
        options = self._terms
        seal_all = options.seal_all if self._beside else None
        return seal_all(text, self._beside) if seal_all is not None else options.seal and options.seal(text)

    def _close_texts(self, status: str) -> None:
        for writer in (self.reasoning, self.message):
            if writer is not None:
                self._output.keep(writer.index, writer.close(status))
        if self._beside:
            self.kept[self._thoughts_id] = ModelText("", opaque=tuple(self._beside))
            self._beside = []
        self.reasoning = self.message = None

    def _close_call(self, key: str, writer: CallItemWriter, status: str) -> None:
        self._calls[key] = None
        self._output.keep(writer.index, writer.close(status))
