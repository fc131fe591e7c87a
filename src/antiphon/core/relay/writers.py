"""Writers of another server's items: each owns one, and writes its events from `output_item.added` to `output_item.done`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Raw

from antiphon.core.kinds import OWN_PREFIXES, PARTED
from antiphon.core.relay.items import (
    ARGUMENTS,
    KNOWN,
    arguments_of,
    call_name,
    encoded,
    extras,
    is_function,
    logprobs_of,
    other_item,
    part_made,
    parts_of,
    same_json,
    thoughts_of,
)
from antiphon.core.relay.parts import InputPart, TextPart
from antiphon.core.relay.shapes import OTHER_ITEMS, WORKED_ON, Json, annotations_of, good_name, wrong
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.tools.call_ids import FreshIds
from antiphon.errors import BackendError

PREFIXES = {type: OWN_PREFIXES[type] for type in KNOWN}
MOST_PARTS = 10_000
_STAND_INS: dict[str, Any] = {"s": "", "l": [], "lo": [], "ls": [], "sl": ""}


PICTURE = "image_generation_call"


class RelayedItem:
    """One item. `id` is the other server's while it has none of ours; `index` is the index in our output.

    `early` is text of a call that came before its name.
    """

    __slots__ = ("_emitter", "_item", "announced", "closed", "early", "id", "index", "type")

    def __init__(self, emitter: Emitter, item: Json, id: str) -> None:
        self.id = id
        self.index = -1
        self.type: str = item["type"]
        self.announced = False
        self.closed = False
        self.early: list[str] = []
        self._emitter = emitter
        self._item = item

    @property
    def showable(self) -> bool:
        """Tell whether the item can be announced as it was added."""
        return True

    def is_empty(self, item: Json) -> bool:
        """Tell whether there is nothing in it that a client could use."""
        return False

    def update(self, item: Json) -> None:
        """Take what the other server says of the item now, before it is announced."""
        self._item = item

    def check(self) -> None:
        """Make sure that the item can be announced. Raises BackendError."""
        encoded(self.first())

    def name_call(self, ids: FreshIds, id: str) -> None:
        """Give a call an id that no other call has; `id` is the item's."""

    def announce(self, id: str, index: int) -> None:
        """Emit `output_item.added`, after `check`."""
        self.id, self.index = id, index
        self.announced = True
        self.emit("response.output_item.added", item=self.first())

    def close(self, item: Json | None, status: str) -> bytes:
        """End the item, as the other server says or with what has come. Returns it as JSON. Raises BackendError."""
        last = self._last(item, status)
        made = encoded(last)
        self.emit("response.output_item.done", item=Raw(made))
        self.closed = True
        if self.type == PICTURE and isinstance(data := last.get("result"), str) and data:
            self._emitter.pictured(data)
        return made

    def part(self, list: str, kind: str, part_index: int) -> TextPart:
        """Return the part that has an index of the other server's. Raises BackendError where there can be none."""
        raise wrong("it belongs to an item without a text")

    def emit(self, type: str, **fields: object) -> None:
        self._emitter.raw(type, encoded({"output_index": self.index, **fields})[1:-1])

    def first(self) -> Json:
        raise NotImplementedError

    def _last(self, item: Json | None, status: str) -> Json:
        raise NotImplementedError


