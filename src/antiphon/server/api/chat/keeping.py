"""Chat completions with `store: true`: kept before the answer ends, whole or streamed, under an id of this server."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.request.json_text import DEEPEST, nested_deeper
from antiphon.core.request.validation import decode
from antiphon.core.text.sse import DONE, SSEParser, unbroken
from antiphon.errors import APIError, StoreError
from antiphon.runtime.offload import by_size
from antiphon.server.api.chat.folding import ChunkFold, decode_chunk
from antiphon.server.api.relayed import WHOLE_LIMIT
from antiphon.server.http.messages import ByteSink
from antiphon.stores.base import Store
from antiphon.stores.records import StoredChat
from antiphon.types.request import Metadata

_metadata = msgspec.json.Decoder(Metadata | None)
_fields = msgspec.json.Decoder(dict[str, Raw])
_choice = msgspec.json.Decoder(list[Raw])

LARGEST_CHUNK = 2 * WHOLE_LIMIT

TOO_LARGE = APIError(
    502, f"The answer is larger than {WHOLE_LIMIT} bytes and cannot be stored.", code="answer_too_large"
)
NOT_STORED = APIError(500, "The answer could not be stored.", code="server_error")


def checked_metadata(value: Raw | None, param: str = "metadata") -> bytes:
    """Return metadata as JSON. Raises InvalidRequest."""
    found = decode(_metadata, value, param) if value is not None else None
    return to_json(found or {})


class ChatKeeping:
    """Makes what keeps the answers. `days`: how long, 0 for ever."""

    def __init__(self, store: Store, clock: Callable[[], float], new_id_base: Callable[[], str], days: float) -> None:
        self._store = store
        self._clock = clock
        self._new_id_base = new_id_base
        self._days = days

    def open(self, owner: str, model: str, fields: Mapping[str, Raw]) -> KeptAnswer:
        """Return what keeps the answer to a request. Raises InvalidRequest, and APIError 503 where the store takes no writes."""
        self._store.database.condition.check()
        now = int(self._clock())
        chat = StoredChat(
            id=f"chatcmpl-{self._new_id_base()}",
            owner=owner,
            model=model,
            created_at=now,
            body=b"",
            messages=bytes(fields["messages"]),
            metadata=checked_metadata(fields.get("metadata")),
            expires_at=now + int(self._days * 86400) if self._days else None,
        )
        return KeptAnswer(self._store, chat)


class KeptAnswer:
    """Keeps one answer."""

    def __init__(self, store: Store, chat: StoredChat) -> None:
        self._store = store
        self._chat = chat

    @property
    def id(self) -> str:
        """The completion's id."""
        return self._chat.id

    async def whole(self, body: bytes) -> bytes:
        """Keep an answer that came whole; return it under its id. One that is no completion is passed on as it is.

        Raises APIError where it cannot be stored.
        """
        own = await by_size(len(body), _named, body, self.id)
        if own is None:
            return body
        await self.put(own)
        return own

    async def put(self, body: bytes) -> None:
        """Store a completion. Raises APIError."""
        try:
            await self._store.chats.put(msgspec.structs.replace(self._chat, body=body))
        except StoreError:
            raise NOT_STORED from None

    def sink(self, sink: ByteSink) -> KeptSink:
        """Return a sink that keeps the stream which goes through it."""
        return KeptSink(sink, self)


def _named(body: bytes, id: str) -> bytes | None:
    """Return a completion under another id; None for what is none."""
    try:
        fields = _fields.decode(body)
        choices = _choice.decode(fields["choices"]) if "choices" in fields else []
    except (ValueError, RecursionError):
        return None
    return to_json({**fields, "id": id}) if choices else None


class KeptSink:
    """A ByteSink for the chunks of one answer: they go on under this server's id, the last ones after the commit.

    An answer that ends with an error, or before its `finish_reason`, is not kept.
    """

    def __init__(self, sink: ByteSink, answer: KeptAnswer) -> None:
        self.drain = sink.drain
        self._sink = sink
        self._answer = answer
        self._parser = SSEParser(LARGEST_CHUNK)
        self._fold = ChunkFold()
        self._held: list[bytes] = []
        self._size = 0
        self._failed = False

    def write_nowait(self, data: bytes) -> bool:
        """Send chunks on, but for those that end the answer. Raises BackendError for one that is too large, and ClientGone."""
        frames = [frame for payload in self._parser.feed(data) for frame in self._frames(payload)]
        if not frames and data.startswith(b":"):
            frames.append(data)  # a comment keeps the connection alive
        return self._sink.write_nowait(b"".join(frames)) if frames else True

    async def write(self, data: bytes) -> None:
        """Do the same, waiting while the client reads too slowly."""
        self.write_nowait(data)
        await self.drain()

    async def close(self, last: bytes = b"") -> None:
        """Keep the answer, and then end it."""
        for payload in self._parser.close():
            self._held += self._frames(payload)
        if self._fold.complete and not self._failed:
            try:
                if self._size > WHOLE_LIMIT:
                    raise TOO_LARGE
                whole = await by_size(self._size, self._whole)
                await self._answer.put(whole)
            except APIError as error:
                self._held = [b"data: %b\n\n" % to_json(error.body()), DONE]
                last = b""
        await self._sink.close(b"".join(self._held) + last)

    def _whole(self) -> bytes:
        return to_json({**self._fold.whole(), "id": self._answer.id})

    def _frames(self, payload: bytes) -> list[bytes]:
        """Return the frames that may be sent now that an event has come."""
        if payload == b"[DONE]":
            self._held.append(DONE)
            return []
        self._size += len(payload)
        try:
            chunk = {} if nested_deeper(payload, DEEPEST) else decode_chunk(payload)
        except (ValueError, RecursionError):
            chunk = {}
        if not chunk:
            self._failed = True
            return [*self._released(), b"data: %b\n\n" % payload]
        if chunk.get("error"):
            self._failed = True
        if self._size <= WHOLE_LIMIT:
            self._fold.add(chunk)
        frame = b"data: %b\n\n" % unbroken(to_json({**chunk, "id": self._answer.id}) if "choices" in chunk else payload)
        if self._failed or _says_more(chunk):
            return [*self._released(), frame]
        self._held.append(frame)
        return []

    def _released(self) -> list[bytes]:
        held, self._held = self._held, []
        return held


def _says_more(chunk: Mapping[str, object]) -> bool:
    """Tell whether a chunk continues an answer, rather than ending one or counting tokens."""
    choices = chunk.get("choices")
    if not isinstance(choices, list) or not choices:
        return False
    return not any(isinstance(choice, dict) and choice.get("finish_reason") for choice in choices)
