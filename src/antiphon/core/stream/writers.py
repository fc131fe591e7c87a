"""Writers: each owns one open item and writes its events, from `response.output_item.added` to `response.output_item.done`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Raw, Struct

from antiphon.core.deltas import CallStart
from antiphon.core.json_encoding import to_json
from antiphon.core.programs import caller
from antiphon.core.stream.emitter import Emitter, type_json
from antiphon.core.text.pieces import text_json
from antiphon.types import events as ev
from antiphon.types.items import (
    CustomToolCall,
    FunctionCall,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    SummaryText,
)

IN_PROGRESS = "in_progress"

LONG = 64 * 1024
"""Characters of a text that is encoded once for all events which repeat it."""

Part = OutputText | Refusal | ReasoningText


class Writer(Protocol):
    """The owner of one open item."""

    def close(self, status: str) -> bytes:
        """End the item with `completed` or `incomplete` and return it as JSON."""
        ...


def encoded_once(text: str) -> Any:
    """Return a text for the events that repeat it: a long one as its JSON, which is then copied rather than escaped again."""
    return text if len(text) <= LONG else Raw(text_json(text))


TEXT_PART = b'{"type":"output_text","text":%b,"annotations":[%b],"logprobs":[%b]}'
"""A part of a message, from its text as JSON, and the entries of its lists."""

REFUSAL_PART = b'{"type":"refusal","refusal":%b}'


def delta_head(type: str, item_id: str, output_index: int, rest: bytes) -> bytes:
    """Return a delta event's JSON up to the text of its `delta`."""
    head = b'{"type":%b,"item_id":%b,"output_index":%d,' % (type_json(type), to_json(item_id), output_index)
    return b"".join((head, rest, b'"delta":'))


class Growing(msgspec.Struct, frozen=True):
    """A text that is open, for who writes its delta events himself: type, JSON up to the text, what keeps the pieces.

    `tail` is the JSON behind the text, of events without a number; `b""`: the number follows. Each text has a list of its own.
    """

    type: str
    head: bytes
    pieces: list[str]
    tail: bytes = b""


class ItemWriter:
    """Base of Writers: the item's id and `output_index`, and its first and last event."""

    __slots__ = ("_emitter", "index", "item_id")

    def __init__(self, emitter: Emitter, item_id: str, index: int) -> None:
        self._emitter = emitter
        self.item_id = item_id
        self.index = index

    def _added(self, item: Struct | Raw) -> None:
        self._emitter.emit(ev.OutputItemAdded(output_index=self.index, item=item))

    def _done(self, item: object) -> bytes:
        encoded = to_json(item)
        if self._emitter.mute:
            self._emitter.skip()
        else:
            self._emitter.emit(ev.OutputItemDone(output_index=self.index, item=Raw(encoded)))
        return encoded

    def _part_added(self, content_index: int, part: Part) -> None:
        self._emitter.emit(
            ev.ContentPartAdded(item_id=self.item_id, output_index=self.index, content_index=content_index, part=part)
        )

    def _part_done(self, content_index: int, part: Any) -> None:
        self._emitter.emit(
            ev.ContentPartDone(item_id=self.item_id, output_index=self.index, content_index=content_index, part=part)
        )


