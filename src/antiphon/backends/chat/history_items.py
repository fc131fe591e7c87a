"""Items of the rarer tools → the calls and outputs of a chat history. What means nothing to a chat model is passed over."""

from __future__ import annotations

from antiphon.core.kinds import READERS
from antiphon.core.tools.history import HistoryEntry
from antiphon.core.tools.tool_map import ToolMap
from antiphon.types.items import OtherItem


def read_other(item: OtherItem, tools: ToolMap) -> HistoryEntry | list[HistoryEntry] | None:
    """Read an item; None where it says nothing to a chat model. Raises InvalidRequest."""
    found = READERS.get(item.type)
    if found is None:
        return None
    kind, read = found
    entries = read(kind.name, item, tools)
    return entries[0] if len(entries) == 1 else list(entries)
