"""`parallel_tool_calls: false` kept to where the server does not keep to it: one call of an answer is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from antiphon.core.deltas import Delta, Relay, RelayedText
from antiphon.core.kinds import BY_NAME, CUSTOM, FUNCTION
from antiphon.core.relay.end import response_of
from antiphon.core.relay.shapes import ENDS, TEXTS, WHOLE_TEXTS, good_name, index_of

_CALLS = frozenset((BY_NAME[FUNCTION].call, BY_NAME[CUSTOM].call))


class _Position(NamedTuple):
    """By what the server tells its calls apart; "" and None where it does not say."""

    id: str = ""
    call_id: str = ""
    output_index: int | None = None


class OneCall:
    """Leaves out all events of calls but those of the first."""

    __slots__ = ("_first", "_further")

    def __init__(self) -> None:
        self._first: _Position | None = None
        self._further = False  # another call was announced: what comes without id and index is its

    def kept(self, deltas: Sequence[Delta]) -> list[Delta]:
        """Return what stays of an answer's Deltas."""
        return [delta for delta in deltas if self._stays(delta)]

    def _stays(self, delta: Delta) -> bool:
        if isinstance(delta, RelayedText):
            return TEXTS[delta.type].item not in _CALLS or self._is_first(
                _Position(delta.item_id, "", delta.output_index)
            )
        if not isinstance(delta, Relay):
            return True
        if delta.type in ENDS:
            self._cut(response_of(delta.fields))
            return True
        fields = delta.fields
        item, index = fields.get("item"), index_of(fields.get("output_index"))
        if isinstance(item, dict) and str(item.get("type")) in _CALLS:
            first = self._is_first(_Position(good_name(item.get("id")), good_name(item.get("call_id")), index))
            self._further |= not first
            return first
        if delta.type in WHOLE_TEXTS and WHOLE_TEXTS[delta.type].item in _CALLS:
            return self._is_first(_Position(good_name(fields.get("item_id")), "", index))
        return True

    def _is_first(self, output_index: _Position) -> bool:
        """Tell whether an event is about the first call: by what both tell, else by what was announced last."""
        if self._first is None:
            self._first = output_index
            return True
        for its, first in zip(output_index, self._first, strict=True):
            if its not in ("", None) and first not in ("", None):
                return its == first
        return not self._further

    def _cut(self, response: dict[str, Any]) -> None:
        output = response.get("output")
        if not isinstance(output, list):
            return
        calls = [
            output_index
            for output_index, item in enumerate(output)
            if isinstance(item, dict) and str(item.get("type")) in _CALLS
        ]
        further = frozenset(calls[1:])
        if further:
            response["output"] = [item for output_index, item in enumerate(output) if output_index not in further]
