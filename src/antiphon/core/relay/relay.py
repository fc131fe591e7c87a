"""Events of a backend that speaks Responses itself → our own: `output_index`, numbers and the life of items are ours.

Messages, reasoning and calls are written anew from what the other server says of them, so that a stream keeps its grammar
whatever came: items and parts are opened once and closed once, and all events tell the same text. Other items pass as they
are, once they are checked. An item is found by its id, else by its `output_index`, else it is the one that is open.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

import msgspec

from antiphon.core.deltas import PlainItem, Relay, RelayedText
from antiphon.core.relay.items import ARGUMENTS, encoded, item_of
from antiphon.core.relay.parts import TextPart
from antiphon.core.relay.plain import events_of, plain_item, written
from antiphon.core.relay.shapes import (
    LIFE,
    OTHER_EVENTS,
    PARTS,
    TEXTS,
    WHOLE_TEXTS,
    Json,
    check,
    fits,
    good_name,
    index_of,
    is_annotation,
    wrong,
)
from antiphon.core.relay.told import told_by
from antiphon.core.relay.writers import PREFIXES, RelayedItem, WriteRelayed, write
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.output import Output
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.stream.writer_table import WriterTable
from antiphon.core.stream.writers import Growing
from antiphon.core.tools.call_ids import FreshIds

MOST_ITEMS = 2000
MOST_ALIASES = 50_000


def unseen(emitter: Emitter, writers: WriterTable) -> bool:
    """Tell whether nobody sees the events of another server's items, which are OpenAI's: then plain items need no Writer."""
    return emitter.mute and writers.relayed is write


class Relayer(msgspec.Struct, eq=False):
    """The items of one Turn as another server tells of them. `spoke` tells whether any of them was shown.

    Its items are written by the table's `relayed`, or told by its other Writers.
    """

    _emitter: Emitter
    _writers: WriterTable
    _output: Output
    _options: StreamTerms
    spoke: bool = False
    _write: WriteRelayed | None = None  # made with the first item
    _call_ids: FreshIds | None = None  # made with the first call
    _items: list[RelayedItem] = []
    _used: set[str] = set()  # ids, of all Turns
    _by_id: dict[str, RelayedItem] = {}
    _by_index: dict[int, RelayedItem] = {}
    _parts: dict[tuple[str, str, int | None, int], TextPart] = {}

    def text(self, event: RelayedText) -> None:
        """Take in a piece of text. Raises BackendError."""
        if not event.text:
            return
        key = (event.type, event.item_id, event.output_index, event.part_index)
        part = self._parts.get(key)
        if part is None or part.closed:
            target = TEXTS[event.type]
            one = self._of(event.item_id, event.output_index, target.item)
            if not self._ready(one):
                one.early.append(event.text)
                return
            part = one.part(target.list, target.part, event.part_index)
            if len(self._parts) < MOST_ALIASES:
                self._parts[key] = part
        part.add(event.text, event.logprobs)

    def growing(self, like: RelayedText) -> Growing | None:
        """Return the text that such a piece would go on with, if it is open and its pieces are shown as they come."""
        part = self._parts.get((like.type, like.item_id, like.output_index, like.part_index))
        return part.growing if part is not None and not part.closed and self._writers.relayed is write else None

    def event(self, event: Relay) -> None:
        """Take in an event that is neither text nor an ending. Raises BackendError."""
        type, fields = event.type, event.fields
        if type in LIFE:
            return
        if type == "response.output_item.added":
            self._added(fields)
        elif type == "response.output_item.done":
            self._done(item_of(fields.get("item")), index_of(fields.get("output_index")))
        elif type in PARTS:
            self._part_event(type, fields)
        elif type in WHOLE_TEXTS:
            self._whole_text(type, fields)
        elif type == "response.output_text.annotation.added":
            self._annotation(fields)
        elif type.startswith("response."):
            self._pass_on(type, fields)

    def end(self, output: object) -> None:
        """Take in the `output` of the last event: items that had no events of their own get them now. Raises BackendError."""
        if not isinstance(output, list):
            if output is not None:
                raise wrong("the 'output' of its response is not a list")
            self._check_early()
            return
        if len(output) > MOST_ITEMS:
            raise wrong(f"it has more than {MOST_ITEMS} items")
        final = [item_of(entry) for entry in output]
        ids = {good_name(item.get("id")) for item in final}
        left: defaultdict[str, deque[RelayedItem]] = defaultdict(deque)
        for one in self._items:
            if one.id not in ids:
                left[one.type].append(one)
        plain: set[str] | None = set() if not self._items and unseen(self._emitter, self._writers) else None
        for item in final:
            found = self._by_id.get(good_name(item.get("id")))
            if found is None:
                if plain is not None and self._is_written(item, plain):
                    continue
                others = left[item["type"]]
                found = others.popleft() if others else self._begin(item, None)
            if not found.closed:
                self._finish(self._named(found, item, None), item)
        self._check_early()

    def _is_written(self, item: Json, plain: set[str]) -> bool:
        """Write an item without its events where it is plain; `plain` holds the ids of those that were."""
        if good_name(item.get("id")) in plain:
            return True  # it is told twice
        one = plain_item(item)
        if one is not None:
            self._keep_plain(one, plain)
        return one is not None

    def plain(self, items: Sequence[PlainItem]) -> None:
        """Take in all items of an answer that nobody sees: it came whole, and they are plain. To be called where `unseen`."""
        ids: set[str] = set()
        for item in items:
            self._keep_plain(item, ids)

    def _keep_plain(self, item: PlainItem, plain: set[str]) -> None:
        """Write a plain item without its events; `plain` holds the ids of those that were written."""
        id = item.id or ""
        if id in plain:
            return  # it is told twice
        made, index = self._output.allocate(PREFIXES[item.type])
        own = made if not id or id in self._used else id
        if item.content is None:
            item.call_id = self._fresh_ids().take(good_name(item.call_id) or own)
        self._output.keep(index, written(item, own))
        self._emitter.skip(events_of(item))
        self.spoke = True
        self._used.add(id)
        if id:
            plain.add(id)

    def _fresh_ids(self) -> FreshIds:
        if self._call_ids is None:
            self._call_ids = FreshIds()
        return self._call_ids

    def _check_early(self) -> None:
        """Make sure that no text is left which came before the name of its call. Raises BackendError."""
        if any(one.early for one in self._items):
            raise wrong("it belongs to a call that has no name")

    def close(self, status: str) -> None:
        """Close what is open, and be ready for another Turn."""
        self.spoke = False
        if not self._items:
            return  # whatever else is known is of an item
        for one in self._items:
            if not one.closed and one.announced:
                self._keep(one, one.close(None, status))
            one.closed = True
        self._items.clear()
        for known in (self._by_id, self._by_index, self._parts):
            known.clear()

    # Which item

    def _find(self, id: str, index: int | None, type: str) -> RelayedItem | None:
        """Return the item that an event is about; one that is not there yet is none."""
        one = self._by_id.get(id) if id else None
        if one is None and index is not None:
            one = self._by_index.get(index)
            if one is not None and (one.closed or (type and not _is_of(one, type))):
                one = None
        elif one is None:
            one = next((item for item in reversed(self._items) if not item.closed and _is_of(item, type)), None)
        if one is not None and id and len(self._by_id) < MOST_ALIASES:
            self._by_id.setdefault(id, one)
        return one

    def _begin(self, item: Json, index: int | None) -> RelayedItem:
        """Take up an item that is new. Its index is given when it is shown."""
        if len(self._items) >= MOST_ITEMS:
            raise wrong(f"it has more than {MOST_ITEMS} items")
        id = good_name(item.get("id"))
        if self._write is None:
            self._write = self._writers.relayed or told_by(self._writers)
        one = self._write(self._emitter, item, "" if id in self._used else id, self._options)
        self._items.append(one)
        self._used.add(id)
        if id:
            self._by_id[id] = one
        if index is not None:
            self._by_index[index] = one
        return one

    def _show(self, one: RelayedItem) -> None:
        """Announce an item, once it is certain that it is one."""
        if not one.announced:
            one.check()
            made, index = self._output.allocate(PREFIXES.get(one.type, one.type.removesuffix("_call")))
            self.spoke = True
            one.name_call(self._fresh_ids(), one.id or made)
            one.announce(one.id or made, index)
            if one.early:
                part = one.part("", "", 0)
                for text in one.early:
                    part.add(text)
                one.early = []

    def _ready(self, one: RelayedItem) -> bool:
        """Announce an item that has text; False for a call whose name has not come."""
        if not one.announced and (one.type not in ARGUMENTS or one.showable):
            self._show(one)
        return one.announced

    def _named(self, one: RelayedItem, item: Json, index: int | None) -> RelayedItem:
        """Return the item itself instead of one of which only text had come."""
        if one.announced or not one.early:
            return one
        self._used.discard(one.id)
        itself = self._begin(item, index)
        itself.early, one.early, one.closed = one.early, [], True
        return itself

    # Events

    def _added(self, fields: Json) -> None:
        item, index = item_of(fields.get("item")), index_of(fields.get("output_index"))
        one = self._announced(item, index)
        if one is None:
            one = self._begin(item, index)
        elif one.early:
            one = self._named(one, item, index)
        else:
            return  # it is told twice
        if one.showable:
            self._show(one)

    def _announced(self, item: Json, index: int | None) -> RelayedItem | None:
        """Return the open item that is announced: one that was announced before, or of which text has come."""
        one = self._by_id.get(good_name(item.get("id")))
        if one is None and item["type"] in ARGUMENTS:
            one = self._by_index.get(index) if index is not None else None
            if one is None:
                one = next((other for other in self._items if other.early and not other.id), None)
            one = one if one is not None and one.early else None
        return one if one is not None and not one.closed and (one.type == item["type"] or one.early) else None

    def _done(self, item: Json, index: int | None) -> None:
        one = self._find(good_name(item.get("id")), index, item["type"]) or self._begin(item, index)
        if not one.closed:  # else it is told twice
            self._finish(self._named(one, item, index), item)

    def _finish(self, one: RelayedItem, item: Json) -> None:
        if one.type != item["type"]:
            raise wrong("an item changes its type")
        encoded(item)  # what cannot be encoded is refused before anything of it is shown
        if not one.announced:
            if one.is_empty(item):
                one.closed = True  # an empty message beside a call: no client has a use for it
                return
            one.update(item)
            self._show(one)
        self._keep(one, one.close(item, "completed"))

    def _keep(self, one: RelayedItem, made: bytes) -> None:
        one.closed = True
        self._output.keep(one.index, made)

    def _of(self, id: str, index: int | None, type: str) -> RelayedItem:
        one = self._find(id, index, type)
        if one is None:
            one = self._begin({"type": type, "id": id}, index)
        if not _is_of(one, type):
            raise wrong("it belongs to an item of another type")
        if one.closed:
            raise wrong("it belongs to an item that is closed")
        return one

    def _part_event(self, type: str, fields: Json) -> None:
        """Note what is known of a part; it is shown with its first text, or when its item is closed."""
        part = fields.get("part")
        if not isinstance(part, dict):
            raise wrong("its part is not an object")

    def _whole_text(self, type: str, fields: Json) -> None:
        """Take the whole text of a part: what of it has not streamed streams now."""
        target = WHOLE_TEXTS[type]
        text = fields.get(target.field)
        if not isinstance(text, str):
            raise wrong(f"its '{target.field}' is not a text")
        if not text:
            return
        one = self._of(good_name(fields.get("item_id")), index_of(fields.get("output_index")), target.item)
        if not self._ready(one):
            one.early = one.early or [text]
            return
        part_index = index_of(fields.get("summary_index" if target.list == "summary" else "content_index")) or 0
        one.part(target.list, target.part, part_index).whole(text)

    def _annotation(self, fields: Json) -> None:
        annotation = fields.get("annotation")
        if not isinstance(annotation, dict) or not is_annotation(annotation):
            return  # an odd citation is no reason to lose the answer
        one = self._of(good_name(fields.get("item_id")), index_of(fields.get("output_index")), "message")
        self._show(one)
        one.part("content", "output_text", index_of(fields.get("content_index")) or 0).annotate(annotation)

    def _pass_on(self, type: str, fields: Json) -> None:
        """Pass on an event of an item that passes as it is, or one of a type that is not known here."""
        shape = OTHER_EVENTS.get(type)
        if shape is not None:
            check(fields, shape, "it")
        id, index = good_name(fields.get("item_id")), index_of(fields.get("output_index"))
        made = {name: value for name, value in fields.items() if name not in _OURS and _may_pass(name, value)}
        if shape is not None or id or index is not None:
            one = self._by_id.get(id) or (self._by_index.get(index) if index is not None else None)
            if one is None or one.closed or not one.announced:
                raise wrong("it belongs to an item that is not open")
            made |= {"item_id": one.id, "output_index": one.index}
        if made:
            self._emitter.raw(type, encoded(made)[1:-1])


def _is_of(one: RelayedItem, type: str) -> bool:
    """Tell whether an item is of a type; a custom tool's call may be told as a function's."""
    return one.type == type or (type == "function_call" and one.type == "custom_tool_call")


_OURS = frozenset(("type", "sequence_number", "item_id", "output_index", "response"))
_READ_BACK = {"content_index": "i", "summary_index": "i", "item": "o", "part": "o", "logprobs": "l"}


def _may_pass(name: str, value: object) -> bool:
    """Tell whether a field can be passed on: what a stream is put together from keeps its kind, and nulls are left out."""
    return value is not None and fits(value, _READ_BACK.get(name, "*"))
