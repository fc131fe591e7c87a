"""Chat completions as another front end writes them: chunks while an answer grows, and the answer as a whole."""

from __future__ import annotations

from functools import partial
from json import loads
from typing import Any

from msgspec import Raw

from antiphon.core.deltas import CallStart, Finish, FinishReason
from antiphon.core.json_encoding import to_json
from antiphon.core.stream.emitter import MuteEmitter
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.stream.writer_table import Dialect, WriterTable
from antiphon.core.text.pieces import text_json
from antiphon.errors import APIError
from antiphon.types.events import Event
from antiphon.types.items import FunctionCall, Message, OutputText, PlainText, Reasoning, ReasoningText
from antiphon.types.response import ModerationError, ModerationReport, ModerationResult, Response, Usage

REASONS = {
    FinishReason.LENGTH: "length",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.MAX_MESSAGES: "length",
}
CHUNK, SILENCE = "chunk", "silence"


class ChunkEmitter(MuteEmitter):
    """Makes the chunks of one answer, or with `quiet` only the whole. OpenAI's events are counted.

    `counted`: the stream ends with the token counts. `reads`: the prompt is read, and nothing answered.
    """

    __slots__ = (
        "_annotations",
        "_calls",
        "_counted",
        "_head",
        "_images",
        "_quiet",
        "_reads",
        "_refusal",
        "_texts",
        "_thoughts",
    )
    mute = False

    def __init__(self, *, counted: bool = False, reads: bool = False, quiet: bool = False) -> None:
        super().__init__()
        self._counted = counted
        self._reads = reads
        self._quiet = quiet
        self._head = b""
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._refusal: list[str] = []
        self._annotations: list[Any] = []
        self._calls: list[dict[str, Any]] = []
        self._images: list[Raw] = []

    # Pieces

    def text(self, text: str) -> None:
        """Emit a piece of the answer."""
        self._texts.append(text)
        self._delta(b'"content":%b' % text_json(text))

    def thought(self, text: str) -> None:
        """Emit a piece of the thoughts."""
        self._thoughts.append(text)
        self._delta(b'"reasoning_content":%b' % text_json(text))

    def refusal(self, text: str) -> None:
        """Emit a piece of a refusal."""
        self._refusal.append(text)
        self._delta(b'"refusal":%b' % text_json(text))

    def annotate(self, annotation: bytes) -> None:
        """Emit a citation."""
        found = loads(annotation)
        type = str(found.pop("type"))
        told = {"type": type, type: found}
        self._annotations.append(told)
        self._delta(b'"annotations":[%b]' % to_json(told))

    def pictured(self, data: str) -> None:
        """Emit a picture, where those who serve such models have it."""
        url = text_json(f"data:image/png;base64,{data}")
        image = b'{"type":"image_url","image_url":{"url":%b}}' % url
        self._images.append(Raw(image))
        self._delta(b'"images":[%b]' % image)

    def call(self, call: CallStart) -> int:
        """Emit the beginning of a call and return its index."""
        index = len(self._calls)
        made = {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        self._calls.append(made)
        self._delta(b'"tool_calls":[%b]' % to_json({"index": index, **made}))
        return index

    def arguments(self, index: int, text: str) -> None:
        """Emit a piece of a call's arguments."""
        self._delta(b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]' % (index, text_json(text)))

    def end_call(self, index: int, arguments: str) -> None:
        """Take the arguments of a call that has ended."""
        self._calls[index]["function"]["arguments"] = arguments

    def _delta(self, fields: bytes, finish: bytes = b"null") -> None:
        self.sequence_number += 1
        if not self._quiet:
            choice = b'"choices":[{"index":0,"delta":{%b},"finish_reason":%b}]}' % (fields, finish)
            self._pending.append(Event(CHUNK, self._head + choice))

    # The answer

    def started(self, response: Response, *, queued: bool) -> None:
        """Emit the first chunk."""
        head = to_json(
            {
                "id": _id(response),
                "object": "chat.completion.chunk",
                "created": response.created_at,
                "model": response.model,
            }
        )
        self._head = head[:-1] + b","
        self._delta(b'"role":"assistant","content":""')

    def keepalive(self, position: int) -> None:
        """Emit a comment, which clients pass over."""
        self.sequence_number += 1
        self._pending.append(Event(SILENCE, b""))

    def failed(self, error: APIError) -> None:
        """Emit the error, as the last that is said."""
        self.sequence_number += 1
        self._pending.append(Event(CHUNK, to_json(error.body())))

    def ended(self, response: Response, finish: Finish | None) -> tuple[bytes, Event]:
        """Return the whole answer, and the last chunk."""
        if response.status == "failed":
            return b"", (self._pending.pop() if self._pending else Event(SILENCE, b""))
        reason = finish.reason if finish is not None else FinishReason.STOP
        why = "length" if self._reads else REASONS.get(reason) or ("tool_calls" if self._calls else "stop")
        usage = usage_json(response.usage)
        self._delta(b"", to_json(why))
        if isinstance(response.moderation, ModerationReport) and not self._quiet:
            told = to_json(moderation_json(response.moderation))
            self._pending.append(Event(CHUNK, self._head + b'"choices":[],"moderation":%b}' % told))
        if self._counted:
            self._pending.append(Event(CHUNK, self._head + b'"choices":[],"usage":%b}' % to_json(usage)))
        last = self._pending.pop() if self._pending else Event(SILENCE, b"")
        return self._whole(response, why, usage), last

    def _whole(self, response: Response, why: str, usage: dict[str, Any] | None) -> bytes:
        said, thoughts = "".join(self._texts), "".join(self._thoughts)
        message: dict[str, Any] = {"role": "assistant", "content": said if said or not self._calls else None}
        message["refusal"] = "".join(self._refusal) or None
        if thoughts:
            message["reasoning_content"] = thoughts
        if self._images:
            message["images"] = self._images
        if self._annotations:
            message["annotations"] = self._annotations
        if self._calls:
            message["tool_calls"] = self._calls
        more = (
            {"moderation": moderation_json(response.moderation)}
            if isinstance(response.moderation, ModerationReport)
            else {}
        )
        return to_json(
            {
                "id": _id(response),
                "object": "chat.completion",
                "created": response.created_at,
                "model": response.model,
                "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": why}],
                "usage": usage,
                **more,
            }
        )


