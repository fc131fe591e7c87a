"""MessageReader: a message of chat completions, or a piece of one → Deltas: text, thoughts, calls, what stands beside."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from antiphon.backends.chat.answer_text import TextSink
from antiphon.backends.chat.answers.lenient import arguments_text
from antiphon.backends.chat.answers.side_fields import SideFields
from antiphon.backends.chat.answers.usage import logprob_pieces
from antiphon.backends.chat.opaque.fields import is_signed
from antiphon.backends.chat.opaque.gathering import Gatherer
from antiphon.backends.chat.tool_calls import MOST_CALLS, Calls
from antiphon.core.deltas import Delta, ReasoningDelta, RefusalDelta, TextDelta
from antiphon.core.json_encoding import to_json
from antiphon.errors import BackendError
from antiphon.types.chat import ChatChoice, ChatDelta, ChatPart, ChatToolCall

MOST_THOUGHTS = 4_096
"""Last pieces of thoughts in which calls are looked for."""


class MessageReader(msgspec.Struct, eq=False):
    """Reads the message of one answer, delta by delta, or whole. It does not know how the answer ends.

    `marks`: without one of these, text is answer. `unwanted` gathers calls that were forbidden. `keeps_thoughts`: a call may be
    among them.
    """

    calls: Calls
    kept: Gatherer
    sink: TextSink
    marks: frozenset[str] | None
    logprobs: bool
    unwanted: list[Delta] | None
    keeps_thoughts: bool
    _thoughts: deque[str] | None = None
    _refused: bool = False
    _reasoning_size: int = 0
    _text_size: int = 0
    # The size of the text when thoughts or a call came last.
    _text_before: int = 0
    # What is read is not a fragment.
    _whole: bool = False
    # A delta that said nothing: the answer may be empty.
    _seen: bool = False
    _pictures: int = 0
    # Citations and pictures, if there are any.
    _side: SideFields | None = None

    @property
    def size(self) -> int:
        """Characters that have been said so far."""
        return self._text_size + self._reasoning_size + self.calls.size

    @property
    def unopened(self) -> bool:
        """Tell whether the answer began with thoughts that only a closing tag told."""
        return self.sink.unopened

    def _read(self, choice: ChatChoice, delta: ChatDelta, out: list[Delta]) -> None:
        reasoning, content = delta.reasoning_content or delta.reasoning, delta.content
        # Nearly all deltas are a piece of text, of thoughts or of a call: beside text, few other fields were ever seen.
        if (
            delta.reasoning_details
            or delta.extra_content
            or self._whole
            or (not content and delta.thinking_blocks)
            or (
                not (reasoning or content)
                and (delta.thinking or delta.reasoning_text or delta.provider_specific_fields or delta.reasoning_opaque)
            )
        ):
            reasoning = self.kept.take(delta, reasoning)
        if reasoning:
            if not self._reasoning_size:
                self.sink.thoughts_came()
            self._reasoning_size += len(reasoning)
            self._text_before = self._text_size
            out.append(ReasoningDelta(reasoning))
            if self.keeps_thoughts:
                self._keep_thoughts((reasoning,))
            if not self.kept.field:
                self.kept.note_field(delta)
        if content:
            if isinstance(content, str):
                self._say(content, choice, out)
            else:
                if self.kept.dirty and self._text_size == self._text_before:
                    self.kept.give(out)
                self._parts(content, choice, out)
        else:
            self._seen = True
        if delta.refusal:
            self._refuse(delta.refusal, out)
        if delta.annotations is not None or delta.images is not None:
            self._read_side(delta, out)
        if delta.tool_calls:
            self._say_calls(delta.tool_calls, out)
        elif delta.function_call is not None:
            self._end_text(out, before_call=True)
            self._call(ChatToolCall(index=0, function=delta.function_call), out)

    def _keep_thoughts(self, pieces: Sequence[str]) -> None:
        if self._thoughts is None:
            self._thoughts = deque(maxlen=MOST_THOUGHTS)
        self._thoughts += pieces

    def _say(self, content: str, choice: ChatChoice, out: list[Delta]) -> None:
        """Add a piece of the answer's text."""
        if self.kept.dirty and self._text_size == self._text_before:  # else it would part the message
            self.kept.give(out)
        marks = self.marks
        if marks is not None and not self.logprobs and (not marks or marks.isdisjoint(content)):
            self._text_size += len(content)
            out.append(TextDelta(content))  # nearly all of them, without a call
        else:
            self._text(content, choice, out)

    def _say_calls(self, calls: Sequence[ChatToolCall], out: list[Delta]) -> None:
        """Add calls, or pieces of them."""
        self._end_text(out, before_call=True)
        self._text_before = self._text_size
        if self.kept.dirty:
            self.kept.give(out)
        self.calls.chunk += 1
        for call in calls:
            self._call(call, out)

    def _go_on(self, index: int | None, arguments: str, out: list[Delta]) -> None:
        """Add a piece of a call's arguments, from a delta that says nothing else."""
        if self.marks is None or self.marks:
            self._end_text(out, before_call=True)
        self._text_before = self._text_size
        if self.kept.dirty:
            self.kept.give(out)
        calls = self.calls
        calls.chunk += 1
        if calls.count > MOST_CALLS:
            raise _too_many_calls()
        calls.fragment(index, "", "", arguments, out if self.unwanted is None else self.unwanted)

    @property
    def _beside(self) -> SideFields:
        """Citations and pictures: few answers have any."""
        if self._side is None:
            self._side = SideFields()
        return self._side

    def _read_side(self, delta: ChatDelta, out: list[Delta]) -> None:
        """Take in citations and pictures. Citations wait until the text that they belong to has been given."""
        if delta.annotations is not None:
            self._beside.annotations(delta.annotations, self._text_size)
        if delta.images is not None:
            self._picture(delta.images, out)
        if self._text_size and self.marks is not None:
            self._beside.flush(out)

    def _picture(self, raw: Raw, out: list[Delta]) -> None:
        self._end_text(out, before_call=True)
        if self._text_size:
            self._beside.flush(out)  # a picture ends the message
        before = len(out)
        self._beside.pictures(raw, out)
        self._pictures += len(out) - before

    def _call(self, call: ChatToolCall, out: list[Delta]) -> None:
        if self.calls.count > MOST_CALLS:
            raise _too_many_calls()
        function, custom = call.function, call.custom
        if custom is not None:
            name, text = custom.name or "", custom.input or ""
        elif function is not None:
            name, text = function.name or "", arguments_text(function.arguments)
        else:
            name, text = call.name or "", arguments_text(call.arguments)
        if self.unwanted is not None:
            out = self.unwanted
        at = len(out)
        if self._whole:
            self.calls.whole(call.id or "", name, text, out, raw=custom is not None)
        elif function is not None or custom is not None or call.id or name or text:
            self.calls.fragment(call.index, call.id or "", name, text, out, raw=custom is not None)
        signed = call.extra_content or call.provider_specific_fields or call.thought_signature
        if (signed or (call.id and is_signed(call.id))) and self.unwanted is None:
            self.kept.sign(call, self.calls.id_of(call.index, call.id or ""))
            self.kept.give(out, at)

    def _refuse(self, text: str, out: list[Delta]) -> None:
        self._refused = True
        self._text_size += len(text)
        out.append(RefusalDelta(text))

    def _parts(self, parts: Sequence[ChatPart], choice: ChatChoice, out: list[Delta]) -> None:
        for part in parts:
            if part.thinking is not None:
                thoughts = part.thinking
                text = thoughts if isinstance(thoughts, str) else "".join(inner.text or "" for inner in thoughts)
                if text:
                    self.kept.note_content()
                    self._text_before = self._text_size
                    self._reasoning_size += len(text)
                    out.append(ReasoningDelta(text))
            elif part.refusal:
                self._refuse(part.refusal, out)
            elif said := part.text or part.content:
                self._text(said, choice, out)
            elif part.image_url is not None or part.b64_json:
                self._picture(part.image_url if part.image_url is not None else Raw(to_json(part)), out)
            elif part.url and part.type.endswith("reference"):
                self._beside.reference({"url": part.url, "title": part.title}, self._text_size)

    def _text(self, text: str, choice: ChatChoice, out: list[Delta]) -> None:
        self._text_size += len(text)
        logprobs = b""
        if self.logprobs and choice.logprobs is not None and not self._whole:
            logprobs = logprob_pieces(choice.logprobs)
        marks = self.marks
        if marks is not None and (not marks or marks.isdisjoint(text)):
            out.append(TextDelta(text, logprobs))
        else:
            self.sink.feed(text, logprobs, out)
            self.marks = self.sink.marks

    def _end_text(self, out: list[Delta], *, before_call: bool, cut: bool = False) -> None:
        if self.marks is None or self.marks:
            self.sink.end(out, before_call=before_call, cut=cut)
            self.marks = self.sink.marks


def _too_many_calls() -> BackendError:
    return BackendError(502, f"The backend's answer has more than {MOST_CALLS} tool calls.")
