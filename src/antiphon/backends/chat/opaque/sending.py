"""Sends back what was kept: the fields of a message and of its calls, for the backends that can read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from antiphon.backends.chat.opaque.fields import (
    BLOCKS,
    IN_CONTENT,
    NOBODY,
    OTHER_SERVER,
    THOUGHTS,
    Block,
    Origin,
    entries_of,
    merged,
    value_of,
)
from antiphon.core.deltas import InputRemoved
from antiphon.core.json_encoding import to_json
from antiphon.core.opaque import NO_OPAQUE, OTHER_MODEL, Opaque, OpaqueData, beside
from antiphon.core.text.pieces import text_json
from antiphon.types.items import Reasoning


class Carried(msgspec.Struct, eq=False):
    """What goes back to one backend with the messages of a request; `removed` names what does not, and why."""

    _origin: Origin = NOBODY
    _data: OpaqueData = NO_OPAQUE
    _field: str = THOUGHTS[0]
    removed: list[InputRemoved] = []

    @property
    def plain_field(self) -> str:
        """The field that thoughts go back in, "" where more than they may go back, or something has not."""
        return "" if self._data or self.removed else self._field

    def beside(self, item: Reasoning) -> list[Opaque]:
        """Return what was kept beside thoughts and is for this backend."""
        id = item.id if isinstance(item.id, str) else ""
        sealed = item.encrypted_content if isinstance(item.encrypted_content, str) else ""
        records = beside(item, self._data) if self._data else ()
        readable = [one for one in records if self._origin.reads(one)]
        if any(one.holds for one in records if one not in readable):
            self.removed.append(InputRemoved(id, OTHER_MODEL))
        elif sealed and not records and item.content in (None, UNSET, []):
            self.removed.append(InputRemoved(id, OTHER_SERVER))
        return readable

    def thoughts(self, text: str, records: Iterable[Opaque]) -> bytes:
        """Return a message's thoughts as its field, in the one that they came in."""
        name = next((one.field for one in records if one.field), "") or self._usual()
        return b",%b:%b" % (to_json(name), text_json(text))

    def _usual(self) -> str:
        """Return the field in which the backend has told its thoughts, or else may be expected to read them."""
        told = (
            one.field for records in self._data.values() for one in records if one.field and self._origin.reads(one)
        )
        return next((name for name in told if name != IN_CONTENT), "") or self._field

    def in_content(self, records: Iterable[Opaque]) -> bool:
        """Tell whether thoughts came as parts of the content; they go back so to the model that made them alone."""
        return any(one.field == IN_CONTENT and one.model == self._origin.model for one in records)


def parts_of(thoughts: str, text: str) -> bytes:
    """Return content with thoughts among its parts."""
    said = b',{"type":"text","text":%b}' % text_json(text) if text else b""
    return b'[{"type":"thinking","thinking":[{"type":"text","text":%b}]}%b]' % (text_json(thoughts), said)


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
        whole: Any = None
        for value in values:
            whole = merged(whole, value_of(value))
        return to_json(whole)
    blocks: list[Block] = []
    for entry in (entry for value in values for entry in entries_of(value_of(value))):
        if not blocks or not blocks[-1].goes_on(entry):
            blocks.append(Block())
        blocks[-1].add(entry, BLOCKS[name])
    return to_json([block.whole() for block in blocks])
