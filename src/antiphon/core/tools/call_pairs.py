"""Which output belongs to which call: ids of calls repeat in real histories, so an id alone does not tell. Pure.

Some models number their calls anew in each turn, or give all of them one id. An output belongs to the nearest group of calls
before it in which a call of its id has no output yet; a group are the calls that no message of the user's and no output
parts: those of one answer. Within a group the outputs stand in the order of the calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from antiphon.core.programs import PROGRAM
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    OtherItem,
)


class CallSide(msgspec.Struct, frozen=True, gc=False):
    """A call or its output. `kind` is the call's type, by which calls of one id are told apart where it helps."""

    call_id: str
    kind: str
    output: bool = False


BREAK = CallSide("", "")
"""Stands for what parts two groups of calls: a message of the user's."""


class Pairs(msgspec.Struct, frozen=True):
    """Indexes of outputs → indexes of their calls; `orphans` have no call, `doubles` one that has its output already."""

    calls: dict[int, int]
    orphans: list[int]
    doubles: dict[int, int]


class _SameId:
    """The calls of one id: by kind, the groups that wait for outputs, and the call that was answered last."""

    __slots__ = ("answered", "answered_last", "early", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[str, list[tuple[int, deque[int]]]] = {}
        self.answered: dict[str, int] = {}
        self.answered_last: int | None = None
        self.early: list[int] = []

    def add(self, kind: str, group: int, index: int) -> None:
        """Take in a call."""
        groups = self.waiting.setdefault(kind, [])
        if not groups or groups[-1][0] != group:
            groups.append((group, deque()))
        groups[-1][1].append(index)

    def take(self, kind: str) -> int | None:
        """Return the index of the call that an output belongs to, which has its output from now on."""
        if not self.waiting.get(kind):
            # Some clients answer a custom tool's call as if it were a function's: the id is enough then.
            waiting = [other for other, groups in self.waiting.items() if groups]
            if not waiting:
                return None
            kind = max(waiting, key=lambda other: self.waiting[other][-1][0])
        indexes = self.waiting[kind][-1][1]
        index = indexes.popleft()
        if not indexes:
            self.waiting[kind].pop()
        self.answered[kind] = self.answered_last = index
        return index

    def left(self) -> list[int]:
        """Return the index of the calls without an output, in order."""
        return sorted(index for groups in self.waiting.values() for _, indexes in groups for index in indexes)


def pair(sides: Sequence[CallSide | None]) -> Pairs:
    """Pair the outputs with their calls, in linear time. None stands for what is neither and parts no group.

    An output that stands before its only call is taken too: some clients send them so.
    """
    found = Pairs({}, [], {})
    by_id: dict[str, _SameId] = {}
    group = 0
    for index, side in enumerate(sides):
        if side is None:
            continue
        if side is BREAK:
            group += 1
            continue
        known = by_id.get(side.call_id)
        if known is None:
            known = by_id[side.call_id] = _SameId()
        if not side.output:
            known.add(side.kind, group, index)
            continue
        group += 1
        call = known.take(side.kind)
        if call is not None:
            found.calls[index] = call
        elif known.answered_last is not None:
            found.doubles[index] = known.answered.get(side.kind, known.answered_last)
        else:
            known.early.append(index)
    for known in by_id.values():
        if known.early:
            _pair_early(known, found)
    return found


def _pair_early(known: _SameId, found: Pairs) -> None:
    """Settle outputs that stand before all calls of their id: calls that wait for one are theirs, in order."""
    calls = known.left()
    for index, call in zip(known.early, calls, strict=False):
        found.calls[index] = call
    found.orphans.extend(known.early[len(calls) :])


# Items


class _Called(msgspec.Struct):
    call_id: str | None = None


_called = msgspec.json.Decoder(_Called)


def sides_of(items: Iterable[Item]) -> list[CallSide | None]:
    """Return what the items are to the pairing. Thoughts and the model's own messages do not part a group of calls."""
    return [side_of(item) for item in items]


def side_of(item: Item) -> CallSide | None:
    """Return what an item is to the pairing."""
    if isinstance(item, FunctionCall):
        return CallSide(item.call_id, "function_call")
    if isinstance(item, FunctionCallOutput):
        return CallSide(item.call_id, "function_call", True)
    if isinstance(item, CustomToolCall):
        return CallSide(item.call_id, "custom_tool_call")
    if isinstance(item, CustomToolCallOutput):
        return CallSide(item.call_id, "custom_tool_call", True)
    if isinstance(item, OtherItem):
        return _other(item)
    return BREAK if isinstance(item, Message) and item.role != "assistant" else None


def _other(item: OtherItem) -> CallSide | None:
    """Return the side of a rarer tool's item; one without a `call_id` (hosted tools, servers' tools) has none."""
    output = item.type.endswith("_output")
    if not output and not item.type.endswith("_call") and item.type != PROGRAM:
        return None
    try:
        call_id = _called.decode(item.raw).call_id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not call_id:
        return None
    kind = item.type.removesuffix("_output") if output else item.type
    return CallSide(call_id, "tool_search_call" if kind == "tool_search" else kind, output=output)


def call_ids(items: Iterable[Item]) -> set[str]:
    """Return the ids of all calls among the items."""
    return {side.call_id for side in map(side_of, items) if side is not None and not side.output}
