"""Items → the `system` and `messages` of a Messages request, in the order that the API asks for.

User and assistant alternate, the user begins. An assistant message holds thoughts, texts and calls in the order in which they
were said; the next user message begins with a result for each call. Blocks are JSON, the same bytes in each request.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from antiphon.backends.anthropic.blocks import content_blocks, text_block, text_blocks, texts_of
from antiphon.backends.anthropic.cache_control import NO_CACHE, USER_MESSAGES, Breakpoint, CachePolicy
from antiphon.backends.anthropic.origin import BLOCKS
from antiphon.backends.chat.opaque.sending import Carried
from antiphon.backends.model_history import Entry, ModelHistory
from antiphon.core.json_encoding import to_json
from antiphon.core.text.pieces import enclosed, joined, text_json
from antiphon.core.tools.call_ids import BackendIds
from antiphon.core.tools.history import HistoryCall, HistoryOutput
from antiphon.core.tools.mcp_content import ALL, Senses
from antiphon.core.tools.tool_map import ToolMap
from antiphon.types.items import Item, Message, Reasoning
from antiphon.types.raw import JsonText

NOT_ANSWERED = b'"content":"(not answered)","is_error":true'
BEGINNING = text_block(".")
"""What the user says where nothing is left of it: the API asks for a user message at the beginning."""

_THOUGHTS = (b'{"type":"thinking"', b'{"type":"redacted_thinking"')


class AlternatingMessages:
    """Gathers the messages of one request.

    `keeps_system`: the model takes system messages in the middle; else they are user text in `<system-reminder>` tags, at their
    place. `thoughts`: blocks of thoughts go back. `called` are the names of all functions that were called.
    """

    def __init__(
        self,
        tools: ToolMap,
        carried: Carried | None = None,
        senses: Senses = ALL,
        *,
        keeps_system: bool = False,
        thoughts: bool = True,
    ) -> None:
        self.called: dict[str, None] = {}
        self._tools = tools
        self._carried = carried if carried is not None else Carried()
        self._senses = senses
        self._keeps_system = keeps_system
        self._thoughts = thoughts
        self._system: list[bytes] = []
        self._messages: list[tuple[str, list[bytes]]] = []
        self._assistant: list[bytes] = []
        self._calls: list[tuple[str, HistoryCall]] = []
        self._ids = BackendIds("plain")
        self._history = ModelHistory((), tools)

    def add(self, instructions: str | None, items: Sequence[Item]) -> None:
        """Take in what the model is to see. Raises InvalidRequest for an output without its call, or a second one."""
        self._system += text_blocks([instructions or ""])
        self._history = ModelHistory(items, self._tools, self._senses)
        for entry in self._history.entries:
            self._add(entry)
        self._flush()
        self._end()

    def note(self, text: str) -> None:
        """Add to what stands at the very beginning."""
        self._system.append(text_block(text))

    @property
    def thinks_at_end(self) -> bool:
        """Tell whether the calls that are being answered were made behind thoughts, or there are none."""
        for role, blocks in reversed(self._messages):
            if role == "assistant":
                called = any(block.startswith(b'{"type":"tool_use"') for block in blocks)
                return not called or blocks[0].startswith(_THOUGHTS)
            if not any(block.startswith(b'{"type":"tool_result"') for block in blocks):
                return True
        return True

    @property
    def marks(self) -> list[Breakpoint]:
        """The blocks behind which the client wants the prompt to be cached, in order."""
        blocks = [self._system, *[blocks for _, blocks in self._messages]]
        return [block for some in blocks for block in some if isinstance(block, Breakpoint)]

    def system(self, cache: CachePolicy = NO_CACHE) -> bytes:
        """Return the system text as a JSON array, b"" where there is none."""
        marks = self.marks
        found = self._at(self._system, cache, cache.kept(marks)) if marks else cache.marked(self._system)
        return enclosed(b"[", found, b"]") if self._system else b""

    def _at(self, blocks: Sequence[bytes], cache: CachePolicy, kept: Container[int]) -> list[bytes]:
        return [cache.at(block) if isinstance(block, Breakpoint) and id(block) in kept else block for block in blocks]

    def messages(self, cache: CachePolicy = NO_CACHE) -> bytes:
        """Return the messages as a JSON array. Beside breakpoints of the client the last user message alone has another one."""
        marks = self.marks
        kept = cache.kept(marks) if marks else frozenset()
        left = 1 if marks else USER_MESSAGES
        rendered: list[bytes] = []
        for role, blocks in reversed(self._messages):
            marked: Sequence[bytes] = self._at(blocks, cache, kept) if kept else blocks
            if role == "user" and left:
                marked = marked if id(blocks[-1]) in kept else cache.marked(marked)
                left -= 1
            rendered.append(joined([b'{"role":%b,"content":' % to_json(role), enclosed(b"[", marked, b"]"), b"}"]))
        rendered.reverse()
        return enclosed(b"[", rendered, b"]")

    # Gathering

    def _add(self, entry: Entry) -> None:
        match entry:
            case HistoryCall():
                self._call(entry)
            case HistoryOutput():
                if self._calls:  # the call's message ends here; its results follow it, wherever they stood
                    self._flush()
            case Reasoning():
                self._add_thoughts(entry)
            case Message(role="assistant"):
                self._assistant += text_blocks(texts_of(entry.content))
            case Message(role="user"):
                self._flush()
                self._say("user", content_blocks(entry.content))
            case Message():
                self._add_system(entry)

    def _add_thoughts(self, item: Reasoning) -> None:
        """Send blocks of thoughts back as they came; thoughts without a signature of this server are no such blocks."""
        records = self._carried.beside(item)
        if self._thoughts:
            self._assistant += [bytes(record.message[BLOCKS])[1:-1] for record in records if BLOCKS in record.message]

    def _add_system(self, message: Message) -> None:
        texts = texts_of(message.content)
        if not self._messages and not self._assistant:
            self._system += text_blocks(texts) if isinstance(message.content, str) else content_blocks(message.content)
            return
        self._flush()
        if self._keeps_system:
            self._say("system", text_blocks(texts))
        else:
            said = [text for text in texts if text and not text.isspace()]
            self._say("user", [text_block(f"<system-reminder>\n{text}\n</system-reminder>") for text in said])

    def _call(self, call: HistoryCall) -> None:
        name = self._tools.name_of(call.target)
        id = self._ids.next(call.call_id, name)
        self.called[name] = None
        self._calls.append((id, call))
        self._assistant.append(
            joined(
                [
                    b'{"type":"tool_use","id":%b,"name":%b,"input":' % (to_json(id), text_json(name)),
                    _input(call.arguments),
                    b"}",
                ]
            )
        )

    def _flush(self) -> None:
        """End the assistant message, and give the results of its calls."""
        blocks, self._assistant = self._assistant, []
        calls, self._calls = self._calls, []
        if all(block.startswith(_THOUGHTS) for block in blocks):
            return  # the API refuses a message of thoughts alone
        self._say("assistant", blocks)
        self._say("user", [self._result(id, call) for id, call in calls])

    def _result(self, call_id: str, call: HistoryCall) -> bytes:
        output = self._history.outputs.get(id(call))
        head = b'{"type":"tool_result","tool_use_id":%b' % to_json(call_id)
        if output is None:
            return b"%b,%b}" % (head, NOT_ANSWERED)
        if isinstance(output.output, str | JsonText):
            said = str(output.output)
            return joined([head, b',"content":', text_json(said), b"}"]) if said and not said.isspace() else head + b"}"
        blocks = content_blocks(output.output)
        if not blocks:
            return head + b"}"
        whole = joined([head, b',"content":', enclosed(b"[", blocks, b"]"), b"}"])
        marks = [block for block in blocks if isinstance(block, Breakpoint)]
        return Breakpoint(whole) if marks else whole

    def _say(self, role: str, blocks: list[bytes]) -> None:
        if not blocks:
            return
        if not self._messages and role != "user":
            self._messages.append(("user", [BEGINNING]))
        if self._messages and self._messages[-1][0] == role:
            self._messages[-1][1].extend(blocks)
        else:
            self._messages.append((role, blocks))

    def _end(self) -> None:
        """Make the end one that the API takes: somebody has said something, and no blank stands at the end of a beginning."""
        if not self._messages:
            self._messages.append(("user", [BEGINNING]))
        role, blocks = self._messages[-1]
        if role == "assistant" and blocks[-1].startswith(b'{"type":"text"'):
            last = self._last_text()
            blocks[-1] = text_block(last.rstrip())

    def _last_text(self) -> str:
        for entry in reversed(self._history.entries):
            if isinstance(entry, Message) and entry.role == "assistant":
                said = [text for text in texts_of(entry.content) if text and not text.isspace()]
                if said:
                    return said[-1]
        return "."


def _input(arguments: str) -> bytes:
    """Return a call's arguments, which are JSON, as their own bytes."""
    try:
        return arguments.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate: JSON has an escape for it, and strict readers none
        return arguments.encode("utf-8", "replace")
