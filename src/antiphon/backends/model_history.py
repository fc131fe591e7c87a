"""Items → what a model said, called and got earlier: messages, thoughts, calls, and the output of each call.

What means nothing to a model that is told its history by us is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import UNSET, Raw

from antiphon.core import kinds
from antiphon.core.async_tools import STARTED, late_output
from antiphon.core.deltas import CallKind
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import READERS
from antiphon.core.program_history import without_inner_calls
from antiphon.core.tools.call_pairs import BREAK, CallSide, Pairs, pair
from antiphon.core.tools.history import HistoryCall, HistoryEntry, HistoryOutput, StartedCall
from antiphon.core.tools.mcp_content import ALL, Senses, for_senses
from antiphon.core.tools.offers import Target
from antiphon.core.tools.tool_map import ToolMap
from antiphon.errors import InvalidRequest
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemReference,
    Message,
    OtherItem,
    Reasoning,
)
from antiphon.types.raw import JsonText

NO_OUTPUT = "(no output)"
"""What a call without an output (the person interrupted, or answered with a message instead) is answered with: strict backends
refuse a call that nothing follows, and dropping the call would hide from the model what it had tried."""

Entry = Message | Reasoning | HistoryEntry

_raw = msgspec.json.Decoder(Raw)


class ModelHistory:
    """The entries of a history, in order. Raises InvalidRequest for an output without its call, or a second one.

    `outputs`: what calls gave, by the identity of the call's entry. `complete`: each call has its output, one. `plain`: each id
    is one call's, whose output stands behind it if there is one: so none would be that of an earlier call, if there were any.
    Histories that have items of rarer tools are not called plain.
    """

    __slots__ = ("complete", "entries", "outputs", "plain")

    def __init__(self, items: Sequence[Item], tools: ToolMap, senses: Senses = ALL) -> None:
        self.entries: list[Entry] = []
        self.outputs: dict[int, HistoryOutput] = {}
        in_order = self._read(without_inner_calls(items), tools, senses)
        if not (self.plain and in_order):
            self._match(tools)

    def _read(self, items: Sequence[Item], tools: ToolMap, senses: Senses) -> bool:
        """Read all items, and find the outputs of calls as if the history were plain.

        Return whether the outputs may stay where they are: no message stands directly before one.
        """
        entries, outputs = self.entries, self.outputs
        calls: dict[str, HistoryCall | None] = {}  # None: has its output
        plain = in_order = True
        told = False
        for item in items:
            kind = type(item)
            if kind in _CALLS:
                called = _call_of(item)  # type: ignore[arg-type]  # `type` narrows nothing
                if called.call_id in calls or type(called) is not HistoryCall:
                    plain = False
                calls[called.call_id] = called
                entries.append(called)
            elif kind in _OUTPUTS:
                output = HistoryOutput(item.call_id, _OUTPUTS[kind], item.output)  # type: ignore[union-attr]  # as above
                call = calls.get(output.call_id)
                if call is None:
                    plain = False
                else:
                    outputs[id(call)] = output
                    calls[output.call_id] = None
                if told:
                    in_order = False
                entries.append(output)
            elif kind is Message or kind is Reasoning:
                entries.append(item)  # type: ignore[arg-type]  # as above
                told = kind is Message
                continue
            else:
                entries += _entries_of(item, tools, senses)
                plain = False
            told = False
        self.plain, self.complete = plain, plain and len(outputs) == len(calls)
        return in_order

    def _match(self, tools: ToolMap) -> None:
        """Find the output of each call."""
        entries, there = self.entries, set(map(type, self.entries))
        self.outputs.clear()
        pairs = pair([_side(entry) for entry in entries])
        for output in _outputs(entries, pairs.orphans):
            if not output.optional:
                raise InvalidRequest(
                    f"No tool call found for function call output with call_id {output.call_id}.", param="input"
                )
        for index, call in pairs.calls.items():
            self.outputs[id(entries[call])] = entries[index]  # type: ignore[assignment]  # the pairing's outputs are such
        for output, call in zip(_outputs(entries, pairs.doubles), pairs.doubles.values(), strict=True):
            # The same output once more, as a client sends it that tries again, says nothing new.
            if not output.optional and output.output != self.outputs[id(entries[call])].output:
                raise InvalidRequest(
                    f"Duplicate tool output for call_id {output.call_id}: each tool call must have exactly one output.",
                    param="input",
                )
        if StartedCall in there:
            self._tell_late_outputs(pairs, tools)
        else:
            self.entries = _with_outputs_last(entries, pairs.calls)

    def _tell_late_outputs(self, pairs: Pairs, tools: ToolMap) -> None:
        """Answer calls for which the model does not wait at once, and tell what they gave where that came.

        Each has an answer of its own, however many were made together: so a prompt that has some of them is the beginning of one
        that has more.
        """
        entries = self.entries
        told: list[Entry] = []
        late = {**pairs.calls, **pairs.doubles}
        for index, entry in enumerate(entries):
            call = entries[late[index]] if index in late else None
            if type(entry) is StartedCall:
                started = HistoryCall(entry.call_id, entry.target, entry.arguments)
                self.outputs[id(started)] = HistoryOutput(entry.call_id, entry.target.kind, STARTED)
                told += [started, self.outputs[id(started)]]
            elif type(call) is not StartedCall:
                told.append(entry)
            elif index in pairs.calls and type(entry) is HistoryOutput:
                told.append(late_output(tools.name_of(call.target), call.arguments, entry.output))
        self.entries = told


EMPTY = ModelHistory((), ToolMap())


def _with_outputs_last(entries: list[Entry], calls: Mapping[int, int]) -> list[Entry]:
    """Put messages that stand between an answer's calls and all of their outputs before this answer.

    Outputs have to follow their calls directly, so one of the two is moved. A client that repeats its question before the
    outputs (Semantic Kernel) would have the question last, and the model would call the tools anew.
    """
    ordered = entries
    for output in [index for index in calls if _is_asked(entries[index - 1]) and _is_clients(entries[index])]:
        first = output
        while first and _is_asked(entries[first - 1]):
            first -= 1
        begin = first
        while begin and _is_answered(entries[begin - 1]):
            begin -= 1
        if begin <= calls[output] < first:
            ordered = [*entries] if ordered is entries else ordered
            ordered[begin:output] = entries[first:output] + entries[begin:first]
    return ordered


def _is_asked(entry: Entry) -> bool:
    return type(entry) is Message and entry.role != "assistant"


def _is_clients(entry: Entry) -> bool:
    """Tell whether an output is a client's, and not what this server says in the place of one that never came."""
    return isinstance(entry, HistoryOutput) and entry.kind in (kinds.FUNCTION, kinds.CUSTOM)


