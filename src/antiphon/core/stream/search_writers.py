"""Writers of the two items of a search among tools that this server makes (OpenAI's "Tool search").

tool_search_call    added{arguments: {}} │ done{arguments}
tool_search_output  added{tools: []} │ done{tools}
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from antiphon.core.deltas import CallStart
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.tool_writers import StructuredCallWriter
from antiphon.core.stream.writers import IN_PROGRESS, ItemWriter
from antiphon.core.tools import call_items
from antiphon.core.tools.call_items import Fields
from antiphon.core.tools.results import ToolResult
from antiphon.types.tool_items import ToolSearchCall, ToolSearchOutput


class HostedSearchWriter(StructuredCallWriter):
    """A `tool_search_call` of this server. It ends when its arguments are whole."""

    __slots__ = ()

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        super().__init__(emitter, item_id, index, call, build=call_items.tool_search_call)

    def _item(self, fields: Fields, status: str) -> ToolSearchCall:
        item = super()._item(fields, status)
        assert isinstance(item, ToolSearchCall)
        return replace(item, execution="server")

    def end_arguments(self) -> None:
        """Do nothing: `close` tells the arguments."""

    def progress(self, stage: str, fields: Mapping[str, object]) -> None:
        """Do nothing: a search has no events of its own."""

    def result(self, result: ToolResult) -> bytes:
        """End the call."""
        return self.close("completed")


class FoundToolsWriter(ItemWriter):
    """A `tool_search_output`."""

    __slots__ = ("_call_id",)

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        super().__init__(emitter, item_id, index)
        self._call_id = call.call_id
        self._added(self._item(IN_PROGRESS))

    def _item(self, status: str, tools: object = ()) -> ToolSearchOutput:
        found = list(tools) if isinstance(tools, list) else []
        return ToolSearchOutput(id=self.item_id, call_id=self._call_id, status=status, tools=found)

    def text(self, text: str) -> None:
        """Do nothing: the arguments are the call's."""

    def end_arguments(self) -> None:
        """Do nothing: the arguments are the call's."""

    def progress(self, stage: str, fields: Mapping[str, object]) -> None:
        """Do nothing: a search has no events of its own."""

    def result(self, result: ToolResult) -> bytes:
        """End with what was found."""
        if result.error is not None:
            return self._done(self._item("incomplete"))
        return self._done(self._item("completed", result.fields.get("tools")))

    def close(self, status: str) -> bytes:
        """End as the response ends."""
        return self._done(self._item("incomplete"))
