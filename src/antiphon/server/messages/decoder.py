"""A request of the Messages API → Asked. What is not known is ignored and named; what would give a wrong answer is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from msgspec import Raw
from msgspec.structs import replace

from antiphon.core.compaction import PROMPT
from antiphon.core.request.json_text import check_bounds, mended
from antiphon.core.request.text_format import PLAIN, ResolvedText
from antiphon.core.turn import TurnOptions, no_prefill
from antiphon.errors import APIError, InvalidRequest, spelled
from antiphon.responses.intake.asked import Asked
from antiphon.responses.intake.past_inputs import PastInputs
from antiphon.runtime.offload import by_size
from antiphon.server.messages.answer import AnswerTerms
from antiphon.server.messages.blocks import blocks_of
from antiphon.server.messages.context_edits import WantedCompaction, edited
from antiphon.server.messages.conversation import MessagesRead, UsualMessage
from antiphon.server.messages.errors import dotted
from antiphon.server.messages.past_messages import KnownMessages, PastMessages
from antiphon.server.messages.request import (
    CompactionWish,
    MessagesRequest,
    MetadataFields,
    ThinkingWish,
    ThreadWish,
    read_request,
)
from antiphon.server.messages.server_blocks import OUTPUTS
from antiphon.server.messages.tools import ToolsRead, choice_of
from antiphon.types.request import READ_ONLY, CreateResponse, ReasoningConfig, TextFormat

MOST_STOPS, MOST_STOP_CHARACTERS = 64, 8192
EFFORTS = ("low", "medium", "high", "xhigh", "max")
BILLING = "x-anthropic-billing-header:"
LONG_WINDOW = "[1m]"
PREFIX = "anthropic/"


class MessagesRequestDecoder:
    """Decodes the body of one request (a RequestDecoder); `told` is then what its answer needs.

    `searches_only`: all that the request declares is a web search. `dropped` are the paths of thoughts that are left out.

    `resolve`: a client's model name → ours. `session` names the conversation, for caches. `counting`: no answer is wanted.
    `past`: what is remembered of the caller's conversations. A body need not have passed `check_json`.
    """

    def __init__(
        self,
        resolve: Callable[[str], str],
        *,
        session: str = "",
        beta: bool = False,
        counting: bool = False,
        past: PastMessages | None = None,
    ) -> None:
        self.told = AnswerTerms()
        self.told.beta = beta
        self.asked_tokens: int | None = None
        self.searches_only = False
        self.dropped: list[str] = []
        self._resolve = resolve
        self._session = session
        self._counting = counting
        self._past = past or PastMessages(PastInputs(), "")

    async def decode(self, body: bytes, model: str | None = None) -> Asked:
        """Decode a body, a large one off the event loop. Raises InvalidRequest with the field as this API spells it."""
        known = self._past.find(body)
        if known is not None:
            gone_on = await self._go_on(body, known)
            if gone_on is not None:
                return gone_on
        await by_size(len(body), check_bounds, body)
        try:
            asked, read = await self._whole(body)
        except APIError as error:
            raise spelled(error, dotted) from None
        encoded = self._past.keep(body, read, None)
        return asked if encoded is None else replace(asked, encoded=encoded)

    async def _whole(self, body: bytes) -> tuple[Asked, MessagesRead]:
        try:
            return await by_size(len(body), self._decode, body, len(body))
        except InvalidRequest:
            fit = await by_size(len(body), mended, body)
            if fit is body:
                raise
            return await by_size(len(fit), self._decode, fit, len(fit))

    async def _go_on(self, body: bytes, known: KnownMessages) -> Asked | None:
        """Decode what is new in a body; None where that cannot be: whoever decodes the whole of it knows what to say."""
        size = len(known.text)
        try:
            await by_size(size, check_bounds, known.text)
            # Edits count the tokens of all items, also of those that are known.
            asked, read = await by_size(
                len(body) if known.may_edit else size, self._decode, known.text, len(body), known
            )
        except APIError:
            return None
        encoded = self._past.keep(body, read, known)
        return asked if encoded is None else replace(asked, encoded=encoded)

    def _decode(self, body: bytes, size: int, known: KnownMessages | None = None) -> tuple[Asked, MessagesRead]:
        request, ignored, rest = known.read() if known is not None else (*read_request(body), ())
        if request.max_tokens is None and not self._counting:
            raise InvalidRequest("Field required", param="max_tokens", code="missing_required_parameter")
        read = _read_messages(request, rest, known)
        thread = request.thread
        compaction = self._edit(request, read)
        tools = _tools(request, read, ignored, known)
        read.put_first(tools.listings)
        choice, parallel = choice_of(request.tool_choice, tools)
        self.searches_only = tools.searches_only
        ignored |= read.ignored
        self.dropped = read.dropped
        told, most = self.told, request.max_tokens
        told.model, told.warm = request.model, most == 0
        self.asked_tokens = most
        asked = CreateResponse(
            model=self._resolve(request.model),
            instructions=_system(request.system, ignored),
            stream=request.stream,
            store=thread is not None and not self._counting,
            previous_response_id=_previous(thread),
            max_output_tokens=max(most, 1) if most is not None else None,
            temperature=request.temperature,
            top_p=request.top_p,
            tool_choice=choice,
            parallel_tool_calls=parallel,
            reasoning=self._reasoning(request, read, ignored),
            include=["reasoning.encrypted_content", OUTPUTS],
            prompt_cache_key=self._session or None,
            prompt_cache_options=READ_ONLY if told.warm else None,
            safety_identifier=_user(request.metadata),
        )
        if compaction is not None:
            # Not above: more than 15 arguments by name pass in a dict, which takes ten times as long (CPython 3.11).
            asked = replace(asked, context_management=compaction.rule)
        whole = Asked(
            request=asked,
            items=read.items,
            tools=[*tools.tools],
            text=_format(request),
            size=size,
            spell=lambda name: _spell(name, read, tools),
            options=self._options(request, read, compaction),
            ignored=list(ignored),
            forgiving=True,
        )
        return whole, read

    def _options(
        self, request: MessagesRequest, read: MessagesRead, compaction: WantedCompaction | None
    ) -> TurnOptions:
        """Return what a CreateResponse has no field for. Raises InvalidRequest."""
        if read.last_role == "assistant" and not self._counting and not read.ends_with_text:
            raise no_prefill()
        return TurnOptions(
            stop=_stops(request.stop_sequences),
            top_k=request.top_k,
            thinking_budget=request.thinking.budget_tokens if request.thinking is not None else None,
            continues=read.last_role == "assistant",
            summary_prompt=_summary_prompt(request.compaction, compaction),
            pauses=compaction is not None and compaction.pauses,
        )

    def _edit(self, request: MessagesRequest, read: MessagesRead) -> WantedCompaction | None:
        """Edit the conversation as the request wants it. Raises InvalidRequest."""
        if request.compaction is not None:
            if request.context_management is not None:
                raise InvalidRequest("cannot be used together with `context_management`", param="compaction")
            if request.compaction.type != "summarize":
                raise InvalidRequest("must be 'summarize'", param="compaction.type")
            if not self._counting:
                read.ask_for_summary()
            return None
        if request.context_management is None:
            return None
        found = edited(request.context_management, read.items, read.sources, read.ignored)
        read.items, read.sources, self.told.edits = found.items, found.sources, found.applied
        return None if self._counting else found.compaction

    def _reasoning(self, request: MessagesRequest, read: MessagesRead, ignored: dict[str, None]) -> ReasoningConfig:
        """Return how much is thought. Without `thinking` it is switched off, where the model can do that."""
        thinking = request.thinking
        if thinking is None or thinking.type == "disabled":
            return ReasoningConfig(effort="none")
        if read.last_role == "assistant":  # an answer that has begun is past its thoughts
            ignored["thinking"] = None
            return ReasoningConfig(effort="none")
        self.told.thinks, self.told.shows_thoughts = True, thinking.display != "omitted"
        effort = read.effort or (request.output_config.effort if request.output_config is not None else None)
        if effort is not None and effort not in EFFORTS:
            ignored["output_config.effort"] = None
            effort = "medium"
        if thinking.type == "enabled":
            effort = effort or _effort_of(thinking, request.max_tokens)
        elif thinking.type not in ("adaptive", "between_tools"):
            ignored["thinking.type"] = None
        return ReasoningConfig(effort="high" if effort in ("xhigh", "max") else effort)


def _read_messages(request: MessagesRequest, rest: Sequence[UsualMessage], known: KnownMessages | None) -> MessagesRead:
    """Read the messages of a request, where some are known the `rest` of them. Raises InvalidRequest."""
    held = _is_held(request)
    if known is None:
        return MessagesRead(request.messages, held=held)
    if held:
        raise InvalidRequest("has its beginning elsewhere", param="messages")
    return MessagesRead(rest, begins=known.begins)


def _tools(
    request: MessagesRequest, read: MessagesRead, ignored: dict[str, None], known: KnownMessages | None
) -> ToolsRead:
    """Return the tools, those of the request before where they are the same. Raises InvalidRequest."""
    kept = known.kept if known is not None and known.settled and read.changes.none else None
    if kept is not None and kept.tools is not None:
        return kept.tools
    before = len(ignored)
    tools = ToolsRead(
        request.tools or (), read.changes, ignored, servers=request.mcp_servers, container=request.container
    )
    if kept is not None and len(ignored) == before:
        kept.tools = tools
    return tools


def _is_held(request: MessagesRequest) -> bool:
    """Tell whether the server has the beginning of a conversation."""
    return request.thread is not None and request.thread.type == "continue"


def own_model(name: str) -> str:
    """Return a model's name without what only Claude Code adds to it."""
    return name.removesuffix(LONG_WINDOW).removeprefix(PREFIX) or name


