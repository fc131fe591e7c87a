"""Items of the rarer tools → the calls and outputs of a chat history. What means nothing to a chat model is passed over."""

from __future__ import annotations

import msgspec

from antiphon.core.kinds import READERS
from antiphon.core.tools.history import HistoryCall, HistoryEntry
from antiphon.core.tools.mcp_content import Senses, for_senses
from antiphon.core.tools.tool_map import ToolMap
from antiphon.types.items import OtherItem


def read_other(item: OtherItem, tools: ToolMap, senses: Senses) -> HistoryEntry | list[HistoryEntry] | None:
    """Read an item, as a model of these senses sees it; None where it says nothing to it. Raises InvalidRequest."""
    found = READERS.get(item.type)
    if found is None:
        return None
    kind, read = found
    entries = [_seen(entry, senses) for entry in read(kind.name, item, tools)]
    return entries[0] if len(entries) == 1 else entries


def _seen(entry: HistoryEntry, senses: Senses) -> HistoryEntry:
    if isinstance(entry, HistoryCall) or isinstance(entry.output, str):
        return entry
    return msgspec.structs.replace(entry, output=for_senses(entry.output, senses))
