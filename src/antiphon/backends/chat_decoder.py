"""Chat completions' chunks → Deltas. A whole answer is read as one chunk, so that both give the same response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.backends.chat_calls import Calls
from antiphon.backends.chat_errors import error_from_event
from antiphon.backends.chat_text import open_sink
from antiphon.backends.chat_usage import logprob_pieces, usage_from
from antiphon.backends.emulation import Emulation
from antiphon.backends.profiles import Leak, Profile, ThinkPolicy
from antiphon.core.deltas import Delta, Finish, ReasoningDelta, RefusalDelta, TextDelta, UsageReport
from antiphon.core.emitter import to_json
from antiphon.core.halves import Halves
from antiphon.core.toolmap import ToolMap
from antiphon.errors import BackendError
from antiphon.types.chat import ChatChoice, ChatChunk, ChatDelta, ChatPart, ChatToolCall, ChatUsage

_chunk = msgspec.json.Decoder(ChatChunk, strict=False)
_REASONS = {"function_call": "tool_calls", "max_tokens": "length", "model_length": "length"}
_NORMAL = frozenset(("stop", "length", "content_filter", "tool_calls"))
_BROKEN = frozenset(("error", "abort", "aborted", "insufficient_system_resource", "network_error"))


class ChatDecoder:
    """Reads the answer to one request. `complete` tells whether the backend has said that it is at its end."""

    __slots__ = (
        "_calls",
        "_halves",
        "_logprobs",
        "_plain",
        "_profile",
        "_reason",
        "_reasoning_size",
        "_sink",
        "_text_size",
        "_usage",
        "complete",
    )

    def __init__(
        self,
        tools: ToolMap,
        profile: Profile,
        *,
        call_base: str,
        think: ThinkPolicy = "auto",
        leaks: Sequence[Leak] = (),
        parallel: bool = True,
        logprobs: bool = False,
        emulation: Emulation | None = None,
    ) -> None:
        self.complete = False
        self._calls = Calls(tools, call_base, parallel=parallel)
        self._halves = Halves()
        self._profile = profile
        self._sink = open_sink(emulation, think, leaks, tools, self._calls)
        self._plain = self._sink.plain
        self._logprobs = logprobs
        self._usage: ChatUsage | None = None
        self._reason = ""
        self._reasoning_size = 0
        self._text_size = 0

    # Feeding

    def feed(self, payloads: Sequence[bytes]) -> list[Delta]:
        """Read the data of some events. Raises BackendError for an error among them, or for nonsense."""
        out: list[Delta] = []
        for payload in payloads:
            if payload == b"[DONE]":
                self.complete = True
                continue
            try:
                chunk = _chunk.decode(payload)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                chunk = _lenient(payload, self._halves)
            if chunk.error is not None or chunk.usage is not None or not chunk.choices:
                self._about(chunk, payload)
            for choice in chunk.choices or ():
                if not choice.index:
                    self._read(choice, choice.delta or choice.message, out)
        return out

    def feed_whole(self, body: bytes) -> list[Delta]:
        """Read a whole answer. Raises BackendError where it is none."""
        out = self.feed((body,))
        if not self.complete and not out and not self._reason:
            raise BackendError(502, "The backend's answer holds no message.")
        self.complete = True
        return out

    def finish(self) -> list[Delta]:
        """Return what the end brings: text held back, the usage, the reason."""
        out: list[Delta] = []
        self._end_text(out, before_call=False)
        self._calls.close(out)
        if self._usage is not None:
            out.append(UsageReport(usage_from(self._usage, self._profile, self._reasoning_size, self._text_size)))
        reason = self._reason or ("tool_calls" if self._calls.count else "stop")
        out.append(Finish(reason))
        return out

    # One chunk

    def _about(self, chunk: ChatChunk, payload: bytes) -> None:
        """Take in what a chunk says beside its choices."""
        if chunk.error is not None and bytes(chunk.error) != b"null":
            raise error_from_event(bytes(payload))
        if chunk.usage is not None:
            self._usage = chunk.usage
        if not chunk.choices and chunk.usage is None and (chunk.object == "error" or chunk.message is not None):
            raise error_from_event(bytes(payload))

    def _read(self, choice: ChatChoice, delta: ChatDelta | None, out: list[Delta]) -> None:
        if delta is not None:
            reasoning = delta.reasoning_content or delta.reasoning
            if reasoning:
                self._reasoning_size += len(reasoning)
                out.append(ReasoningDelta(reasoning))
            content = delta.content
            if content:
                if isinstance(content, str):
                    self._text(content, choice, out)
                else:
                    self._parts(content, choice, out)
            if delta.refusal:
                out.append(RefusalDelta(delta.refusal))
            if delta.tool_calls:
                self._end_text(out, before_call=True)
                for call in delta.tool_calls:
                    self._call(call, out)
            elif delta.function_call is not None:
                self._end_text(out, before_call=True)
                function = delta.function_call
                self._calls.fragment(0, "", function.name or "", _text_of(function.arguments), out)
        if choice.finish_reason:
            self._finished(choice.finish_reason)

    def _finished(self, reason: str) -> None:
        if reason in _BROKEN:
            raise BackendError(502, "The backend broke off its answer.")
        self.complete = True
        reason = _REASONS.get(reason, reason)
        self._reason = reason if reason in _NORMAL else "stop"

    def _call(self, call: ChatToolCall, out: list[Delta]) -> None:
        function, custom = call.function, call.custom
        if custom is not None:
            self._calls.fragment(call.index, call.id or "", custom.name or "", custom.input or "", out, raw=True)
        elif function is not None:
            text = _text_of(function.arguments)
            self._calls.fragment(call.index, call.id or "", function.name or "", text, out)

    def _parts(self, parts: Sequence[ChatPart], choice: ChatChoice, out: list[Delta]) -> None:
        for part in parts:
            if part.thinking is not None:
                thoughts = part.thinking
                text = thoughts if isinstance(thoughts, str) else "".join(inner.text or "" for inner in thoughts)
                if text:
                    self._reasoning_size += len(text)
                    out.append(ReasoningDelta(text))
            elif part.refusal:
                out.append(RefusalDelta(part.refusal))
            elif part.text:
                self._text(part.text, choice, out)

    def _text(self, text: str, choice: ChatChoice, out: list[Delta]) -> None:
        self._text_size += len(text)
        logprobs = b""
        if self._logprobs and choice.logprobs is not None:
            logprobs = logprob_pieces(choice.logprobs)
        if self._plain:
            out.append(TextDelta(text, logprobs))
        else:
            self._sink.feed(text, logprobs, out)
            self._plain = self._sink.plain

    def _end_text(self, out: list[Delta], *, before_call: bool) -> None:
        if not self._plain:
            self._sink.end(out, before_call=before_call)
            self._plain = self._sink.plain


def _text_of(arguments: str | dict[str, Any] | None) -> str:
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return to_json(arguments).decode()


def _lenient(payload: bytes, halves: Halves) -> ChatChunk:
    """Decode what msgspec refuses because of lone surrogates, once they are mended."""
    try:
        return _chunk.decode(halves.mend(payload))
    except (ValueError, RecursionError):
        raise BackendError(502, "The backend sent something that is not a chat completion.") from None
