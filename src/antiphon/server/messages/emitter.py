"""Events of the Messages API: blocks one after the other, whatever grows at the same time; and the Writers of blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from json import loads

import msgspec
from msgspec import UNSET, Raw, UnsetType

from antiphon.core.deltas import CallStart, Finish
from antiphon.core.json_encoding import to_json
from antiphon.core.request.json_text import is_object
from antiphon.core.stream.emitter import MuteEmitter
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.stream.writers import Growing
from antiphon.core.text.pieces import text_json
from antiphon.errors import APIError
from antiphon.server.messages.answer import (
    AnswerTerms,
    container_of,
    context_of,
    counted_at_the_end,
    details,
    message_json,
    stop_reason,
    usage_of,
)
from antiphon.server.messages.call_ids import shown_id
from antiphon.server.messages.errors import envelope
from antiphon.types.events import Event
from antiphon.types.items import FunctionCall, Message, OutputText, PlainText, Reasoning, ReasoningText
from antiphon.types.response import Response

TEXT = b'"text_delta","text"'
THINKING = b'"thinking_delta","thinking"'
SIGNATURE = b'"signature_delta","signature"'
ARGUMENTS = b'"input_json_delta","partial_json"'
CHARACTERS = 4  # per token, where the backend's call was ended before it reported usage
COMPACTION = b'"compaction_delta","encrypted_content":%b,"content"'
CITATION = b'"citations_delta","citation"'
PING = Event("ping", b'{"type":"ping"}')
STOP = Event("message_stop", b'{"type":"message_stop"}')


PICTURES = {"/9j/": "image/jpeg", "R0lG": "image/gif", "UklG": "image/webp"}
"""Beginning of a picture in base64 → its media type; others are PNG."""


class ListingEntry(msgspec.Struct, omit_defaults=True):
    """A tool of an MCP server, as a listing has it."""

    name: str
    input_schema: Raw
    description: str | None = None


_listed = msgspec.json.Decoder(ListingEntry)


class GrowingContent:
    """A content block that grows. While another one is open its pieces wait."""

    __slots__ = ("_emitter", "ended", "index", "opening", "position", "waiting")

    def __init__(self, emitter: MessagesEmitter, opening: bytes, position: int) -> None:
        self.index = -1
        self.opening = opening
        self.position = position
        self.ended = False
        self.waiting: list[tuple[bytes, bytes]] = []
        self._emitter = emitter

    def growing(self, kind: bytes, pieces: list[str]) -> Growing | None:
        """Tell how further pieces of a text are told; None while another block is open."""
        if self.index < 0:
            return None
        head = b'{"type":"content_block_delta","index":%d,"delta":{"type":%b:' % (self.index, kind)
        return Growing("content_block_delta", head, pieces, b"}}")

    def piece(self, kind: bytes, value: bytes) -> None:
        """Append a piece: a delta's type and the name of its one field, and that field's JSON."""
        if self.index >= 0:
            self._emitter.piece(self.index, kind, value)
        else:
            self.waiting.append((kind, value))

    def end(self, whole: bytes) -> None:
        """End the block, which is `whole` in the Message."""
        self.ended = True
        self._emitter.end(self, whole)


class MessagesEmitter(MuteEmitter):
    """Makes the events of one Message, or with `quiet` only the Message. OpenAI's events are counted.

    `paused`: a compaction is the last that was told. `searches` and `fetches` are the web's, `quotes` what was found there,
    by URL.
    """

    __slots__ = (
        "_content",
        "_index",
        "_line",
        "_open",
        "_quiet",
        "_told",
        "called",
        "fetches",
        "framed",
        "paused",
        "quotes",
        "refused",
        "searches",
    )
    mute = False

    def __init__(self, told: AnswerTerms, *, quiet: bool = False) -> None:
        super().__init__()
        self.called = self.refused = self.paused = False
        self.searches = self.fetches = 0
        self.quotes: dict[str, str] = {}
        self._told = told
        self._quiet = quiet
        self.framed = not quiet and not told.warm
        self._content: list[bytes | None] = []
        self._open: GrowingContent | None = None
        self._line: deque[GrowingContent] = deque()
        self._index = 0

    # Blocks

    def begin(self, opening: bytes) -> GrowingContent:
        """Open a block, or put it in line; none is shown where only the prompt is to be read."""
        block = GrowingContent(self, opening, len(self._content))
        self._content.append(None)
        self.paused = False
        if self._told.warm:
            return block
        if self._open is None:
            self._show(block)
        else:
            self._line.append(block)
        return block

    def piece(self, index: int, kind: bytes, value: bytes) -> None:
        """Emit a piece of the open block."""
        self.sequence_number += 1
        if kind is not SIGNATURE and kind is not CITATION:
            self.said += len(value) - 2
        if not self._quiet:
            body = b'{"type":"content_block_delta","index":%d,"delta":{"type":%b:%b}}' % (index, kind, value)
            self._pending.append(Event("content_block_delta", body))

    def end(self, block: GrowingContent, whole: bytes) -> None:
        """Take a block that has ended; the next in line is opened."""
        self._content[block.position] = whole
        while self._open is not None and self._open.ended:
            self._say("content_block_stop", b'{"type":"content_block_stop","index":%d}' % self._open.index)
            self._open = None
            if self._line:
                self._show(self._line.popleft())

    def _show(self, block: GrowingContent) -> None:
        self._open = block
        block.index, self._index = self._index, self._index + 1
        opening = b'{"type":"content_block_start","index":%d,"content_block":%b}' % (block.index, block.opening)
        self._say("content_block_start", opening)
        for kind, value in block.waiting:
            self.piece(block.index, kind, value)
        block.waiting.clear()

    def _say(self, type: str, body: bytes) -> None:
        self.sequence_number += 1
        if not self._quiet:
            self._pending.append(Event(type, body))

    # The Message

    def started(self, response: Response, *, queued: bool) -> None:
        """Emit `message_start`, with an estimate of the input's tokens."""
        if self._quiet:
            return
        message = message_json(response, self._told, [], usage_of(None, self._told, 0))
        self._say("message_start", b'{"type":"message_start","message":%b}' % message)

    def keepalive(self, position: int) -> None:
        """Emit `ping`."""
        self.sequence_number += 1
        self._pending.append(PING)

    def compacted(self, summary: str, sealed: str) -> None:
        """Emit a `compaction` block, which the client sends back in place of what it stands for."""
        fields = text_json(summary), text_json(sealed)
        block = self.begin(b'{"type":"compaction","content":null,"encrypted_content":null}')
        block.piece(COMPACTION % fields[1], fields[0])
        block.end(b'{"type":"compaction","content":%b,"encrypted_content":%b}' % fields)
        self.paused = True

    def listed(self, server: str, tools: Sequence[bytes]) -> None:
        """Emit an `mcp_tool_listing` block for clients that know it: they send it back, and the server is not asked again."""
        if not self._told.lists:
            return
        block = {"type": "mcp_tool_listing", "mcp_server_name": server, "tools": [_listed.decode(one) for one in tools]}
        whole = to_json(block)
        self.begin(whole).end(whole)

    def pictured(self, data: str) -> None:
        """Emit an `image` block, as requests have it: the API itself has none for a picture that a model makes."""
        kind = next((kind for begin, kind in PICTURES.items() if data.startswith(begin)), "image/png")
        source = b'{"type":"base64","media_type":%b,"data":%b}' % (to_json(kind), text_json(data))
        whole = b'{"type":"image","source":%b}' % source
        self.begin(whole).end(whole)

    def failed(self, error: APIError) -> None:
        """Do nothing: the error is the last event (`ended`)."""
        self._say("error", envelope(error, self._told.request_id))

    def ended(self, response: Response, finish: Finish | None) -> tuple[bytes, Event]:
        """Return the Message, and `message_stop`; `message_delta` stands before it. A failed one ends with its error."""
        if response.status == "failed":
            return b"", (self._pending.pop() if self._pending else STOP)
        told = self._told
        content = [] if told.warm else [block for block in self._content if block is not None]
        usage = usage_of(response.usage, told, -(-self.said // CHARACTERS), self.searches, self.fetches)
        stop = stop_reason(finish, response, told, called=self.called, refused=self.refused)
        stop = "compaction" if self.paused else stop
        sequence = finish.stop_sequence if finish is not None and stop == "stop_sequence" else None
        if self._quiet:
            self.sequence_number += 1
        else:
            ending = {"stop_reason": stop, "stop_sequence": sequence, "stop_details": details(stop)}
            ending["container"] = container_of(response, told)
            end: dict[str, object] = {"type": "message_delta", "delta": ending, "usage": counted_at_the_end(usage)}
            if told.beta:
                end["context_management"] = context_of(told)
            self._say("message_delta", to_json(end))
        return message_json(response, told, content, usage, stop, sequence), STOP


# Writers


class TextBlock:
    """The Writer of a message's text."""

    def __init__(self, emitter: MessagesEmitter, item_id: str, index: int) -> None:
        self.index = index
        self._emitter = emitter
        self._id = item_id
        self._pieces: list[str] = []
        self._texts: list[str] = []
        self._citations: list[bytes] = []
        self._block: GrowingContent | None = None

    def text(self, text: str, logprobs: bytes = b"") -> None:
        """Append a piece, opening the block first where needed: it never begins empty, and ends with its citations."""
        if self._citations:
            self._end_block()
        self._pieces.append(text)
        if self._block is None:
            self._block = self._emitter.begin(b'{"type":"text","text":"","citations":[]}')
        self._block.piece(TEXT, text_json(text))

    @property
    def growing(self) -> Growing | None:
        """The text, if its block is open and goes on."""
        return self._block.growing(TEXT, self._pieces) if self._block is not None and not self._citations else None

    def refusal(self, text: str) -> None:
        """Append a piece of a refusal, which is text too."""
        self._emitter.refused = True
        self.text(text)

    def annotate(self, annotation: bytes) -> None:
        """Add a citation of a web page to the block; one of a file has no form here."""
        found = loads(annotation)
        if found["type"] != "url_citation" or self._block is None:
            return
        url = found["url"]
        location = {"type": "web_search_result_location", "url": url, "title": found["title"], "encrypted_index": ""}
        citation = to_json({**location, "cited_text": self._emitter.quotes.get(url, "")})
        self._citations.append(citation)
        self._block.piece(CITATION, citation)

    def _end_block(self) -> None:
        text = "".join(self._pieces)
        if self._block is not None:
            cited = b"[%b]" % b",".join(self._citations)
            self._block.end(b'{"type":"text","text":%b,"citations":%b}' % (text_json(text), cited))
        self._texts.append(text)
        self._pieces = []
        self._block = None
        self._citations.clear()

    def close(self, status: str) -> bytes:
        """End the block."""
        self._end_block()
        text = "".join(self._texts)
        return to_json(Message(id=self._id, status=status, role="assistant", content=[OutputText(text=text)]))


class ThinkingBlock:
    """The Writer of thoughts: their signature is our seal, which the client sends back."""

    def __init__(
        self, emitter: MessagesEmitter, item_id: str, index: int, options: StreamTerms, *, told: AnswerTerms
    ) -> None:
        self.index = index
        self.item_id = item_id
        self._seal = options.seal
        self._shows = told.shows_thoughts
        self._pieces: list[str] = []
        self._block = emitter.begin(b'{"type":"thinking","thinking":"","signature":""}')

    @property
    def growing(self) -> Growing | None:
        """The thoughts, where they are shown."""
        return self._block.growing(THINKING, self._pieces) if self._shows else None

    def text(self, text: str) -> None:
        """Append to the thoughts."""
        self._pieces.append(text)
        if self._shows:
            self._block.piece(THINKING, text_json(text))

    def close(self, status: str) -> bytes:
        """Emit the signature and end the block."""
        text = "".join(self._pieces)
        sealed = (self._seal(text) if self._seal is not None else None) or ""
        self._block.piece(SIGNATURE, text_json(sealed))
        shown = text_json(text if self._shows else "")
        self._block.end(b'{"type":"thinking","thinking":%b,"signature":%b}' % (shown, text_json(sealed)))
        content: list[ReasoningText | PlainText] | UnsetType = [ReasoningText(text=text)] if text else UNSET
        return to_json(Reasoning(id=self.item_id, status=status, content=content, encrypted_content=sealed or UNSET))


class CallBlock:
    """The Writer of a call."""

    def __init__(self, emitter: MessagesEmitter, item_id: str, index: int, call: CallStart) -> None:
        self.index = index
        self._id = item_id
        self._call = call
        self._pieces: list[str] = []
        self._head = b'{"type":"tool_use","id":%b,"name":%b,"input":' % (
            to_json(shown_id(call.call_id)),
            to_json(call.name),
        )
        emitter.called = True
        self._block = emitter.begin(self._head + b'{},"caller":{"type":"direct"}}')

    @property
    def arguments(self) -> str:
        """All that has come so far."""
        return "".join(self._pieces)

    @property
    def growing(self) -> Growing | None:
        """The arguments."""
        return self._block.growing(ARGUMENTS, self._pieces)

    def text(self, text: str) -> None:
        """Append to the arguments."""
        self._pieces.append(text)
        self._block.piece(ARGUMENTS, text_json(text))

    def close(self, status: str) -> bytes:
        """End the call. Arguments that were cut off are no object: the Message shows none."""
        if not self.arguments.strip() and status == "completed":
            self.text("{}")
        arguments = self.arguments
        whole = arguments.encode("utf-8", "replace") if is_object(arguments) else b"{}"
        self._block.end(self._head + whole + b',"caller":{"type":"direct"}}')
        call = self._call
        return to_json(
            FunctionCall(id=self._id, call_id=call.call_id, name=call.name, arguments=arguments, status=status)
        )