class MessageWriter(ItemWriter):
    """An assistant message of text and refusal parts; a part is open while pieces of its kind come."""

    __slots__ = ("_annotations", "_head", "_kind", "_logprobs", "_parts", "_pieces")

    def __init__(self, emitter: Emitter, item_id: str, index: int) -> None:
        self._emitter, self.item_id, self.index = emitter, item_id, index
        self._parts: list[Any] = []  # as JSON, made once
        # The open part: its pieces, and its lists where it has some.
        self._pieces: list[str]
        self._annotations: list[bytes] | None = None
        self._logprobs: list[bytes] | None = None
        self._kind = ""
        self._head = b""
        if emitter.mute:
            emitter.skip()
        else:
            self._added(self._item(IN_PROGRESS))

    def _item(self, status: str) -> Message:
        return Message(id=self.item_id, status=status, role="assistant", content=self._parts)

    @property
    def growing(self) -> Growing | None:
        """The text part, if one is open."""
        return Growing("response.output_text.delta", self._head, self._pieces) if self._kind == "text" else None

    def text(self, text: str, logprobs: bytes = b"") -> None:
        """Append to the text part, opening it first where needed."""
        if self._kind != "text":
            self._open("text")
        self._pieces.append(text)
        if logprobs:
            self._text_with_logprobs(text, logprobs)
        else:
            self._emitter.delta("response.output_text.delta", self._head, text)

    def _text_with_logprobs(self, text: str, logprobs: bytes) -> None:
        self._logprobs = self._logprobs or []
        self._logprobs.append(logprobs)
        head = self._head.replace(b'"logprobs":[]', b'"logprobs":[%b]' % logprobs, 1)
        self._emitter.delta("response.output_text.delta", head, text)

    def annotate(self, annotation: bytes) -> None:
        """Add a citation to the text part, opening it first where needed."""
        if self._kind != "text":
            self._open("text")
        self._annotations = self._annotations or []
        where = b'"item_id":%b,"output_index":%d,"content_index":%d,"annotation_index":%d,"annotation":%b' % (
            to_json(self.item_id),
            self.index,
            len(self._parts),
            len(self._annotations),
            annotation,
        )
        self._annotations.append(annotation)
        self._emitter.raw("response.output_text.annotation.added", where)

    def refusal(self, text: str) -> None:
        """Append to the refusal part, opening it first where needed."""
        if self._kind != "refusal":
            self._open("refusal")
        self._pieces.append(text)
        self._emitter.delta("response.refusal.delta", self._head, text)

    def _open(self, kind: str) -> None:
        if self._kind:
            self._close_part()
        self._kind, self._pieces = kind, []
        content_index = len(self._parts)
        if self._emitter.mute:
            self._emitter.skip()
        elif kind == "text":
            self._part_added(content_index, OutputText(text=""))
            rest = b'"content_index":%d,"logprobs":[],' % content_index
            self._head = delta_head("response.output_text.delta", self.item_id, self.index, rest)
        else:
            self._part_added(content_index, Refusal(refusal=""))
            self._head = delta_head(
                "response.refusal.delta", self.item_id, self.index, b'"content_index":%d,' % content_index
            )

    def _close_part(self) -> None:
        text = text_json("".join(self._pieces))
        if self._kind == "text":
            part = TEXT_PART % (text, b",".join(self._annotations or ()), b",".join(self._logprobs or ()))
        else:
            part = REFUSAL_PART % text
        if self._emitter.mute:
            self._emitter.skip(2)
        else:
            self._content_done(Raw(text))
            self._part_done(len(self._parts), Raw(part))
        self._parts.append(Raw(part))
        self._kind = ""
        self._annotations = self._logprobs = None

    def _content_done(self, text: Any) -> None:
        where = {"item_id": self.item_id, "output_index": self.index, "content_index": len(self._parts)}
        if self._kind == "text":
            logprobs = Raw(b"[%b]" % b",".join(self._logprobs or ()))
            self._emitter.emit(ev.OutputTextDone(text=text, logprobs=logprobs, **where))  # type: ignore[arg-type]  # one dict of mixed values for two structs
        else:
            self._emitter.emit(ev.RefusalDone(refusal=text, **where))  # type: ignore[arg-type]  # as above

    def close(self, status: str) -> bytes:
        """End the open part and the message."""
        if not self._parts and not self._kind:
            self._open("text")
        if self._kind:
            self._close_part()
        return self._done(self._item(status))


