"""What a chat server says for itself alone: gathered from its answer, and sent back to its own kind in the same fields.

Blocks of thoughts stream as fragments and are put together again; all other fields are kept as they came.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from antiphon.backends.chat.tool_calls import LONGEST_ID
from antiphon.core.deltas import Delta, InputRemoved, OpaqueDelta
from antiphon.core.json_encoding import to_json
from antiphon.core.opaque import NO_OPAQUE, Opaque, OpaqueData
from antiphon.core.request.json_text import has_more_containers
from antiphon.core.text.pieces import text_json
from antiphon.types.chat import ChatDelta, ChatToolCall
from antiphon.types.items import Reasoning

log = logging.getLogger("antiphon.backends.chat")

THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_text")
"""Message fields in which servers give thoughts as text, the most frequent first."""

BLOCKS = {"reasoning_details": ("text", "summary"), "thinking_blocks": ("thinking",)}
"""Message fields that are lists of blocks → the keys of a block whose text is thoughts."""

WHOLE = ("extra_content", "provider_specific_fields", "reasoning_opaque")
"""Message fields that are kept as they came."""

OF_CALLS = ("extra_content", "provider_specific_fields", "thought_signature")
"""Fields of a call that are kept as they came."""

INSIDE = {"provider_specific_fields": ("thought_signature", "thought_signatures")}
"""Fields of which only these entries are for the backend: LiteLLM repeats others of the answer there."""

SIGNED_ID = "__thought__"
"""LiteLLM puts a signature into the call's id behind this."""
USUAL_ID = 40
"""Characters of an id that are no signature."""

MOST_OPAQUE = 1024 * 1024
"""Characters that are kept of one answer for its backend."""
MOST_BLOCKS = 1_000
"""Blocks of thoughts that are kept of one answer."""
MOST_CONTAINERS = 200
"""Arrays and objects of one such field in a chunk."""

GENERIC = "generic"
OTHER_MODEL = "model_mismatch"
OTHER_SERVER = "organization_mismatch"

_any = msgspec.json.Decoder(Any)
_EMPTY: tuple[Any, ...] = (None, "", b"", [], {})


class Origin(msgspec.Struct, frozen=True):
    """Who makes an answer: the kind of server; of servers of no known kind also the address and the model."""

    kind: str = GENERIC
    address: str = ""
    model: str = ""

    def reads(self, opaque: Opaque) -> bool:
        """Tell whether what was kept is for this one. Servers of no known kind share an address, or the model behind it."""
        if opaque.kind != self.kind:
            return False
        return self.kind != GENERIC or opaque.address == self.address or opaque.model == self.model


NOBODY = Origin()
_IN_BLOCKS = "blocks"


class _Block:
    """A block of thoughts that grows."""

    __slots__ = ("fields", "texts")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.texts: dict[str, list[str]] = {}

    def goes_on(self, entry: Mapping[str, Any]) -> bool:
        """Tell whether a fragment may belong to this block: data never comes in pieces, and a signature ends a block."""
        fields = self.fields
        if fields.get("type") != entry.get("type") or fields.get("signature") or ("data" in fields and "data" in entry):
            return False
        if entry.get("index") is not None or fields.get("index") is not None:
            return bool(entry.get("index") == fields.get("index"))
        ids = fields.get("id"), entry.get("id")
        return None in ids or ids[0] == ids[1]

    def add(self, entry: Mapping[str, Any], keys: Sequence[str]) -> str:
        """Append a fragment and return the thoughts that it adds. Some servers repeat them all beside the signature."""
        said = ""
        for name, value in entry.items():
            if name in keys and isinstance(value, str):
                pieces = self.texts.setdefault(name, [])
                if entry.get("signature") and len(pieces) > 0 and value.startswith(whole := "".join(pieces)):
                    value = value[len(whole) :]
                pieces.append(value)
                said += value
            elif value not in _EMPTY or name not in self.fields:
                self.fields[name] = value
        return said

    def whole(self) -> dict[str, Any]:
        """Return the block as a server sends it whole."""
        return {**self.fields, **{name: "".join(pieces) for name, pieces in self.texts.items()}}