def _id(response: Response) -> str:
    return f"chatcmpl-{response.id.removeprefix('resp_')}"


def moderation_json(moderation: ModerationReport) -> dict[str, Any]:
    """Return what moderation says as chat completions have it."""
    return {"input": _moderated(moderation.input), "output": _moderated(moderation.output)}


def _moderated(one: ModerationResult | ModerationError) -> Any:
    if isinstance(one, ModerationError):
        return one
    return {"type": "moderation_results", "model": one.model, "results": [one]}


def usage_json(usage: Usage | None) -> dict[str, Any] | None:
    """Return token counts as chat completions have them."""
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.input_tokens_details.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.output_tokens_details.reasoning_tokens},
    }


# Writers


class ChunkText:
    """The Writer of a message."""

    def __init__(self, emitter: ChunkEmitter, item_id: str, index: int) -> None:
        self.index = index
        self._emitter = emitter
        self._id = item_id
        self._pieces: list[str] = []

    def text(self, text: str, logprobs: bytes = b"") -> None:
        """Append a piece."""
        self._pieces.append(text)
        self._emitter.text(text)

    def refusal(self, text: str) -> None:
        """Append a piece of a refusal."""
        self._pieces.append(text)
        self._emitter.refusal(text)

    def annotate(self, annotation: bytes) -> None:
        """Add a citation."""
        self._emitter.annotate(annotation)

    def close(self, status: str) -> bytes:
        """Return the item."""
        text = OutputText(text="".join(self._pieces))
        return to_json(Message(id=self._id, status=status, role="assistant", content=[text]))


class ChunkThoughts:
    """The Writer of thoughts."""

    def __init__(self, emitter: ChunkEmitter, item_id: str, index: int, options: StreamTerms) -> None:
        self.index = index
        self.item_id = item_id
        self._emitter = emitter
        self._pieces: list[str] = []

    def text(self, text: str) -> None:
        """Append a piece."""
        self._pieces.append(text)
        self._emitter.thought(text)

    def close(self, status: str) -> bytes:
        """Return the item."""
        content: list[ReasoningText | PlainText] = [ReasoningText(text="".join(self._pieces))]
        return to_json(Reasoning(id=self.item_id, status=status, content=content))


class ChunkCall:
    """The Writer of a call."""

    def __init__(self, emitter: ChunkEmitter, item_id: str, index: int, call: CallStart) -> None:
        self.index = index
        self._emitter = emitter
        self._id = item_id
        self._call = call
        self._index = emitter.call(call)
        self._pieces: list[str] = []

    @property
    def arguments(self) -> str:
        """All that has come so far."""
        return "".join(self._pieces)

    def text(self, text: str) -> None:
        """Append to the arguments."""
        self._pieces.append(text)
        self._emitter.arguments(self._index, text)

    def close(self, status: str) -> bytes:
        """Return the item."""
        if not self.arguments.strip() and status == "completed":
            self.text("{}")
        call = self._call
        self._emitter.end_call(self._index, self.arguments)
        return to_json(
            FunctionCall(id=self._id, call_id=call.call_id, name=call.name, arguments=self.arguments, status=status)
        )


WRITERS = WriterTable(message=ChunkText, reasoning=ChunkThoughts, call=ChunkCall)  # type: ignore[arg-type]  # their own Emitter


def chunks(*, counted: bool, reads: bool) -> Dialect:
    """Return the events of one request."""
    return Dialect(
        emitter=partial(ChunkEmitter, counted=counted, reads=reads),
        mute=partial(ChunkEmitter, reads=reads, quiet=True),
        writers=WRITERS,
    )