class ReasoningWriter(ItemWriter):
    """A reasoning item: raw thoughts as `content`, mirrored as `summary` when asked, sealed when asked.

    Without any text it is there for what goes with it, and has no parts.
    """

    __slots__ = ("_head", "_names", "_pieces", "_seal", "_summarise", "_summary_head")

    def __init__(
        self,
        emitter: Emitter,
        item_id: str,
        index: int,
        *,
        open_responses_names: bool = False,
        summarise: bool = False,
        seal: Callable[[str], str | None] | None = None,
    ) -> None:
        super().__init__(emitter, item_id, index)
        self._pieces: list[str] = []
        self._seal = seal
        self._names = "response.reasoning" if open_responses_names else "response.reasoning_text"
        self._head = delta_head(f"{self._names}.delta", item_id, index, b'"content_index":0,')
        self._summarise = summarise
        self._summary_head = b""
        self._added(Reasoning(id=item_id, status=IN_PROGRESS))

    def _open(self) -> None:
        self._part_added(0, ReasoningText(text=""))
        if self._summarise:
            self._open_summary()

    def _open_summary(self) -> None:
        self._summary_head = delta_head(
            "response.reasoning_summary_text.delta", self.item_id, self.index, b'"summary_index":0,'
        )
        self._emitter.emit(
            ev.SummaryPartAdded(
                item_id=self.item_id, output_index=self.index, summary_index=0, part=SummaryText(text="")
            )
        )

    @property
    def growing(self) -> Growing | None:
        """The thoughts, once they have begun; None where a summary repeats them."""
        return (
            Growing(f"{self._names}.delta", self._head, self._pieces)
            if self._pieces and not self._summary_head
            else None
        )

    def text(self, text: str) -> None:
        """Append to the thoughts."""
        if not self._pieces:
            self._open()
        self._pieces.append(text)
        self._emitter.delta(f"{self._names}.delta", self._head, text)
        if self._summary_head:
            self._emitter.delta("response.reasoning_summary_text.delta", self._summary_head, text)

    def close(self, status: str) -> bytes:
        """End the thoughts, their summary and the item."""
        said = "".join(self._pieces)
        text = encoded_once(said)
        if self._pieces:
            done = ev.ReasoningDone if self._names == "response.reasoning" else ev.ReasoningTextDone
            self._emitter.emit(done(item_id=self.item_id, output_index=self.index, content_index=0, text=text))
            self._part_done(0, ReasoningText(text=text))
        return self._done(
            Reasoning(
                id=self.item_id,
                status=status,
                summary=self._close_summary(text),
                content=[ReasoningText(text=text)] if self._pieces else UNSET,
                encrypted_content=(self._seal(said) if self._seal else None) or UNSET,
            )
        )

    def _close_summary(self, text: str) -> list[SummaryText]:
        if not self._summary_head:
            return []
        part = SummaryText(text=text)
        ids = {"item_id": self.item_id, "output_index": self.index, "summary_index": 0}
        self._emitter.emit(ev.SummaryTextDone(text=text, **ids))  # type: ignore[arg-type]  # one dict of mixed values for two structs
        self._emitter.emit(ev.SummaryPartDone(part=part, **ids))  # type: ignore[arg-type]  # as above
        return [part]


class CallWriter(ItemWriter):
    """A call of the client's function or custom tool."""

    __slots__ = ("_call", "_head", "_pieces", "_type")

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        super().__init__(emitter, item_id, index)
        self._call = call
        self._pieces: list[str] = []
        name = "function_call_arguments" if call.kind == "function" else "custom_tool_call_input"
        self._type = f"response.{name}.delta"
        self._head = delta_head(self._type, item_id, index, b"")
        self._added(self._item("", IN_PROGRESS))

    def _item(self, text: str, status: str) -> FunctionCall | CustomToolCall:
        call = self._call
        namespace = call.namespace if call.namespace is not None else UNSET
        asynchronous = call.asynchronous or UNSET
        made_by = caller(call.caller) if call.caller else UNSET
        if call.kind == "custom":
            return CustomToolCall(
                id=self.item_id,
                call_id=call.call_id,
                name=call.name,
                input=text,
                status=status,
                namespace=namespace,
                caller=made_by,
                asynchronous=asynchronous,
            )
        return FunctionCall(
            id=self.item_id,
            call_id=call.call_id,
            name=call.name,
            arguments=text,
            status=status,
            namespace=namespace,
            caller=made_by,
            asynchronous=asynchronous,
        )

    def text(self, text: str) -> None:
        """Append to the arguments or the input."""
        self._pieces.append(text)
        self._emitter.delta(self._type, self._head, text)

    @property
    def growing(self) -> Growing:
        """The arguments or the input."""
        return Growing(self._type, self._head, self._pieces)

    @property
    def arguments(self) -> str:
        """All that has come so far."""
        return "".join(self._pieces)

    def close(self, status: str) -> bytes:
        """End the call. A function without arguments was called with `{}`: clients parse them as JSON."""
        function = self._call.kind == "function"
        if function and not self.arguments.strip() and status == "completed":
            self.text("{}")
        text = encoded_once(self.arguments)
        ids = {"item_id": self.item_id, "output_index": self.index}
        if function:
            self._emitter.emit(ev.ArgumentsDone(name=self._call.name, arguments=text, **ids))  # type: ignore[arg-type]  # one dict of mixed values for two structs
        else:
            self._emitter.emit(ev.InputDone(input=text, **ids))  # type: ignore[arg-type]  # as above
        return self._done(self._item(text, status))