class Gatherer:
    """Gathers what one answer brings for its own kind of backend; it is given out in parts, where an item begins.

    `usual` is the field in which thoughts are sent back, `learn` is told in which they come, `removed` is what the request
    had to do without. `field` is where the thoughts of this answer come; `dirty` tells that there is something to give.
    """

    __slots__ = (
        "_blocks",
        "_calls",
        "_count",
        "_ids",
        "_inside",
        "_learn",
        "_origin",
        "_seen",
        "_size",
        "_told",
        "_usual",
        "_whole",
        "dirty",
        "field",
        "removed",
    )

    def __init__(
        self,
        origin: Origin = NOBODY,
        usual: str = THOUGHTS[0],
        removed: Sequence[InputRemoved] = (),
        learn: Callable[[str], None] | None = None,
    ) -> None:
        self.dirty = False
        self.field = ""
        self.removed = removed
        self._usual = usual
        self._learn = learn
        self._origin = origin
        self._told = ""  # the field, until it is given
        self._inside = False
        self._size = 0
        self._count = 0
        self._blocks: dict[str, list[_Block]] = {}
        self._whole: dict[str, Any] = {}
        self._calls: dict[str, dict[str, Raw]] = {}
        self._ids: dict[str, str] = {}
        self._seen: dict[tuple[str, str], bytes] = {}

    def note_field(self, delta: ChatDelta) -> None:
        """Keep the field in which the thoughts come, where it is not the usual one."""
        self.field = next((name for name in THOUGHTS if getattr(delta, name)), "") or _IN_BLOCKS
        if self.field is _IN_BLOCKS:
            return
        if self._learn is not None:
            self._learn(self.field)
        if self._usual and self.field != self._usual:
            self._told = self.field
            self.dirty = True

    def take(self, delta: ChatDelta, thoughts: str | None) -> str:
        """Keep what a delta has for the backend. Returns its thoughts: those of blocks where no text has them."""
        said = ""
        for name, keys in BLOCKS.items():
            for entry in _entries(self._value(getattr(delta, name))):
                said += self._block(name, entry, keys)
        for name in WHOLE:
            value = _pruned(name, self._value(getattr(delta, name)))
            if self._is_new("", name, value):
                self._whole[name] = _merged(self._whole.get(name), value)
        if thoughts or self.field not in ("", _IN_BLOCKS):
            return thoughts or ""
        self._inside = self._inside or (bool(said) and bool(self._blocks))
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
            value = _pruned(name, self._value(getattr(call, name)))
            if self._is_new(call_id, name, value):
                self._calls.setdefault(call_id, {})[name] = Raw(self._seen[call_id, name])
        if call.id and is_signed(call.id) and self._is_new(call_id, "id", call.id):
            self._ids[call_id] = call.id

    def _flush(self) -> Opaque:
        message = {name: Raw(to_json([block.whole() for block in blocks])) for name, blocks in self._blocks.items()}
        message |= {name: Raw(to_json(value)) for name, value in self._whole.items()}
        origin = self._origin
        opaque = Opaque(
            kind=origin.kind,
            address=origin.address,
            model=origin.model,
            field=self._told,
            inside=self._inside,
            message=message,
            calls=self._calls,
            ids=self._ids,
        )
        self.dirty = self._inside = False
        self._told = ""
        self._blocks, self._whole, self._calls, self._ids = {}, {}, {}, {}
        return opaque

    def _block(self, name: str, entry: Mapping[str, Any], keys: Sequence[str]) -> str:
        size = sum([len(value) if isinstance(value, str) else 8 for value in entry.values()])
        if not self._has_room(size):
            return "".join([value for key in keys if isinstance(value := entry.get(key), str)])
        blocks = self._blocks.setdefault(name, [])
        block = next((one for one in blocks[:-9:-1] if one.goes_on(entry)), None)
        if block is None:
            block = _Block()
            blocks.append(block)
            self._count += 1
            if self._count > MOST_BLOCKS:
                self._stop("blocks of thoughts", MOST_BLOCKS)
        self.dirty = bool(self._blocks)
        return block.add(entry, keys)

    def _is_new(self, call_id: str, name: str, value: Any) -> bool:
        """Tell whether a field is to be kept: some servers repeat it in every fragment."""
        if value in _EMPTY:
            return False
        encoded = to_json(value)
        if self._seen.get((call_id, name)) == encoded or not self._has_room(len(encoded)):
            return False
        self._seen[call_id, name] = encoded
        self.dirty = True
        return True

    def _has_room(self, size: int) -> bool:
        if self._size <= MOST_OPAQUE:
            self._size += size
            if self._size > MOST_OPAQUE:
                self._stop("characters", MOST_OPAQUE)
        return self._size <= MOST_OPAQUE

    def _value(self, raw: Raw | None) -> Any:
        if raw is None:
            return None
        if has_more_containers(MOST_CONTAINERS, bytes(raw)):
            self._stop("arrays and objects in a field", MOST_CONTAINERS)
            return None
        return _value(raw)

    def _stop(self, what: str, most: int) -> None:
        """Keep no more of this answer: blocks that are not whole would be refused."""
        if self._size <= MOST_OPAQUE or self._blocks:
            log.warning("what an answer has for its backend alone is not kept: over %d %s", most, what)
        self._size = MOST_OPAQUE + 1
        self._blocks = {}
        self._inside = False


