"""The messages of a request → our items, each with the message that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec
from msgspec import Raw

from antiphon.core.compaction import TRIGGER
from antiphon.core.json_encoding import to_json
from antiphon.core.relay.writers import PICTURE
from antiphon.core.request.validation import decode
from antiphon.core.seals import is_seal
from antiphon.errors import InvalidRequest
from antiphon.server.messages.blocks import (
    BlockFields,
    UsualBlock,
    arguments_of,
    blocks_of,
    not_null,
    parts_of,
    picture_of,
    result_of,
)
from antiphon.server.messages.call_ids import own_id
from antiphon.server.messages.server_history import earlier_call
from antiphon.server.messages.server_tools import listing_item
from antiphon.server.messages.tool_changes import ToolChanges
from antiphon.types.items import (
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Item,
    Message,
    OtherItem,
    OutputText,
    Part,
    Reasoning,
    ReasoningText,
)
from antiphon.types.raw import OptionalRaw, settle_nulls

MOST_MESSAGES = 100_000


class MessageOutput(msgspec.Struct, frozen=True):
    """`output_config` of a message."""

    effort: str | None = None


class MessageFields(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a request."""

    role: str
    content: OptionalRaw = None
    output_config: MessageOutput | None = None
    clear_at: str | None = None

    def __post_init__(self) -> None:
        settle_nulls(self, content=self.content)


class UsualMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a request, decoded with its blocks."""

    role: str
    content: str | list[UsualBlock] | None = None
    output_config: MessageOutput | None = None
    clear_at: str | None = None


_messages = msgspec.json.Decoder(list[MessageFields])


def _stable(messages: Sequence[MessageFields | UsualMessage]) -> int:
    """Return how many messages the next request has as they are: not the last one, nor those where a mark may be moved."""
    last = len(messages) - 1
    marked = [at for at in range(max(last - MARKED, 0), last) if _is_marked(messages[at])]
    return min(marked, default=last)


def _is_marked(message: MessageFields | UsualMessage) -> bool:
    content = message.content
    return isinstance(content, list) and any(not_null(block.cache_control) for block in content)


def _fields_of(raw: Raw) -> Sequence[MessageFields | UsualMessage]:
    return decode(_messages, raw, "messages")


MARKED = 6
"""Messages at the end of a conversation among which clients move the marks of their cache from turn to turn."""


class Beginning(msgspec.Struct, eq=False):
    """What was read of the first messages of a conversation: so many items, and what the messages behind them depend on."""

    messages: int
    items: list[Item]
    sources: list[tuple[int, Sequence[int]]]
    calls: set[str]
    effort: str | None
    changes: ToolChanges
    ignored: dict[str, None]
    dropped: list[str]

    def copy(self) -> Beginning | None:
        """Return the same, to be read on; None where that cannot be copied."""
        changes = self.changes.copy()
        if changes is None:
            return None
        lists = self.items.copy(), self.sources.copy(), self.calls.copy()
        return Beginning(self.messages, *lists, self.effort, changes, self.ignored.copy(), self.dropped.copy())


def _nothing() -> Beginning:
    return Beginning(0, [], [], set(), None, ToolChanges(), {}, [])


class MessagesRead:
    """Items of a conversation. `effort`: what its system messages ask for last. `changes`: tools that come and go in it.

    `dropped` are the paths of thoughts that are left out, `ignored` is what has no effect. `held`: the server has the beginning
    of the conversation. `sources` name, item by item, the message and the blocks that its parts came from.

    `begins`: what was read before of the messages that stand before these. `beginning`: what of all of them stands in the next
    request, too, as far as that can be told. `all_items`: the items as they were before any edit.
    """

    def __init__(
        self, given: Raw | Sequence[UsualMessage], *, held: bool = False, begins: Beginning | None = None
    ) -> None:
        begins = begins or _nothing()
        self.items, self.sources, self._calls = begins.items, begins.sources, begins.calls
        self.effort, self.changes = begins.effort, begins.changes
        self.ignored, self.dropped = begins.ignored, begins.dropped
        self.all_items = self.items
        self.beginning: Beginning | None = None
        self._uses: dict[str, BlockFields] = {}
        self._cited = False
        self._spoken: list[str] = []
        self._spoken_at: list[int] = []
        self._held = held
        self._parts: list[Part] = []
        self._origins: list[int] = []
        messages = _fields_of(given) if isinstance(given, Raw) else given
        if not messages:
            raise InvalidRequest("at least one message is required", param="messages")
        first = begins.messages
        if first + len(messages) > MOST_MESSAGES:
            raise InvalidRequest(f"at most {MOST_MESSAGES} messages are allowed", param="messages")
        self.last_role = messages[-1].role
        last_user, stable = -1, first + _stable(messages)
        if isinstance(given, Raw) or held:
            stable = -1
        if any(message.clear_at for message in messages):
            stable = -1
            last_user = max((at for at, one in enumerate(messages, first) if one.role == "user"), default=-1)
        for at, message in enumerate(messages, first):
            if at == stable:
                self._note(at)
            self._read(message, at, cleared=message.clear_at == "next_user_message" and at < last_user)
        self._join()

    def _read(self, message: MessageFields | UsualMessage, at: int, *, cleared: bool) -> None:
        content = message.content
        if content is None and (message.role != "system" or message.output_config is None):
            raise InvalidRequest("Field required", param=f"messages[{at}].content", code="missing_required_parameter")
        blocks: Sequence[BlockFields] = ()
        if isinstance(content, list):
            blocks = content
        elif isinstance(content, str):
            blocks = (BlockFields(type="text", text=content),)
        elif content is not None:
            blocks = blocks_of(content, f"messages[{at}].content")
        match message.role:
            case "user":
                self._user(blocks, at)
            case "assistant":
                for index, block in enumerate(blocks):
                    self._assistant(block, at, index)
            case "system":
                if message.output_config is not None and message.output_config.effort:
                    self.effort = message.output_config.effort
                self._system(blocks, at, cleared=cleared)
            case _:
                raise InvalidRequest("Input should be 'user', 'assistant' or 'system'", param=f"messages[{at}].role")

    def _note(self, at: int) -> None:
        """Note what was read of the messages before this one; not where it depends on those behind them, too."""
        self._join()
        last = self.items[-1] if self.items else None
        if last is None or self._uses or (isinstance(last, Message) and last.role == "user"):
            return
        so_far = self.items, self.sources, self._calls, self.effort, self.changes, self.ignored, self.dropped
        self.beginning = Beginning(at, *so_far).copy()

    def _add(self, item: Item, at: int, blocks: Sequence[int]) -> None:
        if self._spoken:
            self._join()
        self.items.append(item)
        self.sources.append((at, blocks))

    def _user(self, blocks: Sequence[BlockFields], at: int) -> None:
        """Read a user's message: results first, then what was said; it joins a user's message before it."""
        said: list[Part] = []
        origins: list[int] = []
        for index, block in enumerate(blocks):
            path = f"messages[{at}].content[{index}]"
            if block.type == "tool_result":
                self._result(block, at, index, path)
                continue
            parts = parts_of(block, path)
            if parts is None:
                self.ignored[block.type[:64]] = None
                continue
            if block.type == "document" and b"true" in bytes(block.citations or b""):
                self.ignored["document.citations"] = None
            said += parts
            origins += [index] * len(parts)
        if not said:
            return
        before = self.items[-1] if self.items else None
        if isinstance(before, Message) and before.content is self._parts and before.role == "user":
            self._parts += said  # in place: there may be thousands of them
            self._origins += origins
        else:
            self._parts, self._origins = said, origins
            self._add(Message(role="user", content=said), at, origins)

    def _result(self, block: BlockFields, at: int, index: int, path: str) -> None:
        if block.tool_use_id not in self._calls and not self._held:
            raise InvalidRequest(
                f"unexpected `tool_use_id` found in `tool_result` blocks: {block.tool_use_id[:128]}. Each `tool_result` block"
                " must have a corresponding `tool_use` block in the previous message.",
                param=path,
            )
        output = result_of(block, path, self.changes.refer)
        self._add(FunctionCallOutput(call_id=own_id(block.tool_use_id), output=output), at, [index])

    def _assistant(self, block: BlockFields, at: int, index: int) -> None:
        match block.type:
            case "text":
                self._said(block, at, index)
            case "thinking" | "redacted_thinking":
                sealed = (block.signature if block.type == "thinking" else block.data) or ""
                if is_seal(sealed):
                    self._add(Reasoning(encrypted_content=sealed), at, [index])
                elif block.thinking:
                    self._add(Reasoning(content=[ReasoningText(text=block.thinking)]), at, [index])
                else:
                    self.ignored["thinking"] = None
                    self.dropped.append(f"messages.{at}.content.{index}")
            case "tool_use":
                if not block.id or not block.name:
                    lacks = "name" if block.id else "id"
                    raise InvalidRequest(
                        "Field required",
                        param=f"messages[{at}].content[{index}].{lacks}",
                        code="missing_required_parameter",
                    )
                self._calls.add(block.id)
                call = FunctionCall(call_id=own_id(block.id), name=block.name, arguments=arguments_of(block))
                self._add(call, at, [index])
            case "server_tool_use" | "mcp_tool_use":
                self._uses[block.id] = block
            case kind if kind.endswith("_tool_result"):
                use = self._uses.pop(block.tool_use_id, None)
                if use is None:
                    self.ignored[kind[:64]] = None
                    return
                path = f"messages[{at}].content[{index}].content"
                for item in earlier_call(use, block, path, is_seal, self.changes.refer):
                    self._add(item, at, [index])
            case "image" if (data := picture_of(block, f"messages[{at}].content[{index}]")) is not None:
                id = f"ig_{blake2b(data.encode(), digest_size=12).hexdigest()}"
                made = {"id": id, "type": PICTURE, "status": "completed", "result": data}
                self._add(OtherItem(type=PICTURE, raw=Raw(to_json(made)), id=id), at, [index])
            case "mcp_tool_listing":
                path = f"messages[{at}].content[{index}]"
                self._add(listing_item(block.mcp_server_name, not_null(block.tools) or Raw(b"[]"), path), at, [index])
            case "compaction" if block.encrypted_content and is_seal(block.encrypted_content):
                raw = to_json({"type": "compaction", "encrypted_content": block.encrypted_content})
                self._add(OtherItem(type="compaction", raw=Raw(raw)), at, [index])
            case "compaction":
                content = not_null(block.content)
                if content is None:
                    return  # one that failed stands for nothing
                self.items.clear()
                self.sources.clear()
                self.beginning = None
                self._spoken = []
                text = "\n".join(one.text for one in blocks_of(content, f"messages[{at}].content[{index}]"))
                if text:
                    self._add(Message(role="user", content=[InputText(text=text)]), at, [index])
            case _:
                self.ignored[block.type[:64]] = None

    def _said(self, block: BlockFields, at: int, index: int) -> None:
        """Read a text of the assistant's; one that was parted where it cites something is one text."""
        if not block.text:
            return
        cited, self._cited = self._cited, not_null(block.citations) is not None
        if (cited or self._cited) and self._spoken and self.sources[-1][0] == at:
            self._spoken.append(block.text)  # in place: there may be thousands of them
            self._spoken_at.append(index)
            return
        spoken, self._spoken_at = [block.text], [index]
        self._add(Message(role="assistant", content=[OutputText(text=block.text)]), at, self._spoken_at)
        self._spoken = spoken

    def _join(self) -> None:
        """Make one text of the last one where it was parted."""
        if len(self._spoken) > 1:
            self.items[-1] = Message(role="assistant", content=[OutputText(text="".join(self._spoken))])
        self._spoken = []

    def _system(self, blocks: Sequence[BlockFields], at: int, *, cleared: bool) -> None:
        """Read a system message; of one that is `cleared` the text is no longer shown."""
        texts: list[str] = []
        for index, block in enumerate(blocks):
            match block.type:
                case "text":
                    texts.append(block.text)
                case "tool_addition" | "tool_removal" as kind:
                    path = f"messages[{at}].content[{index}].tool"
                    if not self.changes.take(not_null(block.tool), path, added=kind == "tool_addition"):
                        self.ignored[kind] = None
                case _:
                    self.ignored[block.type[:64]] = None
        text = "\n\n".join(text for text in texts if text)
        if text and not cleared:
            self._add(Message(role="system", content=[InputText(text=text)]), at, [0])

    def put_first(self, items: Sequence[Item]) -> None:
        """Put items before all others: the model sees nothing of them."""
        self.items = [*items, *self.items]
        self.sources = [*((0, ()) for _ in items), *self.sources]

    def ask_for_summary(self) -> None:
        """Ask for a summary instead of an answer."""
        self._add(OtherItem(type=TRIGGER, raw=Raw(to_json({"type": TRIGGER}))), len(self.sources), [0])
        self.last_role = "user"

    @property
    def ends_with_text(self) -> bool:
        """Tell whether the last item is a text."""
        return bool(self.items) and isinstance(self.items[-1], Message)

    def spell(self, name: str) -> str:
        """Return how this API names a field: `input[2].content[0]` → `messages.1.content.3`."""
        head, _, rest = name.partition("]")
        number = head.removeprefix("input[")
        if head == number or not number.isdigit() or len(number) > 9 or int(number) >= len(self.sources):
            return "messages" if name == "input" else name
        at, indexes = self.sources[int(number)]
        path = f"messages.{at}.content"
        part = rest.partition("[")[2].partition("]")[0]
        if part.isdigit() and len(part) < 9 and int(part) < len(indexes):
            return f"{path}.{indexes[int(part)]}"
        return f"{path}.{indexes[0]}" if indexes else path
