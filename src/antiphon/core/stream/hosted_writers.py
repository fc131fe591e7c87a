"""HostedCallWriter: events of a hosted tool's call, such as `web_search_call` (OpenAI's "Built-in tools").

added{in_progress} · TYPE.in_progress │ TYPE.STAGE … │ TYPE.completed, done{completed} │ done{failed} │ done{incomplete}
"""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.core.deltas import CallStart
from antiphon.core.json_encoding import to_json
from antiphon.core.programs import caller
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.writers import IN_PROGRESS, ItemWriter
from antiphon.core.tools.results import NO_FIELDS, ToolResult


class HostedCallWriter(ItemWriter):
    """One call, whose arguments are not in its item. A tool with other events overrides methods.

    `type` is the item's, `opening` are its fields before the result, `cut` its status if the response ends before.
    """

    __slots__ = ("_call", "_called", "_cut", "_fields", "_pieces", "_type")

    def __init__(
        self,
        emitter: Emitter,
        item_id: str,
        index: int,
        call: CallStart,
        *,
        type: str,
        opening: Mapping[str, object] | None = None,
        cut: str = "incomplete",
    ) -> None:
        super().__init__(emitter, item_id, index)
        self._call = call
        self._type = type
        self._fields = dict(opening or {})
        self._called = {"call_id": call.call_id, "caller": caller(call.caller)} if call.caller else NO_FIELDS
        self._cut = cut
        self._pieces: list[str] = []
        self._added(self._item(IN_PROGRESS))
        self.progress(IN_PROGRESS)

    def _item(self, status: str) -> dict[str, object]:
        return {"id": self.item_id, "type": self._type, "status": status, **self._fields, **self._called}

    def _added(self, item: object) -> None:
        self._emitter.raw("response.output_item.added", b'"output_index":%d,"item":%b' % (self.index, to_json(item)))

    def text(self, text: str) -> None:
        """Append to the arguments, which this item does not show."""
        self._pieces.append(text)

    def end_arguments(self) -> None:
        """Do nothing: the item does not show its arguments."""

    def progress(self, stage: str, fields: Mapping[str, object] = NO_FIELDS) -> None:
        """Emit the event `response.TYPE.STAGE`, with these fields."""
        told = b"".join(b",%b:%b" % (to_json(name), to_json(value)) for name, value in fields.items())
        where = b'"item_id":%b,"output_index":%d' % (to_json(self.item_id), self.index)
        self._emitter.raw(f"response.{self._type}.{stage}", where + told)

    def result(self, result: ToolResult) -> bytes:
        """End the call. A failed call has no event of its own, only the item's status `failed`."""
        self._fields.update(result.fields)
        if result.error is not None:
            return self._done(self._item("failed"))
        self.progress("completed")
        return self._done(self._item("completed"))

    def close(self, status: str) -> bytes:
        """End a call that got no result: the response ends before it."""
        return self._done(self._item(self._cut))