class Carried:
    """What goes back to one backend with the messages of a request; `removed` names what does not, and why."""

    __slots__ = ("_data", "_field", "_origin", "removed")

    def __init__(self, origin: Origin = NOBODY, data: OpaqueData = NO_OPAQUE, field: str = THOUGHTS[0]) -> None:
        self.removed: list[InputRemoved] = []
        self._origin = origin
        self._data = data
        told = (one.field for records in data.values() for one in records if one.field and origin.reads(one))
        self._field = next(told, "") or field

    def beside(self, item: Reasoning) -> list[Opaque]:
        """Return what was kept beside thoughts and is for this backend."""
        id = item.id if isinstance(item.id, str) else ""
        sealed = item.encrypted_content if isinstance(item.encrypted_content, str) else ""
        records = (self._data.get(id) if id else None) or (self._data.get(sealed) if sealed else None) or ()
        readable = [one for one in records if self._origin.reads(one)]
        if any(one.message or one.calls or one.ids for one in records if one not in readable):
            self.removed.append(InputRemoved(id, OTHER_MODEL))
        elif sealed and not records and item.content in (None, UNSET, []):
            self.removed.append(InputRemoved(id, OTHER_SERVER))
        return readable

    def thoughts(self, text: str, records: Iterable[Opaque]) -> bytes:
        """Return a message's thoughts as its field, in the one that they came in."""
        name = next((one.field for one in records if one.field), "") or self._field
        return b",%b:%b" % (to_json(name), text_json(text))


def is_signed(id: str) -> bool:
    """Tell whether a call's id has a signature in it, so that it must go back as it came."""
    return len(id) > USUAL_ID and (SIGNED_ID in id or len(id) > LONGEST_ID)


def fields_of(records: Sequence[Opaque]) -> bytes:
    """Return a message's fields that were kept; lists of several answers' parts are joined."""
    found: dict[str, list[Raw]] = {}
    for record in records:
        for name, value in record.message.items():
            found.setdefault(name, []).append(value)
    return b"".join([b",%b:%b" % (to_json(name), _joined(name, values)) for name, values in found.items()])


def call_fields(records: Sequence[Opaque], call_id: str) -> bytes:
    """Return a call's fields that were kept."""
    found: dict[str, Raw] = {}
    for record in records:
        found.update(record.calls.get(call_id, {}))
    return b"".join([b",%b:%b" % (to_json(name), bytes(value)) for name, value in found.items()])


def unsigned(signature: str) -> bytes:
    """Return the fields of a call without a signature, for a server that wants one; b"" for others."""
    return b',"extra_content":{"google":{"thought_signature":%b}}' % to_json(signature) if signature else b""


def signed_id(records: Sequence[Opaque], call_id: str) -> str:
    """Return the backend's own id of a call that has a signature in it, "" for others."""
    return next((record.ids[call_id] for record in records if call_id in record.ids), "")


def _joined(name: str, values: Sequence[Raw]) -> bytes:
    if len(values) == 1:
        return bytes(values[0])
    if name not in BLOCKS:
        merged: Any = None
        for value in values:
            merged = _merged(merged, _value(value))
        return to_json(merged)
    blocks: list[_Block] = []
    for entry in (entry for value in values for entry in _entries(_value(value))):
        if not blocks or not blocks[-1].goes_on(entry):
            blocks.append(_Block())
        blocks[-1].add(entry, BLOCKS[name])
    return to_json([block.whole() for block in blocks])


def _value(raw: Raw) -> Any:
    """Return a field's value; None for one that nobody can read."""
    try:
        return _any.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _entries(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _pruned(name: str, value: Any) -> Any:
    """Return a field without what is not for the backend: flags tell of a fragment, not of the whole."""
    if not isinstance(value, dict):
        return value
    kept = INSIDE.get(name)
    if kept is not None:
        return {key: value[key] for key in kept if value.get(key) not in _EMPTY}
    return _without_flags(value)


def _without_flags(value: dict[str, Any]) -> dict[str, Any]:
    plain = {key: _without_flags(one) if isinstance(one, dict) else one for key, one in value.items()}
    return {key: one for key, one in plain.items() if one not in _EMPTY and not isinstance(one, bool)}


def _merged(old: Any, new: Any) -> Any:
    """Return two objects as one; of anything else the later counts, unless it is empty."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *[entry for entry in new if entry not in old]]
    return old if new in _EMPTY else new
