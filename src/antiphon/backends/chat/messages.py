"""Items → chat messages, in the strict order that backends ask for: each `tool` message directly after its call."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from antiphon.backends.chat.content_parts import Content, text_of
from antiphon.backends.chat.content_parts import content as render_content
from antiphon.backends.chat.kept_messages import FEWEST, KeptMessages, MessageForm, may_be_kept
from antiphon.backends.chat.message_order import MessageList
from antiphon.backends.chat.opaque.sending import Carried, call_fields, fields_of, parts_of, signed_id, unsigned
from antiphon.backends.chat.profiles import Profile
from antiphon.backends.model_history import EMPTY, NO_OUTPUT, Entry, ModelHistory, thoughts_of
from antiphon.core.opaque import Opaque
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.core.text.pieces import text_json
from antiphon.core.tools.call_ids import BackendIds
from antiphon.core.tools.history import HistoryCall, HistoryOutput
from antiphon.core.tools.mcp_content import ALL, Senses
from antiphon.core.tools.offers import Target
from antiphon.core.tools.tool_map import ToolMap
from antiphon.errors import InvalidRequest
from antiphon.types.items import Item, Message, Reasoning
from antiphon.types.raw import JsonText

IN_NEXT_MESSAGE = "(The output is in the next message.)"


class _Assistant(msgspec.Struct, eq=False):
    """An assistant message that is still being gathered."""

    texts: list[str] = []
    reasoning: list[str] = []
    calls: list[HistoryCall] = []
    opaque: list[Opaque] = []


class Messages:
    """Gathers the messages of one request; `pieces` gives them as a JSON array."""

    def __init__(
        self,
        tools: ToolMap,
        profile: Profile,
        senses: Senses = ALL,
        carried: Carried | None = None,
        encoded: EncodedTexts | None = None,
    ) -> None:
        self._tools = tools
        self._senses = senses
        self._carried = carried if carried is not None else Carried()
        self._encoded = encoded
        self._names: dict[Target, str] = {}
        self._json_of = text_json if encoded is None else encoded.json_of
        self._profile = profile
        self._list = MessageList(profile.roles)
        self._assistant = _Assistant()
        self._history = EMPTY
        self._ids: BackendIds | None = None

    def add(self, instructions: str | None, items: Sequence[Item]) -> None:
        """Take in what the model is to see. Raises InvalidRequest for an output without its call, or a second one."""
        encoded, form = self._encoded if len(items) >= FEWEST else None, None
        if encoded is not None:
            form = MessageForm(self._profile, instructions, self._senses, self._carried.plain_field)
        if encoded is None or form is None or not self._go_on(encoded.messages, form, items):
            if instructions:
                self._list.system("system", instructions)
            self._history = ModelHistory(items, self._tools, self._senses)
        for entry in self._history.entries:
            self._add(entry)
        if encoded is not None and form is not None:
            self._keep(encoded, form, items)
        self._flush()

    def _go_on(self, kept: object, form: MessageForm, items: Sequence[Item]) -> bool:
        """Go on with the messages of an earlier request, if there are some and they begin as these do."""
        if not isinstance(kept, KeptMessages) or not kept.begin(form, items, self._tools):
            return False
        rest = items[len(kept.items) :]
        if not may_be_kept(rest):
            return False
        try:
            history = ModelHistory(rest, self._tools, self._senses)
        except InvalidRequest:  # an output whose call stands before, or none does
            return False
        if not history.plain:
            return False
        self._history, self._list, self._names = history, kept.list.copy(), {**kept.names}
        self._ids = kept.ids.copy() if kept.ids is not None else None
        return True

    def _keep(self, encoded: EncodedTexts, form: MessageForm, items: Sequence[Item]) -> None:
        """Keep the messages for the next request, where nothing behind them can change them."""
        assistant = self._assistant
        if assistant.texts or assistant.calls or assistant.reasoning or not self._history.complete:
            return
        if not self._carried.plain_field or not may_be_kept(items):
            return
        ids = self._ids.copy() if self._ids is not None else None
        encoded.messages = KeptMessages(form, items, self._list.copy(), ids, self._names)

    def continue_last(self, field: str) -> None:
        """Mark the last message, an assistant's, as one that the answer continues; `field` of it says so, if any."""
        self._list.continue_last(field)

    def note(self, text: str) -> None:
        """Add to what stands at the very beginning."""
        self._list.note(text)

    def pieces(self) -> list[bytes | Raw]:
        """Return the messages as a JSON array, in pieces that are to be joined."""
        return self._list.pieces()

    # Gathering

    def _add(self, entry: Entry) -> None:
        if type(entry) is HistoryCall:
            self._assistant.calls.append(entry)
        elif type(entry) is HistoryOutput:
            # The call's message ends here; its outputs follow it, wherever they stood.
            if self._assistant.calls:
                self._flush()
        elif type(entry) is Message:
            self._add_message(entry)
        elif type(entry) is Reasoning:
            self._add_thoughts(entry)

    def _add_thoughts(self, item: Reasoning) -> None:
        records = self._carried.beside(item)
        if not any(record.inside for record in records):  # else the text stands in a field that is sent as it came
            self._assistant.reasoning.append(thoughts_of(item))
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
        self._flush()
        self._list.system(message.role, found.text)
        if found.media:  # only user messages may hold them
            self._list.user(Content("", found.media))

    def _flush(self) -> None:
        """End the assistant message: with its calls, and the outputs of these."""
        assistant = self._assistant
        if not (assistant.texts or assistant.calls or assistant.reasoning):
            return
        self._assistant = _Assistant()
        text = _joined(assistant.texts) if assistant.texts else ""
        if not text and not assistant.calls:
            return
        fields = [b'"content":', text_json(text) if text else b'""']
        reasoning = _joined(assistant.reasoning) if assistant.reasoning else ""
        if not reasoning and self._profile.needs_reasoning:
            reasoning = " "
        if reasoning and assistant.opaque and self._carried.in_content(assistant.opaque):
            fields[1] = parts_of(reasoning, text)
        elif reasoning and self._profile.reasoning_out:
            fields.append(self._carried.thoughts(reasoning, assistant.opaque))
        records = assistant.opaque
        plain = not records and not self._profile.call_signature
        if records:
            fields.append(fields_of(records))
        named = [self._named(call, records) for call in assistant.calls]
        if named:
            calls = [_call(id, name, call) for id, name, call in named] if plain else self._calls_with(named, records)
            fields.append(b',"tool_calls":[%b]' % b",".join(calls))
        self._list.assistant(fields)
        self._add_outputs(named)

    def _named(self, call: HistoryCall, records: Sequence[Opaque]) -> tuple[str, str, HistoryCall]:
        """Return a call with the id and the name that the backend gets; its own signed ids go back to it."""
        name = self._names.get(call.target)
        if name is None:
            name = self._names[call.target] = self._tools.name_of(call.target)
        signed = signed_id(records, call.call_id) if records else ""
        if self._ids is None:
            self._ids = BackendIds(self._profile.call_ids)
        return signed or self._ids.next(call.call_id, name), name, call

    def _calls_with(self, named: Sequence[tuple[str, str, HistoryCall]], records: Sequence[Opaque]) -> list[bytes]:
        """Return calls with what goes back with them; the first of a message must have a signature for some servers."""
        calls: list[bytes] = []
        for id, name, call in named:
            kept = call_fields(records, call.call_id) if records else b""
            calls.append(_call(id, name, call, kept or (b"" if calls else unsigned(self._profile.call_signature))))
        return calls

    def _add_outputs(self, calls: Sequence[tuple[str, str, HistoryCall]]) -> None:
        media: list[Content] = []
        for call_id, name, call in calls:
            output = self._history.output_of(call)
            said = output.output if output is not None else NO_OUTPUT
            if isinstance(said, JsonText):
                content: bytes | Raw = said.json
            else:
                found = render_content(said)
                if found.media and found.shown and self._profile.tool_images:
                    content = found.whole()
                else:
                    if found.media:
                        media.append(Content(f"Output of the tool call {call_id}:", found.media))
                    content = self._json_of(found.text or (IN_NEXT_MESSAGE if found.media else ""))
            self._list.tool(call_id, content, name if self._profile.tool_names else "")
        for one in media:  # only user messages may hold it
            self._list.user(one)


def _joined(texts: Sequence[str]) -> str:
    """Return texts as paragraphs of one."""
    return "\n\n".join([text for text in texts if text])


def _call(id: str, name: str, call: HistoryCall, kept: bytes = b"") -> bytes:
    return b'{"id":%b,"type":"function","function":{"name":%b,"arguments":%b}%b}' % (
        text_json(id),
        text_json(name),
        text_json(call.arguments),
        kept,
    )
