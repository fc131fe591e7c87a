"""Gathers what an answer brings for its own kind of backend, within bounds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.chat.opaque.fields import (
    BLOCKS,
    CUMULATIVE,
    EMPTY,
    IN_BLOCKS,
    IN_CONTENT,
    NOBODY,
    OF_CALLS,
    THOUGHTS,
    WHOLE,
    Block,
    Origin,
    entries_of,
    is_signed,
    merged,
    pruned,
    value_of,
)
from antiphon.core.deltas import Delta, InputRemoved, OpaqueDelta
from antiphon.core.json_encoding import to_json
from antiphon.core.opaque import Opaque
from antiphon.core.request.json_text import has_more_containers
from antiphon.types.chat import ChatDelta, ChatToolCall

log = logging.getLogger("antiphon.backends.chat.opaque")

MOST_OPAQUE = 1024 * 1024
"""Characters that are kept of one answer for its backend."""
MOST_BLOCKS = 1_000
"""Blocks of thoughts that are kept of one answer."""
MOST_CONTAINERS = 200
"""Arrays and objects of one such field in a chunk."""


class Gathered(msgspec.Struct, eq=False):
    """What was gathered of one answer: most have nothing of it."""

    blocks: dict[str, list[Block]] = {}
    whole: dict[str, Any] = {}
    calls: dict[str, dict[str, Raw]] = {}
    ids: dict[str, str] = {}
    seen: dict[tuple[str, str], bytes] = {}
    before: dict[tuple[str, str], str | None] = {}


class Gatherer(msgspec.Struct, eq=False):
    """Gathers what one answer brings for its own kind of backend; it is given out in parts, where an item begins.

    `usual` is the field in which thoughts are sent back, `learn` is told in which a model's come, `removed` is what the request
    had to do without. `field` is where the thoughts of this answer come; `dirty` tells that there is something to give.
    """

    _origin: Origin = NOBODY
    _usual: str = THOUGHTS[0]
    removed: Sequence[InputRemoved] = ()
    _learn: Callable[[str, str], None] | None = None
    dirty: bool = False
    field: str = ""
    _told: str = ""  # the field, until it is given
    _inside: bool = False
    _size: int = 0
    _full: bool = False
    _count: int = 0
    _found: Gathered | None = None

    @property
    def _parts(self) -> Gathered:
        if self._found is None:
            self._found = Gathered()
        return self._found

    def note_field(self, delta: ChatDelta) -> None:
        """Keep the field in which the thoughts come, where it is not the usual one."""
        self.field = next((name for name in THOUGHTS if getattr(delta, name)), "") or IN_BLOCKS
        if self.field is IN_BLOCKS:
            return
        if self._learn is not None:
            self._learn(self._origin.model, self.field)
        if self._usual and self.field != self._usual:
            self._told = self.field
            self.dirty = True

    def note_content(self) -> None:
        """Keep that thoughts come as parts of the content."""
        if not self.field:
            self.field = self._told = IN_CONTENT
            self.dirty = True

    def take(self, delta: ChatDelta, thoughts: str | None) -> str:
        """Keep what a delta has for the backend. Returns its thoughts: those of blocks where no text has them."""
        thoughts = thoughts or delta.thinking or delta.reasoning_text
        if not (
            delta.reasoning_details
            or delta.thinking_blocks
            or delta.extra_content
            or delta.provider_specific_fields
            or delta.reasoning_opaque
        ):
            return thoughts or ""
        said = ""
        for name, keys in BLOCKS.items():
            for entry in entries_of(self._value(getattr(delta, name))):
                if str(entry.get("format")).startswith(CUMULATIVE):
                    entry = self._news(entry, keys)
                said += self._block(name, entry, keys)
        for name in WHOLE:
            value = pruned(name, self._value(getattr(delta, name)))
            if self._is_new("", name, value):
                self._parts.whole[name] = merged(self._parts.whole.get(name), value)
        if thoughts or self.field not in ("", IN_BLOCKS):
            return thoughts or ""
        self._inside = self._inside or (bool(said) and bool(self._parts.blocks))
        return said

    def give(self, out: list[Delta], at: int | None = None) -> None:
        """Add what was kept since the last time, at the end or before what stands at a place."""
        if self.dirty:
            out.insert(len(out) if at is None else at, OpaqueDelta(self._flush()))

    def sign(self, call: ChatToolCall, call_id: str) -> None:
        """Keep what a call has for the backend, under the id that the client knows."""
        if not call_id:
            return
        for name in OF_CALLS:
            value = pruned(name, self._value(getattr(call, name)))
            if self._is_new(call_id, name, value):
                self._parts.calls.setdefault(call_id, {})[name] = Raw(self._parts.seen[call_id, name])
        if call.id and is_signed(call.id) and self._is_new(call_id, "id", call.id):
            self._parts.ids[call_id] = call.id

    def _flush(self) -> Opaque:
        message = {
            name: Raw(to_json([block.whole() for block in blocks])) for name, blocks in self._parts.blocks.items()
        }
        message |= {name: Raw(to_json(value)) for name, value in self._parts.whole.items()}
        origin = self._origin
        opaque = Opaque(
            kind=origin.kind,
            address=origin.address,
            model=origin.model,
            field=self._told,
            inside=self._inside,
            message=message,
            calls=self._parts.calls,
            ids=self._parts.ids,
        )
        self.dirty = self._inside = False
        self._told = ""
        self._parts.blocks, self._parts.whole, self._parts.calls, self._parts.ids = {}, {}, {}, {}
        return opaque

    def _block(self, name: str, entry: Mapping[str, Any], keys: Sequence[str]) -> str:
        size = sum([len(value) if isinstance(value, str) else 8 for value in entry.values()])
        if not self._has_room(size):
            return "".join([value for key in keys if isinstance(value := entry.get(key), str)])
        blocks = self._parts.blocks.setdefault(name, [])
        block = next((one for one in blocks[:-9:-1] if one.goes_on(entry)), None)
        if block is None:
            block = Block()
            blocks.append(block)
            self._count += 1
            if self._count > MOST_BLOCKS:
                self._stop("blocks of thoughts", MOST_BLOCKS)
        self.dirty = bool(self._parts.blocks)
        return block.add(entry, keys)

    def _news(self, entry: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
        """Return a fragment without the text that came before, where each fragment of a block repeats it.

        The second fragment of a block tells whether they do; the text is kept for as long as they do.
        """
        news = dict(entry)
        for key in keys:
            value, of = entry.get(key), (str(entry.get("index"))[:16], key)
            before = self._parts.before.get(of, "")
            if not isinstance(value, str) or before is None:
                continue
            repeated = value.startswith(before)
            if before and repeated:
                news[key] = value[len(before) :]
            if of in self._parts.before or len(self._parts.before) < MOST_BLOCKS:
                self._parts.before[of] = value if repeated else None
        return news

    def _is_new(self, call_id: str, name: str, value: Any) -> bool:
        """Tell whether a field is to be kept: some servers repeat it in every fragment."""
        if value in EMPTY:
            return False
        encoded = to_json(value)
        if self._parts.seen.get((call_id, name)) == encoded or not self._has_room(len(encoded)):
            return False
        self._parts.seen[call_id, name] = encoded
        self.dirty = True
        return True

    def _has_room(self, size: int) -> bool:
        self._size += size
        if self._size > MOST_OPAQUE:
            self._stop("characters", MOST_OPAQUE)
        return not self._full

    def _value(self, raw: Raw | None) -> Any:
        if raw is None:
            return None
        data = bytes(raw)
        if len(data) > MOST_OPAQUE:
            self._stop("bytes in a field", MOST_OPAQUE)
        elif has_more_containers(MOST_CONTAINERS, data):
            self._stop("arrays and objects in a field", MOST_CONTAINERS)
        else:
            return value_of(data)
        return None

    def _stop(self, what: str, most: int) -> None:
        """Keep no more of this answer: blocks that are not whole would be refused."""
        if not self._full:
            log.warning("thought signatures of an answer are not kept: over %d %s", most, what)
        self._full = True
        self._parts.blocks = {}
        self._inside = False