class PartedItem(RelayedItem):
    """A message, or thoughts with their summary."""

    __slots__ = ("_names", "_open", "_parts", "_seal", "_written")

    def __init__(self, emitter: Emitter, item: Json, id: str, options: StreamTerms) -> None:
        super().__init__(emitter, item, id)
        self._names = "response.reasoning" if options.open_responses_names else "response.reasoning_text"
        self._seal = options.seal
        self._parts: dict[tuple[str, int], TextPart] = {}
        self._written: dict[str, list[Json]] = {"content": [], "summary": []}
        self._open: dict[str, TextPart] = {}

    @property
    def showable(self) -> bool:
        return self.type == "reasoning"

    def is_empty(self, item: Json) -> bool:
        return self.type == "message" and not any(
            part.get("text") or part.get("refusal") for part in self._final(item, "content")
        )

    def part(self, list: str, kind: str, part_index: int) -> TextPart:
        part = self._parts.get((list, part_index))
        if part is not None:
            if part.closed or part.kind != kind:
                raise wrong("it belongs to a part that is closed, or of another type")
            return part
        if len(self._parts) >= MOST_PARTS:
            raise wrong(f"its item has more than {MOST_PARTS} parts")
        if list in self._open:
            self._close_part(self._open[list], None)
        at = len(self._written[list])
        part = TextPart(self._emitter, self._base(kind), kind, self._where(list, at), at)
        self._parts[list, part_index] = self._open[list] = part
        self._emit_part(list, "added", at, part_made(kind, ""))
        return part

    def first(self) -> Json:
        fields: Json = {**extras(self._item), "id": self.id, "type": self.type, "status": "in_progress"}
        fields.pop("encrypted_content", None)
        if self.type == "message":
            return {**fields, "role": "assistant", "content": []}
        return {**fields, "summary": []}

    def _last(self, item: Json | None, status: str) -> Json:
        if item is not None:
            for list in ("summary", "content") if self.type == "reasoning" else ("content",):
                self._settle(list, self._final(item, list))
        for part in [*self._open.values()]:
            self._close_part(part, None)
        said = item.get("status") if item is not None else None
        fields: Json = {**extras(item or self._item), "id": self.id, "type": self.type}
        fields["status"] = said if said in WORKED_ON[1:] else status
        if self.type == "message":
            return {**fields, "role": "assistant", "content": self._written["content"]}
        if self._written["content"]:
            fields["content"] = self._written["content"]
        sealed = fields.pop("encrypted_content", None) or self._sealed()
        return {**fields, "summary": self._written["summary"], **({"encrypted_content": sealed} if sealed else {})}

    def _sealed(self) -> str | None:
        """Return thoughts sealed here, where they were asked for and the other server has sealed none."""
        texts = [part["text"] for part in self._written["content"]]
        return self._seal("".join(texts)) if self._seal is not None and texts else None

    def _final(self, item: Json, list: str) -> list[Json]:
        return parts_of(item.get(list)) if self.type == "message" else thoughts_of(item.get(list), list)

    def _settle(self, list: str, final: list[Json]) -> None:
        """Bring the parts to what they are at the end; those that have not streamed stream now."""
        known = [part for (of, _), part in self._parts.items() if of == list]
        for index, entry in enumerate(final):
            field = "refusal" if entry["type"] == "refusal" else "text"
            if index < len(known):
                part = known[index]
                if part.kind != entry["type"]:
                    raise wrong("a part changes its type")
            elif not entry[field] and not entry.get("annotations"):
                continue
            else:
                part = self.part(list, entry["type"], MOST_PARTS + index)
            if not part.closed:
                part.whole(entry[field])
                self._close_part(part, entry)

    def _close_part(self, part: TextPart, entry: Json | None) -> None:
        list = "summary" if part.kind == "summary_text" else "content"
        made = part_made(part.kind, part.text)
        if part.kind == "output_text":
            said = entry or {}
            made["annotations"] = annotations_of(said.get("annotations")) or part.annotations
            made["logprobs"] = Raw(b"[%b]" % (b",".join(part.logprobs) or logprobs_of(said.get("logprobs"))))
        whole = {name: value for name, value in made.items() if name not in ("type", "annotations")}
        for at, annotation in enumerate(made.get("annotations", ())):
            self.emit(
                "response.output_text.annotation.added",
                item_id=self.id,
                content_index=part.part_index,
                annotation_index=at,
                annotation=annotation,
            )
        self._emitter.raw(
            f"{self._base(part.kind)}.done", encoded({**self._where(list, part.part_index), **whole})[1:-1]
        )
        self._emit_part(list, "done", part.part_index, made)
        self._written[list].append(made)
        part.closed = True
        self._open.pop(list, None)

    def _base(self, kind: str) -> str:
        return {
            "output_text": "response.output_text",
            "refusal": "response.refusal",
            "summary_text": "response.reasoning_summary_text",
        }.get(kind, self._names)

    def _where(self, list: str, part_index: int) -> Json:
        name = "summary_index" if list == "summary" else "content_index"
        return {"item_id": self.id, "output_index": self.index, name: part_index}

    def _emit_part(self, list: str, step: str, part_index: int, part: Json) -> None:
        name = "reasoning_summary_part" if list == "summary" else "content_part"
        self._emitter.raw(f"response.{name}.{step}", encoded({**self._where(list, part_index), "part": part})[1:-1])


