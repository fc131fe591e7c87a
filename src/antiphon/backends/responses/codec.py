"""Turn → a request to a server that speaks Responses itself."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from antiphon.backends.responses.items import DOCUMENTED, RequestForm, sent_items, sent_tool
from antiphon.backends.responses.kept_items import sent_input
from antiphon.core.json_encoding import to_json
from antiphon.core.request.text_format import PLAIN
from antiphon.core.turn import Turn, continues
from antiphon.types.request import CreateResponse, PromptCacheOptions
from antiphon.types.tools import CustomTool, NamespaceTool

SEALED_THOUGHTS = "reasoning.encrypted_content"
_SEALS_ALONE = (SEALED_THOUGHTS,)

# What is ours alone: state is kept here, and every call is told the whole history.
_OURS = frozenset(
    """
    model input instructions background conversation previous_response_id store stream stream_options file_id prompt
    context_management include tools tool_choice parallel_tool_calls text reasoning temperature top_p max_output_tokens
    max_tool_calls prompt_cache_options background_options
    """.split()
)


_THEIRS = [name for name in CreateResponse.__struct_fields__ if name not in _OURS]
_theirs_of = attrgetter(*_THEIRS)

LEAST_OUTPUT = 16
"""Tokens that OpenAI's API takes as the least limit."""


def request(turn: Turn, form: RequestForm = DOCUMENTED) -> bytes:
    """Return the body of the call: the client's own fields, the whole history as `input`, `store: false`.

    A server that keeps nothing has to be asked for its thoughts, sealed: without them it cannot go on thinking. A message
    that is to be continued is one that is still being written.
    """
    fields: dict[str, object] = dict(turn.extra)
    theirs = _theirs_of(turn.request)
    if theirs.count(None) < len(theirs):
        fields |= {name: value for name, value in zip(_THEIRS, theirs, strict=True) if value is not None}
    fields["model"] = turn.model
    if continues(turn):
        fields["input"] = sent_items(turn.items, form, continues=True)
    else:
        fields["input"] = sent_input(turn.items, form, turn.encoded)
    fields["store"] = False
    fields["stream"] = turn.stream
    _add_chosen(fields, turn, form)
    return to_json(fields)


def custom_tools(turn: Turn) -> frozenset[str]:
    """Return the names of the custom tools that a Turn offers."""
    if not turn.tools:
        return frozenset()
    groups = [tool.tools if type(tool) is NamespaceTool else (tool,) for tool in turn.tools]
    return frozenset(tool.name for group in groups for tool in group if type(tool) is CustomTool)


def _include(asked: Sequence[str], form: RequestForm) -> list[str]:
    """Return what the server is asked to show beside its answer."""
    others = [name for name in asked if name != SEALED_THOUGHTS]
    return [*others, SEALED_THOUGHTS] if form.asks_seals else others


def _add_chosen(fields: dict[str, object], turn: Turn, form: RequestForm) -> None:
    """Add the fields whose values come from the Turn: a default may have been filled in. Most requests have few of them."""
    asked = turn.request
    if turn.instructions is not None:
        fields["instructions"] = turn.instructions
    if turn.temperature is not None:
        fields["temperature"] = turn.temperature
    if turn.top_p is not None:
        fields["top_p"] = turn.top_p
    if turn.max_output_tokens is not None:
        fields["max_output_tokens"] = turn.max_output_tokens
    if turn.tools:
        fields["tools"] = [sent_tool(tool) for tool in turn.tools]
        fields["tool_choice"] = turn.tool_choice
        if asked.parallel_tool_calls is not None:
            fields["parallel_tool_calls"] = asked.parallel_tool_calls
    if asked.include:
        if include := _include(asked.include, form):
            fields["include"] = include
    elif form.asks_seals:
        fields["include"] = _SEALS_ALONE
    if turn.text is not PLAIN and (text := _text(turn)) is not None:
        fields["text"] = text
    if (asked.reasoning is not None or turn.reasoning_effort) and (reasoning := _reasoning(turn)) is not None:
        fields["reasoning"] = reasoning
    if asked.prompt_cache_options is not None:
        _add_cache_options(fields, asked.prompt_cache_options)


def _add_cache_options(fields: dict[str, object], asked: PromptCacheOptions) -> None:
    """Add the options of the server's own prompt cache; responses are compared here, which have other ids there."""
    if asked.prewarm:
        fields["max_output_tokens"] = LEAST_OUTPUT
    pairs = {"mode": asked.mode, "ttl": asked.ttl, "prewarm": asked.prewarm}
    if said := {name: value for name, value in pairs.items() if value is not None}:
        fields["prompt_cache_options"] = said


def _text(turn: Turn) -> object:
    format = turn.text.format
    text: dict[str, object] = {}
    if turn.text.verbosity is not None:
        text["verbosity"] = turn.text.verbosity
    if format.type != "text":
        pairs = {
            "type": format.type,
            "name": format.name,
            "schema": format.schema,
            "strict": format.strict,
            "description": format.description,
        }
        text["format"] = {name: value for name, value in pairs.items() if value is not None}
    return text or None


def _reasoning(turn: Turn) -> object:
    asked = turn.request.reasoning
    pairs = {"effort": turn.reasoning_effort}
    if asked is not None:
        pairs |= {"summary": asked.known_summary, "context": asked.context, "mode": asked.mode}
    return {name: value for name, value in pairs.items() if value is not None} or None