def _previous(thread: ThreadWish | None) -> str | None:
    """Return the response that a request goes on from. Raises InvalidRequest."""
    if thread is None or thread.type == "create":
        return None
    if not thread.previous_message_id.startswith("msg_"):
        raise InvalidRequest("must be the id of a message", param="thread.previous_message_id")
    return f"resp_{thread.previous_message_id.removeprefix('msg_')}"


def _summary_prompt(wish: CompactionWish | None, compaction: WantedCompaction | None) -> str:
    """Return how a summary is asked for: a wish replaces our own words, an edit adds to them."""
    if wish is not None and wish.instructions and not wish.instructions.isspace():
        return wish.instructions
    return f"{PROMPT}\n\n{compaction.instructions}" if compaction is not None and compaction.instructions else ""


def _effort_of(thinking: ThinkingWish, most: int | None) -> str:
    budget = thinking.budget_tokens
    if budget is None:
        raise InvalidRequest(
            "Field required", param="thinking.enabled.budget_tokens", code="missing_required_parameter"
        )
    if budget < 1024:
        raise InvalidRequest("Input should be greater than or equal to 1024", param="thinking.enabled.budget_tokens")
    if most is not None and budget >= most:
        raise InvalidRequest("`max_tokens` must be greater than `thinking.budget_tokens`", param="max_tokens")
    return "low" if budget < 4096 else "medium" if budget < 16384 else "high"