class CallItem(RelayedItem):
    """A call of the client's function or custom tool."""

    __slots__ = ("_call_id", "_text")

    def __init__(self, emitter: Emitter, item: Json, id: str) -> None:
        super().__init__(emitter, item, id)
        self._call_id = ""
        self._text: TextPart | None = None

    @property
    def showable(self) -> bool:
        return bool(good_name(self._item.get("name")))

    def part(self, list: str, kind: str, part_index: int) -> TextPart:
        if self._text is None:
            where = {"item_id": self.id, "output_index": self.index}
            if self.type == "custom_tool_call":
                arguments = is_function(self._item)
                self._text = InputPart(self._emitter, self._base, where, arguments=arguments)
            else:
                self._text = TextPart(self._emitter, self._base, kind, where, 0)
        return self._text

    @property
    def _base(self) -> str:
        return f"response.{self.type}_{ARGUMENTS[self.type]}"

    def name_call(self, ids: FreshIds, id: str) -> None:
        self._call_id = ids.take(good_name(self._item.get("call_id")) or id)

    def first(self) -> Json:
        return self._made(self._item, "", "in_progress")

    def _made(self, item: Json, text: str, status: str) -> Json:
        fields = {**extras(item), "id": self.id, "type": self.type, "status": status, "call_id": self._call_id}
        return {**fields, "name": call_name(item), ARGUMENTS[self.type]: text}

    def _last(self, item: Json | None, status: str) -> Json:
        part = self.part("", "", 0)
        name = call_name(self._item)
        if item is not None:
            if (good_name(item.get("name")) or name) != name:
                raise wrong("a call changes its name")
            item = {**item, "name": name}
            text = arguments_of(item)
            if text and not part.whole(text) and not same_json(text, part.said):
                raise wrong("a call changes its arguments")
            said = item.get("status")
            status = said if said in WORKED_ON[1:] else status
        if self.type == "function_call" and not part.text.strip() and status == "completed":
            part.add("{}")  # clients parse arguments as JSON
        part.end()
        fields: Json = {"item_id": self.id, "output_index": self.index, ARGUMENTS[self.type]: part.text}
        if self.type == "function_call":
            fields["name"] = name
        self._emitter.raw(f"{self._base}.done", encoded(fields)[1:-1])
        return self._made(item or self._item, part.text, status)


class PassedItem(RelayedItem):
    """An item that passes as it is, once it is checked."""

    __slots__ = ()

    @property
    def showable(self) -> bool:
        try:
            self.first()
        except BackendError:
            return False
        return True

    def first(self) -> Json:
        stand_ins = {name: _STAND_INS[kind] for name, kind in OTHER_ITEMS[self.type].items() if kind in _STAND_INS}
        if self.type == "web_search_call":
            stand_ins["action"] = {"type": "search", "query": ""}
        return other_item({**stand_ins, **self._item, "status": "in_progress"}, self.id, "in_progress")

    def _last(self, item: Json | None, status: str) -> Json:
        return other_item(item, self.id, status) if item is not None else {**self.first(), **self._status(status)}

    def _status(self, status: str) -> Json:
        made = other_item({**self.first(), "status": status}, self.id, status)
        return {"status": made["status"]} if "status" in made else {}


def write(emitter: Emitter, item: Json, id: str, options: StreamTerms) -> RelayedItem:
    """Return the writer of an item, with the events of OpenAI's Responses API."""
    if item["type"] in PARTED:
        return PartedItem(emitter, item, id, options)
    return CallItem(emitter, item, id) if item["type"] in ARGUMENTS else PassedItem(emitter, item, id)


WriteRelayed = Callable[[Emitter, Json, str, StreamTerms], RelayedItem]
"""The maker of the writer of another server's item: its JSON, and the id that it has."""
