"""Events of the Messages API → Deltas. A whole answer is read as the events that it would have been."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.anthropic.answers import (
    BlockDelta,
    ContentBlock,
    MessageEvent,
    TokenCounts,
    WholeMessage,
    check_containers,
    no_event,
    told,
)
from antiphon.backends.anthropic.growing_blocks import GrowingBlock, entries_of, explanation_of, says
from antiphon.backends.anthropic.origin import BLOCKS, MessagesOrigin
from antiphon.backends.chat.answers.endings import tell_uncalled
from antiphon.backends.chat.answers.side_fields import SideFields
from antiphon.backends.chat.opaque.gathering import MOST_OPAQUE
from antiphon.backends.chat.tool_calls import MOST_CALLS, Calls
from antiphon.backends.error_words import mended
from antiphon.core.deltas import (
    Delta,
    Finish,
    FinishReason,
    InputRemoved,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    UsageReport,
)
from antiphon.core.json_encoding import to_json
from antiphon.core.opaque import Opaque
from antiphon.core.text.sse import LARGE_EVENT, MOST_SAID
from antiphon.core.text.surrogate_halves import Halves
from antiphon.errors import BackendError

log = logging.getLogger("antiphon.backends.anthropic")

MOST_BLOCKS = 2_000
"""Blocks of one answer."""

PAUSED = "pause_turn"
_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP_SEQUENCE,
    "tool_use": FinishReason.TOOL_CALLS,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "refusal": FinishReason.CONTENT_FILTER,
}
_CALLS = ("tool_use",)

_event = msgspec.json.Decoder(MessageEvent)
_block = msgspec.json.Decoder(ContentBlock)
_answer = msgspec.json.Decoder(WholeMessage)
_lenient_event = msgspec.json.Decoder(MessageEvent, strict=False)
_lenient_answer = msgspec.json.Decoder(WholeMessage, strict=False)
_citation = msgspec.json.Decoder(dict[str, Any])


class MessagesDecoder:
    """Reads the answer to one request, streamed or whole.

    `ended`: the server has said `message_stop`, which `finish` asks for unless `may_lack_end`. `forced`: the answer must have a
    call, `uncalled` that it has none. `paused`: the server wants to be asked again with `content`, what the answer has so far.
    """

    __slots__ = (
        "_blocks",
        "_calls",
        "_done",
        "_forced",
        "_halves",
        "_may_lack_end",
        "_now",
        "_opaque_size",
        "_origin",
        "_reason",
        "_reasoning_size",
        "_removed",
        "_side",
        "_stopped_at",
        "_text_size",
        "_usage",
        "ended",
        "uncalled",
    )

    def __init__(
        self,
        calls: Calls,
        origin: MessagesOrigin,
        *,
        removed: Sequence[InputRemoved] = (),
        forced: bool = False,
        may_lack_end: bool = False,
    ) -> None:
        self.ended = False
        self._calls = calls
        self._origin = origin
        self._removed = removed
        self._forced = forced
        self.uncalled = False  # there is no call, although there must be one
        self._may_lack_end = may_lack_end
        self._usage = TokenCounts()
        self._halves = Halves()
        self._side: SideFields | None = None
        self._reason = self._stopped_at = ""
        self._text_size = self._reasoning_size = self._opaque_size = 0
        self._blocks: dict[int, GrowingBlock] = {}
        self._done: list[GrowingBlock] = []
        self._now = GrowingBlock(-1, "", b"")

    @property
    def size(self) -> int:
        """Characters that have been said so far."""
        return self._text_size + self._reasoning_size + self._calls.size

    @property
    def paused(self) -> bool:
        """Tell whether the answer, which has ended, goes on with another request."""
        return self._reason == PAUSED

    def go_on(self) -> bytes:
        """Return the content so far as a JSON array; what is fed from now on goes on from there."""
        self._usage.turn()
        self._reason, self.ended = "", False
        self._blocks.clear()
        return b"[%b]" % b",".join([block.whole() for block in self._done])

    # Feeding

    def feed(self, payloads: Sequence[bytes], out: list[Delta]) -> None:
        """Read the data of some events. Raises BackendError for an error among them; `out` has what came before it."""
        for payload in payloads:
            if len(payload) > LARGE_EVENT:
                check_containers(payload)
            try:
                event = _event.decode(payload)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                event = self._mended(payload)
            if event.type == "content_block_delta" and event.delta is not None:
                self._piece(event.index, event.delta, out)
            else:
                self._event(event, payload, out)
            if self.ended:
                return

    def whole(self, body: bytes, out: list[Delta]) -> None:
        """Read an answer that came whole, although a stream was asked for. Raises BackendError where it is none."""
        if len(body) > LARGE_EVENT:
            check_containers(body)
        try:
            answer = _answer.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            try:
                answer = _lenient_answer.decode(to_json(mended(body, self._halves)))
            except (msgspec.MsgspecError, ValueError, RecursionError):
                raise no_event(body) from None
        if answer.type == "error" or says(answer.error) or answer.content is None:
            raise no_event(body) if answer.type != "error" else told(body)
        self._usage.add(answer.usage)
        for index, raw in enumerate(answer.content):
            self._begin(index, bytes(raw), out, whole=True)
            self._close(index, out)
        self._end(answer, out)
        self.ended = answer.stop_reason is not None or self._may_lack_end

    def finish(self, out: list[Delta]) -> None:
        """Add what the end brings: the usage, the reason. Raises BackendError for an answer without an end."""
        self._calls.close(out)
        if self._usage.known:
            out.append(UsageReport(self._usage.usage(self._reasoning_size, self._text_size)))
        if not self.ended and not (self._may_lack_end and self.size):
            raise BackendError(502, "The backend's answer ended early: it sent no message_stop.", retriable=True)
        called = self._calls.started > 0
        reason = _REASONS.get(self._reason, FinishReason.STOP)
        if called and not reason.cut:
            reason = FinishReason.TOOL_CALLS
        if self._forced and not called and not reason.cut:
            self.uncalled = True
            tell_uncalled(self._origin.model)
        if reason is FinishReason.TOOL_CALLS and not called:
            reason = FinishReason.STOP
        said = self._stopped_at if reason is FinishReason.STOP_SEQUENCE else ""
        out.append(Finish(FinishReason.LENGTH if self.paused else reason, said))

    def _mended(self, payload: bytes) -> MessageEvent:
        """Read an event with characters cut in two, or values of odd types. Raises BackendError for what is none."""
        try:
            value = mended(payload, self._halves)
            if isinstance(value, dict) and isinstance(value.get("type"), str):
                return _lenient_event.decode(to_json(value))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
        raise no_event(payload)

    # One event

    def _piece(self, index: int, delta: BlockDelta, out: list[Delta]) -> None:
        """Take in a piece of a block: nearly all events."""
        block = self._now
        if block.index != index:
            block = self._now = self._blocks.get(index) or self._opened(index, delta)
        if delta.text:
            self._text_size += len(delta.text)
            block.pieces.append(delta.text)
            out.append(TextDelta(delta.text))
        elif delta.partial_json:
            block.pieces.append(delta.partial_json)
            if block.kind in _CALLS:
                self._calls.fragment(index, "", "", delta.partial_json, out)
        elif delta.thinking:
            self._reasoning_size += len(delta.thinking)
            block.pieces.append(delta.thinking)
            out.append(ReasoningDelta(delta.thinking))
        elif delta.signature:
            self._keep_signature(block, delta.signature)
        elif delta.citation is not None:
            self._cite(delta.citation)

    def _opened(self, index: int, delta: BlockDelta) -> GrowingBlock:
        """Open a block whose beginning never came."""
        if delta.partial_json is not None:
            raise BackendError(502, "The backend sent the input of a tool call that has not begun.")
        kind = "thinking" if delta.thinking is not None or delta.signature is not None else "text"
        return self._open(index, kind, to_json({"type": kind, kind: ""}))

    def _open(self, index: int, kind: str, raw: bytes) -> GrowingBlock:
        if len(self._blocks) + len(self._done) >= MOST_BLOCKS:
            raise BackendError(502, f"The backend's answer has more than {MOST_BLOCKS} blocks.")
        block = self._blocks[index] = self._now = GrowingBlock(index, kind, raw)
        return block

    def _event(self, event: MessageEvent, payload: bytes, out: list[Delta]) -> None:
        match event.type:
            case "content_block_start":
                self._begin(event.index, bytes(event.content_block or b"{}"), out)
            case "content_block_stop":
                self._close(event.index, out)
            case "message_start":
                self._start(event.message, out)
            case "message_delta":
                self._usage.add(event.usage)
                if event.delta is not None:
                    self._end(event.delta, out)
            case "message_stop":
                for index in list(self._blocks):
                    self._close(index, out)
                self.ended = True
            case "error":
                raise told(payload)
            case _:
                # Pings, and what later versions of the API bring. An error without a type is one all the same.
                if says(event.error) or not event.type:
                    raise no_event(payload)

    def _start(self, message: WholeMessage | None, out: list[Delta]) -> None:
        if self._removed:
            out += self._removed
            self._removed = ()
        if message is None:
            return
        self._usage.add(message.usage)
        if self._usage.known:
            out.append(UsageReport(self._usage.usage(0, 0)))
        for index, raw in enumerate(message.content or ()):  # after a pause all of it may stand here
            self._begin(index, bytes(raw), out, whole=True)
            self._close(index, out)
        self._end(message, out)

    def _begin(self, index: int, raw: bytes, out: list[Delta], *, whole: bool = False) -> None:
        """Begin a block; some servers put all of it here, `whole` ones have nothing else."""
        if index in self._blocks:
            self._close(index, out)
        try:
            said = _block.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            said = ContentBlock()
        block = self._open(index, said.type, raw)
        if said.type in _CALLS:
            self._begin_call(index, said, out, whole=whole)
        elif said.type == "redacted_thinking":
            self._give(raw, out)
        elif said.text or said.thinking:
            self._piece(index, BlockDelta(text=said.text, thinking=said.thinking), out)
        if said.signature and said.type == "thinking":
            self._keep_signature(block, said.signature)
        if says(said.citations) and said.citations is not None:
            for entry in entries_of(said.citations):
                self._cite(Raw(to_json(entry)))

    def _begin_call(self, index: int, said: ContentBlock, out: list[Delta], *, whole: bool) -> None:
        if self._calls.count >= MOST_CALLS:
            raise BackendError(502, f"The backend's answer has more than {MOST_CALLS} tool calls.")
        self._calls.chunk += 1
        given = bytes(said.input) if said.input is not None else b""
        nothing = given.strip() in (b"", b"null", b'""') or (not whole and given.strip() == b"{}")
        text = "" if nothing else given.decode("utf-8", "replace")
        self._calls.fragment(index, said.id or "", said.name or "", text, out)

    def _close(self, index: int, out: list[Delta]) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if self._now is block:
            self._now = GrowingBlock(-1, "", b"")
        if block.kind in _CALLS:
            self._calls.close(out)
        elif block.kind == "text" and self._side is not None:
            self._side.flush(out)
        self._done.append(block)
        if block.kind == "thinking":
            self._give(block.whole(), out)

    def _end(self, ending: BlockDelta | WholeMessage, out: list[Delta]) -> None:
        reason, details = ending.stop_reason, ending.stop_details
        if not reason:
            return
        self._stopped_at = ending.stop_sequence or ""
        if reason not in _REASONS and reason != PAUSED:
            log.info("Messages API: unknown stop_reason %.40s in an answer", reason)
        self._reason = reason
        if reason == "refusal" and says(details) and details is not None:
            said = explanation_of(details)
            if said:
                self._text_size += len(said)
                out.append(RefusalDelta(said))

    # Beside the text

    def _keep_signature(self, block: GrowingBlock, signature: str) -> None:
        self._opaque_size += len(signature)
        block.signature.append(signature)

    def _give(self, block: bytes, out: list[Delta]) -> None:
        """Keep a block of thoughts for its server: byte for byte, or not at all."""
        self._opaque_size += len(block)
        if self._opaque_size > MOST_OPAQUE:
            log.warning("Messages API: thinking blocks of an answer are not kept: over %d bytes", MOST_OPAQUE)
            return
        origin = self._origin
        out.append(
            OpaqueDelta(
                Opaque(
                    kind=origin.kind,
                    address=origin.address,
                    model=origin.model,
                    inside=True,
                    message={BLOCKS: Raw(b"[%b]" % block)},
                )
            )
        )

    def _cite(self, citation: Raw) -> None:
        """Keep a source that has an address; those of documents have no place in OpenAI's answers."""
        try:
            fields = _citation.decode(citation)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return
        if self._side is None:
            self._side = SideFields()
        self._side.reference({"url": fields.get("url"), "title": fields.get("title")}, self._text_size)

    def check_size(self) -> None:
        """Raise BackendError for an answer that says too much."""
        if self.size > MOST_SAID or self._opaque_size > 4 * MOST_OPAQUE:
            raise BackendError(502, f"The backend's answer has more than {MOST_SAID} characters.")
