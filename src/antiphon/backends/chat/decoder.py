"""Chat completions' chunks → Deltas. A whole answer is read as one chunk, so that both give the same response."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.backends.chat.answer_text import NO_MARKS, TextPolicy, as_text, calls_at_end
from antiphon.backends.chat.answers.chunk_template import ChunkTemplate
from antiphon.backends.chat.answers.endings import check_end, ending, unforced
from antiphon.backends.chat.answers.errors import (
    FINE,
    check_containers,
    error_from_event,
    no_answer,
    nothing_said,
    says_fine,
)
from antiphon.backends.chat.answers.fast_chunks import FastChunks
from antiphon.backends.chat.answers.lenient import read_chunk
from antiphon.backends.chat.answers.odd_streams import badly_framed, goes_on, json_lines, says_done
from antiphon.backends.chat.answers.side_fields import sources_of
from antiphon.backends.chat.answers.usage import add_logprobs, find_usage, usage_from
from antiphon.backends.chat.message_reader import MessageReader
from antiphon.backends.chat.profiles import Profile
from antiphon.backends.error_words import parse
from antiphon.core.deltas import Delta, Finish, FinishReason, TextDelta, UsageReport, tier_of
from antiphon.core.fast_path import FastPath
from antiphon.core.text.sse import LARGE_EVENT, MOST_SAID
from antiphon.core.text.surrogate_halves import Halves
from antiphon.core.tools.tool_map import ToolMap
from antiphon.errors import BackendError
from antiphon.types.chat import ChatChoice, ChatChunk, ChatUsage

_chunk = msgspec.json.Decoder(ChatChunk, strict=False)
_text = msgspec.json.Decoder(str)
_NO_ERROR = (b"null", b"{}", b"[]", b'""', b"false", b"0")
MOST_CONTAINERS = 10_000
"""Arrays and objects of one chunk."""

MOST_CONTAINERS_OF_WHOLE = 200_000
"""The same of an answer that comes whole, which is read in a thread: 20 logprobs for each of 8,000 tokens."""

MOST_ODD = 1_000
"""Chunks of one answer that say nothing that is known."""


class ChatDecoder(MessageReader, kw_only=True):
    """Reads the answer to one request, streamed or whole.

    `ended` tells that the backend has said `[DONE]`. An answer is at its end with a `finish_reason`, which `finish` asks for:
    servers send `[DONE]` also after what they broke off. `need_reason` is False for servers that never send one. `forced`: an
    answer that is not cut off or refused must have a call. `emulated`: it is held to a schema.
    """

    tools: ToolMap
    policy: TextPolicy
    profile: Profile
    need_reason: bool
    forced: bool
    emulated: bool
    ended: bool = False
    _halves: Halves | None = None
    _usage: ChatUsage | None = None
    _tier: str = ""
    _reason: FinishReason | None = None
    # A whole answer in a stream.
    _message: ChatChoice | None = None
    _odd: bytes = b""
    _odd_ones: int = 0
    # Whole answers need none.
    _template: ChunkTemplate | None = None

    @property
    def all_thoughts(self) -> bool:
        """Tell whether the answer, which has ended, is thoughts and nothing else."""
        said = self._text_size or self.calls.started or self._pictures
        return self._reasoning_size > 0 and not said and self._reason is FinishReason.STOP

    @property
    def cut(self) -> FinishReason | None:
        """Why the answer was cut off; None where it was not."""
        return self._reason if self._reason is not None and self._reason.cut else None

    # Feeding

    def feed(self, payloads: Sequence[bytes], out: list[Delta]) -> None:
        """Read the data of some events. Raises BackendError for an error among them; `out` has what came before it."""
        template = self._template
        if template is None:
            template = self._template = ChunkTemplate()
        for payload in payloads:
            text = template.read(payload)
            if text:
                if template.text_only:
                    self._say(text, template.choice, out)
                elif template.arguments_only:
                    self._go_on(template.index, text, out)
                else:
                    self._read(template.choice, template.delta, out)
                continue
            if payload == b"[DONE]":
                self.ended = True
                return
            if len(payload) > LARGE_EVENT:
                check_containers(payload, MOST_CONTAINERS)
            try:
                chunk = _chunk.decode(payload)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                if says_done(payload):
                    self.ended = True
                    return
                if (parts := badly_framed(payload)) and not self.ended:
                    self.feed(parts, out)
                    continue
                chunk = self._lenient(payload)
            if chunk.error is not None or chunk.usage is not None or not chunk.choices:
                self._about(chunk, payload)
            for choice in chunk.choices or ():
                if not choice.index:
                    if choice.delta is not None:
                        self._read(choice, choice.delta, out)
                    elif choice.message is not None:
                        self._keep(choice)
                    if choice.finish_reason:
                        self._reason = ending(choice.finish_reason, payload) or self._reason
                        self._late(chunk, payload)
            template.learn(payload, chunk)

    def hasten(self, chunks: FastChunks, path: FastPath) -> bool:
        """Let chunks like the last one go straight to the client, where nothing here has to look at them.

        Before anything else is fed, `settle` has to be told what they said.
        """
        template, marks = self._template, self.marks
        if template is None or self.logprobs or self.unwanted is not None:
            return False
        straight = None
        if template.thoughts_only:
            if self._reasoning_size and self._seen and self.kept.field:  # the first thoughts tell more than their text
                straight, marks = path.thoughts(), NO_MARKS
        elif marks is None:
            return False
        elif template.text_only:
            if not self.kept.dirty or self._text_size != self._text_before:
                straight = path.text()
        elif template.arguments_only and not (marks or self.kept.dirty):
            call = self.calls.growing(template.index)
            straight = path.arguments(call.key) if call is not None else None
        if straight is None or marks is None:
            return False
        chunks.begin(template.before, template.after, straight, MOST_SAID - self.size, marks)
        return True

    def settle(self, texts: Sequence[str]) -> None:
        """Take note of what went straight to the client."""
        template = self._template
        assert template is not None
        template.used += len(texts)
        if template.text_only:
            self._text_size += sum(map(len, texts))
        elif template.thoughts_only:
            self._reasoning_size += sum(map(len, texts))
            self._text_before = self._text_size
            if self.keeps_thoughts:
                self._keep_thoughts(texts)
        else:
            self._text_before = self._text_size
            self.calls.grew(template.index, texts)

    def feed_whole(self, body: bytes, out: list[Delta]) -> None:
        """Read a whole answer. Raises BackendError where it is none."""
        body = body.strip().removesuffix(b"data: [DONE]")
        if len(body) > LARGE_EVENT:
            check_containers(body, MOST_CONTAINERS_OF_WHOLE)
        try:
            answer = _chunk.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            lines = json_lines(body)
            if lines:
                self.feed(lines, out)
                return
            answer = self._lenient(body)
        self._about(answer, body)
        for choice in answer.choices or ():
            if not choice.index:
                if choice.finish_reason:
                    self._reason = ending(choice.finish_reason, body)
                self._read_whole(choice, out)
                self._late(answer, body)
                return
        raise nothing_said(self._odd)

    def feed_stray(self, data: bytes, out: list[Delta]) -> None:
        """Read what stood in a stream of events and was none: a whole answer, or an error. Raises BackendError."""
        if not self.size and not self._reason and self._message is None:
            lines = [line for line in data.splitlines() if line.strip()]
            if len(lines) > 1 and all(
                line.lstrip().startswith(b"{") and line.rstrip().endswith(b"}") for line in lines
            ):
                self.feed(lines, out)  # chunks as lines of JSON, without `data:`
            else:
                self.feed_whole(data, out)
        elif not self._reason or (data.lstrip().startswith((b"{", b"[")) and parse(data).message):
            raise no_answer(data)

    def finish(self, out: list[Delta]) -> None:
        """Add what the end brings: text held back, the usage, the reason. Raises BackendError for an answer without an end."""
        if self._message is not None and not self.size and not self.calls.count:
            self._read_whole(self._message, out)
        if self.marks is None or self.marks:
            self._end_text(out, before_call=False, cut=self.cut is not None)
        if self._side is not None and self._text_size:
            self._side.flush(out)
        if self._thoughts and self.all_thoughts:
            for call in calls_at_end(self.policy, self.tools, "".join(self._thoughts)):
                self.calls.whole("", call.name, call.arguments, out)
        self.calls.close(out if self.unwanted is None else self.unwanted)
        if self.unwanted:
            out.append(TextDelta("\n" * bool(self._text_size) + as_text(self.unwanted)))
            self._reason = FinishReason.STOP if self._reason is FinishReason.TOOL_CALLS else self._reason
        if self.kept.dirty:
            self.kept.give(out)
        if self.kept.removed:
            out += self.kept.removed
        if self._usage is not None:
            out.append(UsageReport(usage_from(self._usage, self.profile, self._reasoning_size, self._text_size)))
        calls = self.calls
        said = bool(self._text_size or self._reasoning_size or calls.size or calls.started or self._pictures)
        ended = self._whole or (self.ended and not self.need_reason)
        check_end(self._reason, said=said, ended=ended, may_be_empty=self._seen, odd=self._odd)
        called = calls.started > 0 and self.unwanted is None
        reason = self._reason or (FinishReason.TOOL_CALLS if called else FinishReason.STOP)
        if self.forced and not (called or self._refused or self._excused(reason)):
            raise unforced()
        out.append(Finish(reason, service_tier=self._tier))

    def _excused(self, reason: FinishReason) -> bool:
        """Tell whether an answer was cut off before its forced call: text tells that none would have come."""
        return reason.cut and (self.emulated or not self._text_size)

    # One chunk

    def _lenient(self, payload: bytes) -> ChatChunk:
        """Read what the decoder refuses. Raises BackendError."""
        if self._halves is None:
            self._halves = Halves()
        return read_chunk(payload, self._halves)

    def _about(self, chunk: ChatChunk, payload: bytes) -> None:
        """Take in what a chunk says beside its choices. One that has none is looked through for an error's words."""
        if chunk.error is not None and bytes(chunk.error) not in _NO_ERROR and not says_fine(chunk.error):
            raise error_from_event(bytes(payload))
        if chunk.service_tier is not None:
            self._tier = _tier_in(chunk.service_tier)
        if chunk.usage is not None:
            self._usage = chunk.usage if chunk.usage.known else find_usage(payload) or self._usage
        if not chunk.choices:
            self._late(chunk, payload)
        if not chunk.choices and (chunk.usage is None or b"base_resp" in payload):
            words = parse(payload)
            if words.message and words.code not in FINE:
                raise error_from_event(bytes(payload))
            self._odd = bytes(payload)
            self._odd_ones += 1
            if self._odd_ones > MOST_ODD:
                raise BackendError(502, f"The backend sent more than {MOST_ODD} empty chunks.")

    def _late(self, chunk: ChatChunk, payload: bytes) -> None:
        """Take in what servers put beside the choices of their last chunk."""
        if self._usage is None:
            self._usage = find_usage(payload)
        sources = sources_of(chunk)
        if sources:
            self._beside.sources(sources, self._text_size)

    def _keep(self, choice: ChatChoice) -> None:
        """Keep a whole answer that came in a stream. It counts where no deltas came; a later one that goes on replaces it."""
        if self._message is not None and not goes_on(self._message.message, choice.message):
            raise BackendError(502, "The backend sent several whole messages in one stream.")
        self._message = choice

    def _read_whole(self, choice: ChatChoice, out: list[Delta]) -> None:
        message = choice.message if choice.message is not None else choice.delta
        if message is not None:
            self._whole = True
            if isinstance(message.content, str):
                self.sink.expect_whole()
            begun = len(out)
            self._read(choice, message, out)
            if self.logprobs and choice.logprobs is not None:
                self._end_text(out, before_call=False, cut=self.cut is not None)
                add_logprobs(choice.logprobs, out, begun)


def _tier_in(value: msgspec.Raw) -> str:
    try:
        return tier_of(_text.decode(value))
    except ValueError:
        return ""