def _system(raw: Raw | None, ignored: dict[str, None]) -> str | None:
    """Return the instructions. Claude Code's billing line is left out: it differs between conversations and breaks caches."""
    if raw is None:
        return None
    texts: list[str] = []
    for index, block in enumerate(blocks_of(raw, "system")):
        if block.type != "text":
            ignored[f"system.{block.type[:64]}"] = None
        elif not (index == 0 and block.text.startswith(BILLING)):
            texts.append(block.text)
    return "\n\n".join(text for text in texts if text) or None


def _stops(sequences: list[str] | None) -> tuple[str, ...]:
    if not sequences:
        return ()
    if len(sequences) > MOST_STOPS or sum(map(len, sequences)) > MOST_STOP_CHARACTERS:
        raise InvalidRequest(
            f"at most {MOST_STOPS} sequences with {MOST_STOP_CHARACTERS} characters in all are allowed",
            param="stop_sequences",
        )
    for index, sequence in enumerate(sequences):
        if not sequence.strip():
            raise InvalidRequest("each stop sequence must contain non-whitespace", param=f"stop_sequences[{index}]")
    return tuple(dict.fromkeys(sequences))


def _format(request: MessagesRequest) -> ResolvedText:
    config = request.output_config
    format = config.format if config is not None and config.format is not None else request.output_format
    if format is None:
        return PLAIN
    path = "output_config.format"
    if format.type != "json_schema":
        raise InvalidRequest("must be 'json_schema'", param=f"{path}.type")
    if format.schema is None or not bytes(format.schema).lstrip().startswith(b"{"):
        raise InvalidRequest("must be a JSON Schema object", param=f"{path}.schema")
    return ResolvedText(TextFormat(type="json_schema", name="output", schema=format.schema, strict=True))


def _user(metadata: MetadataFields | None) -> str | None:
    """Return who asks, as a digest: the id may hold more than backends should know."""
    if metadata is None or not metadata.user_id:
        return None
    return hashlib.sha256(metadata.user_id.encode("utf-8", "replace")).hexdigest()[:32]


_NAMES = {
    "max_output_tokens": "max_tokens",
    "instructions": "system",
    "reasoning.effort": "thinking",
    "text.format": "output_config.format",
    "text.format.schema": "output_config.format.schema",
    "previous_response_id": "thread.previous_message_id",
}


def _spell(name: str, read: MessagesRead, tools: ToolsRead) -> str:
    return dotted(_NAMES.get(name) or (tools.spell(name) if name.startswith("tools[") else read.spell(name)))
