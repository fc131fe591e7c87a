"""Items → chat messages, in the strict order that backends ask for: each `tool` message directly after its call."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from antiphon.backends.chat.content_parts import Content, text_of
from antiphon.backends.chat.content_parts import content as render_content
from antiphon.backends.chat.kept_messages import FEWEST, CalledName, KeptMessages, MessageForm, called_name, may_be_kept
from antiphon.backends.chat.message_order import MessageList, tool_head
from antiphon.backends.chat.opaque.sending import Carried, call_fields, fields_of, parts_of, signed_id, unsigned
from antiphon.backends.chat.profiles import Profile
from antiphon.backends.model_history import EMPTY, NO_OUTPUT, ModelHistory, thoughts_of
from antiphon.core.opaque import Opaque
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.core.text.pieces import text_json
from antiphon.core.tools.call_ids import BackendIds
from antiphon.core.tools.history import HistoryCall, HistoryOutput
from antiphon.core.tools.mcp_content import ALL, Senses
from antiphon.core.tools.offers import Target
from antiphon.core.tools.tool_map import ToolMap
from antiphon.errors import InvalidRequest
from antiphon.types.items import Item, Message, Part, Reasoning
from antiphon.types.raw import JsonText

IN_NEXT_MESSAGE = "(The output is in the next message.)"


class _Said(msgspec.Struct, eq=False):
    """What an assistant message that is still being gathered says beside its calls."""

    texts: list[str] = []
    reasoning: list[str] = []
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
        self._names: dict[Target, CalledName] = {}
        self._profile = profile
        self._list = MessageList(profile.roles)
        self._said: _Said | None = None
        self._calls: list[HistoryCall] = []
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
            kind = type(entry)
            if kind is HistoryCall:
                self._calls.append(entry)  # type: ignore[arg-type]  # `type` narrows nothing
            elif kind is HistoryOutput:
                # The call's message ends here; its outputs follow it, wherever they stood.
                if self._calls:
                    self._flush()
            elif kind is Message:
                self._add_message(entry)  # type: ignore[arg-type]  # `type` narrows nothing
            elif kind is Reasoning:
                self._add_thoughts(entry)  # type: ignore[arg-type]  # as above
        if encoded is not None and form is not None:
            self._keep(encoded, form, items)
        if self._calls or self._said is not None:
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
        said = self._said
        if self._calls or (said is not None and (said.texts or said.reasoning)) or not self._history.complete:
            return
        if not self._carried.plain_field or not may_be_kept(items):
            return
        ids = self._ids.copy() if self._ids is not None else None
        encoded.messages = KeptMessages(form, items, self._list.copy(), ids, self._names, self._tools.list_number)

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

    def _begun(self) -> _Said:
        """Return what the assistant message that is being gathered says."""
        if self._said is None:
            self._said = _Said()
        return self._said

    def _add_thoughts(self, item: Reasoning) -> None:
        records, said = self._carried.beside(item), self._begun()
        if not any(record.inside for record in records):  # else the text stands in a field that is sent as it came
            said.reasoning.append(thoughts_of(item))
        said.opaque += records

    def _add_message(self, message: Message) -> None:
        if message.role == "assistant":
            self._begun().texts.append(text_of(message.content))
            return
        found = render_content(message.content)
        if self._calls or self._said is not None:
            self._flush()
        if message.role == "user":
            self._list.user(found)
            return
        self._list.system(message.role, found.text)
        if found.media:  # only user messages may hold them
            self._list.user(Content("", found.media))

    def _flush(self) -> None:
        """End the assistant message: with its calls, and the outputs of these."""
        said, calls = self._said, self._calls
        if not calls and (said is None or not (said.texts or said.reasoning)):
            return
        self._said, self._calls = None, []
        text = _joined(said.texts) if said is not None and said.texts else ""
        if not text and not calls:
            return
        fields = [b'"content":', text_json(text) if text else b'""']
        if said is not None or self._profile.needs_reasoning:
            self._add_said(fields, text, said or _Said())
        if not calls:
            self._list.assistant(fields)
            return
        media: list[Content] = []
        outputs = self._add_calls(fields, calls, said.opaque if said is not None else (), media)
        self._list.assistant(fields, outputs)
        for one in media:  # only user messages may hold it
            self._list.user(one)

    def _add_said(self, fields: list[bytes], text: str, said: _Said) -> None:
        """Add thoughts to a message that has its text, and what was kept beside them."""
        reasoning = _joined(said.reasoning) if said.reasoning else ""
        if not reasoning and self._profile.needs_reasoning:
            reasoning = " "
        if reasoning and said.opaque and self._carried.in_content(said.opaque):
            fields[1] = parts_of(reasoning, text)
        elif reasoning and self._profile.reasoning_out:
            fields.append(self._carried.thoughts(reasoning, said.opaque))
        if said.opaque:
            fields.append(fields_of(said.opaque))

    def _add_calls(
        self, fields: list[bytes], calls: Sequence[HistoryCall], records: Sequence[Opaque], media: list[Content]
    ) -> list[bytes | Raw]:
        """Add calls with the ids and names that the backend gets, and what goes back with them.

        Its own signed ids go back to it; the first call of a message must have a signature for some servers. Return the pieces of
        the messages with their outputs, but the `media` for which these have no place.
        """
        pieces: list[bytes | Raw] = []
        ids = self._ids = self._ids or BackendIds(self._profile.call_ids)
        outputs, named, signature = self._history.outputs, self._profile.tool_names, self._profile.call_signature
        before = b',"tool_calls":[{"id":'
        for call in calls:
            name = self._names.get(call.target)
            if name is None:
                name = self._names[call.target] = called_name(self._tools.name_of(call.target))
            call_id, kept = "", b""
            if records:
                call_id, kept = signed_id(records, call.call_id), call_fields(records, call.call_id)
            if signature and not kept and not pieces:
                kept = unsigned(signature)
            call_id = call_id or ids.next(call.call_id, name.name)
            json = text_json(call_id)
            fields += (before, json, name.before, text_json(call.arguments), b"}%b}" % kept if kept else b"}}")
            before = b',{"id":'
            output = outputs.get(id(call))
            said = output.output if output is not None else NO_OUTPUT
            content = said.json if isinstance(said, JsonText) else self._content(said, call_id, media)
            pieces += (tool_head(json, name.json if named else b""), content, b"}")
        fields.append(b"]")
        return pieces

    def _content(self, output: str | Sequence[Part], call_id: str, media: list[Content]) -> bytes:
        """Return the content of a message with an output; what has no place in it is added to the `media`."""
        found = render_content(output)
        if found.media and found.shown and self._profile.tool_images:
            return found.whole()
        if found.media:
            media.append(Content(f"Output of the tool call {call_id}:", found.media))
        text = found.text or (IN_NEXT_MESSAGE if found.media else "")
        return text_json(text) if self._encoded is None else self._encoded.json_of(text)


def _joined(texts: Sequence[str]) -> str:
    """Return texts as paragraphs of one."""
    return "\n\n".join([text for text in texts if text])
