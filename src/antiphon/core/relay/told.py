"""Items of another server, told by the Writers of a front end that has no events of OpenAI's.

The item itself is made as ever: the store and the next model call read it. What of it is text goes to the Writer that a chat
backend's text would go to, piece by piece. Items of other types have no Writer there and are kept in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from antiphon.core.deltas import CallStart
from antiphon.core.kinds import KINDS, PARTED
from antiphon.core.relay.items import ARGUMENTS
from antiphon.core.relay.parts import TextPart
from antiphon.core.relay.shapes import TEXTS, Json
from antiphon.core.relay.writers import RelayedItem, WriteRelayed, write
from antiphon.core.stream.emitter import Emitter, MuteEmitter
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.tools.call_ids import FreshIds

if TYPE_CHECKING:
    from antiphon.core.stream.writer_table import WriterTable

_KIND = {kind.call: kind.name for kind in KINDS if kind.call in ARGUMENTS}


def told_by(writers: WriterTable) -> WriteRelayed:
    """Return the maker of items that these Writers tell of."""

    def make(emitter: Emitter, item: Json, id: str, options: StreamTerms) -> RelayedItem:
        if item["type"] in PARTED or item["type"] in ARGUMENTS:
            return ToldItem(emitter, item, id, options, writers)
        return write(emitter, item, id, options)

    return make


class _Pieces(MuteEmitter):
    """Hands on the pieces of text in an item's events; the events themselves are no front end's."""

    __slots__ = ("_list", "_part", "writer")

    def __init__(self) -> None:
        super().__init__()
        self.writer: Any = None
        self._list = ""
        self._part = b""

    def delta(self, type: str, head: bytes, text: str) -> None:
        """Hand on a piece. Of thoughts that come raw and in short, what comes first is told; its parts are paragraphs."""
        target = TEXTS[type]
        if target.part == "refusal":
            self.writer.refusal(text)
            return
        if target.item == "reasoning":
            self._list = self._list or target.list
            if target.list != self._list:
                return
            if self._part and head != self._part:
                text = f"\n\n{text}"
            self._part = head
        self.writer.text(text)


class ToldItem(RelayedItem):
    """An item that a Writer tells of. Thoughts are sealed by whoever made the item: that is the seal which the Writer gets."""

    __slots__ = ("_inner", "_options", "_pieces", "_sealed", "_target", "_writers")

    def __init__(self, emitter: Emitter, item: Json, id: str, options: StreamTerms, writers: WriterTable) -> None:
        super().__init__(emitter, item, id)
        self._pieces = _Pieces()
        self._inner = write(self._pieces, item, id, options)
        self._options = options
        self._writers = writers
        self._sealed: str | None = None

    @property
    def showable(self) -> bool:
        return self._inner.showable

    def is_empty(self, item: Json) -> bool:
        return self._inner.is_empty(item)

    def update(self, item: Json) -> None:
        self._inner.update(item)

    def check(self) -> None:
        self._inner.check()

    def name_call(self, ids: FreshIds, id: str) -> None:
        self._inner.name_call(ids, id)

    def announce(self, id: str, index: int) -> None:
        """Open the Writer."""
        self.id, self.index = id, index
        self.announced = True
        self._inner.announce(id, index)
        self._pieces.writer = self._writer()

    def _writer(self) -> Any:
        if self.type == "message":
            return self._writers.message(self._emitter, self.id, self.index)
        if self.type == "reasoning":
            seal = None if self._options.seal is None else lambda _: self._sealed
            return self._writers.reasoning(self._emitter, self.id, self.index, replace(self._options, seal=seal))
        call = self._inner.first()
        start = CallStart(self.id, call["call_id"], call["name"], _KIND[self.type], call.get("namespace"))
        return self._writers.call(self._emitter, self.id, self.index, start)

    def close(self, item: Json | None, status: str) -> bytes:
        """Close the item and its Writer."""
        made = self._inner.close(item, status)
        self.closed = True
        end = msgspec.json.decode(made, type=_End)
        self._sealed = end.encrypted_content
        self._pieces.writer.close(end.status)
        return made

    def part(self, list: str, kind: str, part_index: int) -> TextPart:
        return self._inner.part(list, kind, part_index)


class _End(msgspec.Struct):
    """What is read of an item that is whole."""

    status: str
    encrypted_content: str | None = None