def _is_answered(entry: Entry) -> bool:
    return type(entry) in (HistoryCall, Reasoning) or (type(entry) is Message and entry.role == "assistant")


def _outputs(entries: Sequence[Entry], indexes: Sequence[int] | dict[int, int]) -> Iterator[HistoryOutput]:
    for index in indexes:
        output = entries[index]
        assert isinstance(output, HistoryOutput)
        yield output


_CALLS: frozenset[type] = frozenset((FunctionCall, CustomToolCall))
_OUTPUTS: Mapping[type, CallKind] = {FunctionCallOutput: kinds.FUNCTION, CustomToolCallOutput: kinds.CUSTOM}


def _call_of(item: FunctionCall | CustomToolCall) -> HistoryCall:
    if isinstance(item, FunctionCall):
        kind, arguments = kinds.FUNCTION, valid_arguments(item.arguments)
    else:
        kind, arguments = kinds.CUSTOM, to_json({"input": item.input}).decode()
    space = item.namespace
    target = Target(kind, item.name, space if space and isinstance(space, str) else None)
    return (StartedCall if item.asynchronous is True else HistoryCall)(item.call_id, target, arguments)


def _entries_of(item: Item, tools: ToolMap, senses: Senses) -> Sequence[HistoryEntry]:
    """Read an item of another kind than the usual ones."""
    if isinstance(item, ItemReference):
        raise InvalidRequest("An item reference was not resolved.", param="input")
    if isinstance(item, FunctionCallOutput):  # one that did not say whose it is
        return (HistoryOutput(item.call_id, kinds.FUNCTION, item.output),)
    assert isinstance(item, OtherItem)
    return _read_other(item, tools, senses)


def _read_other(item: OtherItem, tools: ToolMap, senses: Senses) -> Sequence[HistoryEntry]:
    """Read an item of a rarer tool, as a model of these senses sees it; nothing where it says nothing to it."""
    found = READERS.get(item.type)
    if found is None:
        return ()
    kind, read = found
    return [_seen(entry, senses) for entry in read(kind.name, item, tools)]


def _seen(entry: HistoryEntry, senses: Senses) -> HistoryEntry:
    if isinstance(entry, HistoryCall) or isinstance(entry.output, str | JsonText):
        return entry
    return msgspec.structs.replace(entry, output=for_senses(entry.output, senses))


def _side(entry: Entry) -> CallSide | None:
    if type(entry) is HistoryCall or type(entry) is StartedCall:
        return CallSide(entry.call_id, entry.target.kind)
    if type(entry) is HistoryOutput:
        return CallSide(entry.call_id, entry.kind, True)
    return BREAK if isinstance(entry, Message) and entry.role != "assistant" else None


def valid_arguments(arguments: str) -> str:
    """Keep arguments that are JSON; templates and servers parse them, and a call cut off in the middle would break them."""
    try:
        _raw.decode(arguments)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return to_json({"arguments": arguments}).decode() if arguments.strip() else "{}"
    return arguments if arguments.lstrip().startswith("{") else "{}"


def thoughts_of(item: Reasoning) -> str:
    """Return the text of thoughts; a summary alone is taken for it."""
    content = item.content if item.content not in (None, UNSET) else ()
    assert not isinstance(content, type(UNSET)) and content is not None
    return "".join(part.text for part in content) or "\n\n".join(part.text for part in item.summary)
