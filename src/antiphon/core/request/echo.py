"""What a Response echoes of its request: the defaults filled in, the shapes strict clients parse."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import SECRETIVE
from antiphon.core.request.text_format import PLAIN, ResolvedText
from antiphon.core.request.tool_decoding import ToolList
from antiphon.core.tools.declared_defaults import with_defaults
from antiphon.core.tools.redaction import shown_choice, shown_tool
from antiphon.types.request import ConversationRef, CreateResponse, PromptCacheOptions, ReasoningConfig
from antiphon.types.response import PromptCacheEcho, ReasoningEcho, Response
from antiphon.types.tools import CustomTool, FunctionTool, NamespaceTool, OtherTool, Tool, ToolChoice


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """A model's own values for fields that a request leaves open."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    reasoning_effort: str | None = None


def echo_response(
    request: CreateResponse,
    *,
    id: str,
    created_at: int,
    tools: Sequence[Tool],
    text: ResolvedText,
    defaults: Defaults,
    store_default: bool = True,
) -> Response:
    """Return the Response as it stands before the first token (contract, "Response object")."""
    reasoning, conversation, choice = request.reasoning, request.conversation, request.tool_choice
    effort = defaults.reasoning_effort
    response = Response(
        id=id,
        created_at=created_at,
        model=request.model,
        background=bool(request.background),
        conversation=ConversationRef(conversation) if isinstance(conversation, str) else conversation,
        instructions=request.instructions,
        previous_response_id=request.previous_response_id,
        prompt=request.prompt,
        reasoning=NO_REASONING if reasoning is None and effort is None else _reasoning(reasoning, effort),
        store=request.store if request.store is not None else store_default,
        text=_PLAIN_TEXT if text is PLAIN else echo_text(text),
        tool_choice=_AUTO if choice is None else Raw(to_json(_choice(choice))),
        tools=echo_tools(tools) if tools else _NO_TOOLS,
        metadata=request.metadata or {},
    )
    # Not above: more than 15 arguments by name pass in a dict, which takes ten times as long (CPython 3.11).
    response.max_output_tokens = request.max_output_tokens or defaults.max_output_tokens
    response.max_tool_calls = request.max_tool_calls
    response.parallel_tool_calls = request.parallel_tool_calls is not False
    response.prompt_cache_key = request.prompt_cache_key
    response.safety_identifier = request.safety_identifier
    temperature = request.temperature if request.temperature is not None else defaults.temperature
    if temperature is not None:
        response.temperature = temperature
    top_p = request.top_p if request.top_p is not None else defaults.top_p
    if top_p is not None:
        response.top_p = top_p
    response.top_logprobs = request.top_logprobs or 0
    response.truncation = request.truncation or "disabled"
    response.user = request.user
    response.presence_penalty = request.presence_penalty or 0.0
    response.frequency_penalty = request.frequency_penalty or 0.0
    if request.prompt_cache_options is not None:
        response.prompt_cache_options = _cache_options(request.prompt_cache_options)
    return response


NO_REASONING = ReasoningEcho()
_AUTO, _NO_TOOLS = Raw(b'"auto"'), Raw(b"[]")


def _reasoning(asked: ReasoningConfig | None, effort: str | None) -> ReasoningEcho:
    """Echo `reasoning`; `effort` is the model's own."""
    if asked is None:
        return ReasoningEcho(effort=effort)
    return ReasoningEcho(
        effort=asked.effort or effort,
        summary=asked.known_summary,
        context=asked.context or UNSET,
        mode=asked.mode or UNSET,
    )


def _cache_options(asked: PromptCacheOptions) -> PromptCacheEcho:
    usual = PromptCacheEcho()
    return PromptCacheEcho(
        mode=asked.mode or usual.mode,
        ttl=asked.ttl or usual.ttl,
        comparison_response_id=asked.comparison_response_id or UNSET,
    )


def _choice(choice: str | ToolChoice) -> str | ToolChoice:
    if not isinstance(choice, ToolChoice) or choice.tools is UNSET:
        return choice
    return msgspec.structs.replace(choice, tools=[shown_choice(tool) for tool in choice.tools])


def echo_text(text: ResolvedText) -> Raw:
    """Echo `text` nested; the flat `type` stands beside it when the request was flat."""
    format = text.format
    shape: dict[str, object] = {"type": format.type}
    if format.type == "json_schema":
        shape |= {
            "name": format.name,
            "description": format.description,
            "schema": format.schema,
            "strict": bool(format.strict),
        }
    echo: dict[str, object] = {"format": shape}
    if text.verbosity is not None:
        echo["verbosity"] = text.verbosity
    if text.flat:
        echo["type"] = format.type
    return Raw(to_json(echo))


_PLAIN_TEXT = echo_text(PLAIN)


def echo_tools(tools: Sequence[Tool]) -> Raw:
    """Echo the declared tools, without their secrets; schemas are passed on as bytes."""
    if type(tools) is not ToolList:
        return _echo_tools(tools)
    if tools.echo is None:
        tools.echo = _echo_tools(tools)
    return tools.echo


def _echo_tools(tools: Sequence[Tool]) -> Raw:
    known = _known_echoes.get
    echoes = [one[1] if (one := known(id(tool))) is not None else _echo_tool(tool) for tool in tools]
    return Raw(b"[%b]" % b",".join(echoes))


_known_echoes: dict[int, tuple[Tool, bytes]] = {}
"""By identity: `decode_tool` gives the same tool for the same bytes. It is kept, so that no other one has its identity."""
MOST_KNOWN = 1024
LONGEST_KNOWN = 8192  # bytes of an echo that is kept


def _echo_tool(tool: Tool) -> bytes:
    if isinstance(tool, OtherTool):
        return bytes(shown_tool(tool.raw)) if tool.type in SECRETIVE else with_defaults(tool.type, tool.raw)
    assert isinstance(tool, FunctionTool | CustomTool | NamespaceTool)
    echo = to_json(tool)
    if type(tool) is FunctionTool and len(echo) <= LONGEST_KNOWN:
        if len(_known_echoes) >= MOST_KNOWN:
            _known_echoes.clear()
        _known_echoes[id(tool)] = tool, echo
    return echo
