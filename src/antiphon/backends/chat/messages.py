"""Items → chat messages, in the strict order that backends ask for: each `tool` message directly after its call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from antiphon.backends.chat.content_parts import Content, text_of
from antiphon.backends.chat.content_parts import content as render_content
from antiphon.backends.chat.history_items import read_other
from antiphon.backends.chat.message_order import MessageList
from antiphon.backends.chat.opaque.sending import Carried, call_fields, fields_of, parts_of, signed_id, unsigned
from antiphon.backends.chat.profiles import Profile
from antiphon.core import kinds
from antiphon.core.json_encoding import to_json
from antiphon.core.opaque import Opaque
from antiphon.core.text.pieces import text_json
from antiphon.core.tools.call_ids import BackendIds
from antiphon.core.tools.call_pairs import BREAK, CallSide, pair
from antiphon.core.tools.history import HistoryCall, HistoryEntry, HistoryOutput
from antiphon.core.tools.mcp_content import ALL, Senses
from antiphon.core.tools.tool_map import Target, ToolMap
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

# A call without an output (the person interrupted, or answered with a message instead) is answered with this: strict
# backends refuse a call that nothing follows, and dropping the call would hide from the model what it had tried.
NO_OUTPUT = "(no output)"

Entry = Message | Reasoning | HistoryEntry | list[HistoryEntry]

_raw = msgspec.json.Decoder(Raw)


class _Assistant:
    """An assistant message that is still being gathered."""

    __slots__ = ("calls", "opaque", "reasoning", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[HistoryCall] = []
        self.opaque: list[Opaque] = []

    @property
    def empty(self) -> bool:
        return not (self.texts or self.reasoning or self.calls)


class Messages:
    """Gathers the messages of one request; `render` gives them as a JSON array."""

    def __init__(
        self,
        tools: ToolMap,
        profile: Profile,
        senses: Senses = ALL,
        carried: Carried | None = None,
        *,
        system_in_place: bool = False,
    ) -> None:
        self._tools = tools
        self._senses = senses
        self._carried = carried if carried is not None else Carried()
        self._profile = profile
        self._list = MessageList(profile.roles, in_place=system_in_place)
        self._assistant = _Assistant()
        self._outputs: dict[int, HistoryOutput] = {}
        self._ids: BackendIds | None = None

    def add(self, instructions: str | None, items: Sequence[Item]) -> None:
        """Take in what the model is to see. Raises InvalidRequest for an output without its call, or a second one."""
        if instructions:
            self._list.system("system", instructions)
        read = [self._read(item) for item in items]
        self._match(read)
        for entry in read:
            if entry is not None:
                self._add(entry)
        self._flush()

    def note(self, text: str) -> None:
        """Add to what stands at the very beginning."""
        self._list.note(text)

    def render(self) -> bytes:
        """Return the messages as a JSON array."""
        return self._list.render()

    # Reading

    def _read(self, item: Item) -> Entry | None:
        match item:
            case Message() | Reasoning():
                return item
            case FunctionCall():
                target = Target(kinds.FUNCTION, item.name, _namespace(item.namespace))
                return HistoryCall(item.call_id, target, _valid(item.arguments))
            case CustomToolCall():
                target = Target(kinds.CUSTOM, item.name, _namespace(item.namespace))
                return HistoryCall(item.call_id, target, to_json({"input": item.input}).decode())
            case FunctionCallOutput() | CustomToolCallOutput():
                kind = kinds.CUSTOM if isinstance(item, CustomToolCallOutput) else kinds.FUNCTION
                return HistoryOutput(item.call_id, kind, item.output)
            case ItemReference():
                raise InvalidRequest("An item reference was not resolved.", param="input")
            case OtherItem():
                return read_other(item, self._tools, self._senses)

    def _match(self, read: Sequence[Any]) -> None:
        """Find the output of each call, which is kept under the identity of the call's entry."""
        kinds = set(map(type, read))
        if HistoryOutput not in kinds and list not in kinds:
            return
        entries = read
        if list in kinds:
            entries = [inner for entry in read for inner in (entry if isinstance(entry, list) else (entry,))]
        pairs = pair([_side(entry) for entry in entries])
        for place in pairs.orphans:
            output = entries[place]
            assert isinstance(output, HistoryOutput)
            if not output.optional:
                raise InvalidRequest(
                    f"No tool call found for function call output with call_id {output.call_id}.", param="input"
                )
        given: dict[int, HistoryOutput] = {}
        for place, call in pairs.calls.items():
            output = entries[place]
            assert isinstance(output, HistoryOutput)
            given[call] = self._outputs[id(entries[call])] = output
        for place, call in pairs.doubles.items():
            output = entries[place]
            assert isinstance(output, HistoryOutput)
            # The same output once more, as a client sends it that tries again, says nothing new.
            if not output.optional and output.output != given[call].output:
                raise InvalidRequest(
                    f"Duplicate tool output for call_id {output.call_id}: each tool call must have exactly one output.",
                    param="input",
                )

    # Gathering

    def _add(self, entry: Entry) -> None:
        match entry:
            case HistoryCall():
                self._assistant.calls.append(entry)
            case HistoryOutput():
                # The call's message ends here; its outputs follow it, wherever they stood.
                if self._assistant.calls:
                    self._flush()
            case Reasoning():
                self._add_thoughts(entry)
            case Message():
                self._add_message(entry)
            case list():
                for inner in entry:
                    self._add(inner)

    def _add_thoughts(self, item: Reasoning) -> None:
        records = self._carried.beside(item)
        if not any(record.inside for record in records):  # else the text stands in a field that is sent as it came
            self._assistant.reasoning.append(_thoughts(item))
        self._assistant.opaque += records

    def _add_message(self, message: Message) -> None:
        if message.role == "assistant":
            self._assistant.texts.append(text_of(message.content))
            return
        found = render_content(message.content)
        if message.role == "user":
            self._flush()
            self._list.user(found)
            return
        if found.media or not self._list.gathers_system:
            self._flush()
        self._list.system(message.role, found.text)
        if found.media:  # only user messages may hold them
            self._list.user(Content("", found.media))

    def _flush(self) -> None:
        """End the assistant message: with its calls, and the outputs of these."""
        if self._assistant.empty:
            return
        assistant, self._assistant = self._assistant, _Assistant()
        text = "\n\n".join(text for text in assistant.texts if text)
        if not text and not assistant.calls:
            return
        fields = [b'"content":', text_json(text)]
        reasoning = "\n\n".join(piece for piece in assistant.reasoning if piece)
        if not reasoning and self._profile.needs_reasoning:
            reasoning = " "
        if reasoning and assistant.opaque and self._carried.in_content(assistant.opaque):
            fields[1] = parts_of(reasoning, text)
        elif reasoning and self._profile.reasoning_out:
            fields.append(self._carried.thoughts(reasoning, assistant.opaque))
        records = assistant.opaque
        if records:
            fields.append(fields_of(records))
        named = [self._named(call, records) for call in assistant.calls]
        if named:
            calls = [_call(id, name, call, self._kept_of(call, n, records)) for n, (id, name, call) in enumerate(named)]
            fields.append(b',"tool_calls":[%b]' % b",".join(calls))
        self._list.assistant(fields)
        self._add_outputs(named)

    def _named(self, call: HistoryCall, records: Sequence[Opaque]) -> tuple[str, str, HistoryCall]:
        """Return a call with the id and the name that the backend gets; its own signed ids go back to it."""
        name = self._tools.name_of(call.target)
        signed = signed_id(records, call.call_id) if records else ""
        if self._ids is None:
            self._ids = BackendIds(self._profile.call_ids)
        return signed or self._ids.take(call.call_id, name), name, call

    def _kept_of(self, call: HistoryCall, index: int, records: Sequence[Opaque]) -> bytes:
        """Return what goes back with a call; the first of a message must have a signature for some servers."""
        kept = call_fields(records, call.call_id) if records else b""
        return kept or (unsigned(self._profile.call_signature) if index == 0 else b"")

    def _add_outputs(self, calls: Sequence[tuple[str, str, HistoryCall]]) -> None:
        media: list[Content] = []
        for call_id, name, call in calls:
            output = self._outputs.get(id(call))
            found = render_content(output.output) if output is not None else Content(NO_OUTPUT)
            if found.shown and self._profile.tool_images:
                content = found.whole()
            else:
                if found.media:
                    media.append(Content(f"Output of the tool call {call_id}:", found.media))
                content = text_json(found.text or ("(The output is in the next message.)" if found.media else ""))
            self._list.tool(call_id, content, name if self._profile.tool_names else "")
        for one in media:  # only user messages may hold it
            self._list.user(one)


def _call(id: str, name: str, call: HistoryCall, kept: bytes) -> bytes:
    return b'{"id":%b,"type":"function","function":{"name":%b,"arguments":%b}%b}' % (
        text_json(id),
        text_json(name),
        text_json(call.arguments),
        kept,
    )


def _side(entry: Message | Reasoning | HistoryEntry | None) -> CallSide | None:
    if isinstance(entry, HistoryCall):
        return CallSide(entry.call_id, entry.target.kind)
    if isinstance(entry, HistoryOutput):
        return CallSide(entry.call_id, entry.kind, True)
    return BREAK if isinstance(entry, Message) and entry.role != "assistant" else None


def _namespace(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _valid(arguments: str) -> str:
    """Keep arguments that are JSON; templates and servers parse them, and a call cut off in the middle would break them."""
    try:
        _raw.decode(arguments)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return to_json({"arguments": arguments}).decode() if arguments.strip() else "{}"
    return arguments if arguments.lstrip().startswith("{") else "{}"


def _thoughts(item: Reasoning) -> str:
    content = item.content if item.content not in (None, UNSET) else ()
    assert not isinstance(content, type(UNSET)) and content is not None
    return "".join(part.text for part in content) or "\n\n".join(part.text for part in item.summary)
