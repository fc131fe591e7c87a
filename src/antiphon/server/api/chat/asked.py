"""A chat completions request → Asked, for backends that speak another API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw
from msgspec.structs import replace

from antiphon.core.request.text_format import PLAIN, ResolvedText, resolve_text
from antiphon.core.request.validation import decode, decode_fields
from antiphon.core.turn import TurnOptions
from antiphon.errors import APIError, InvalidRequest, spelled
from antiphon.responses.intake.asked import Asked
from antiphon.runtime.offload import by_size
from antiphon.server.api.chat.conversation import ChatConversation
from antiphon.types.raw import OptionalRaw, settle_nulls
from antiphon.types.request import READ_ONLY, CreateResponse, ModelName, ReasoningConfig, TextConfig, TextFormat
from antiphon.types.tools import FunctionTool, Tool, ToolChoice

MOST_STOPS, MOST_STOP_CHARACTERS = 64, 8192

READ = frozenset(
    """
    model messages stream stream_options tools tool_choice parallel_tool_calls response_format temperature top_p top_k max_tokens
    max_completion_tokens stop reasoning_effort verbosity user safety_identifier prompt_cache_key n frequency_penalty
    presence_penalty moderation
    """.split()
)
"""Fields that have an effect; others are ignored, and named in `x-antiphon-ignored`."""

KEPT_HERE = frozenset(("store", "metadata"))
"""Fields that a backend does not get with a completion that this server stores."""

NOT_PASSED = frozenset(
    "logprobs top_logprobs functions function_call audio modalities store metadata prediction".split()
)
"""Fields whose effect would be lost on the way back: they do not go to a backend either."""


class UsageWish(msgspec.Struct, frozen=True):
    """`stream_options`."""

    include_usage: bool | None = None


class DeclaredFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function as chat completions declare it."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | None = None
    parameters: OptionalRaw = None
    strict: bool | None = None

    def __post_init__(self) -> None:
        settle_nulls(self, parameters=self.parameters)


class DeclaredTool(msgspec.Struct, frozen=True):
    """A tool of a request."""

    type: str
    function: DeclaredFunction | None = None


class NamedFunction(msgspec.Struct, frozen=True):
    """The function that a choice names."""

    name: str


class ChatChoiceWish(msgspec.Struct, frozen=True):
    """`tool_choice` as an object."""

    type: str
    function: NamedFunction | None = None


class ChatFormat(msgspec.Struct, frozen=True):
    """`response_format`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, json_schema=self.json_schema)


class TranslatedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that have an effect."""

    model: ModelName
    messages: Raw
    stream: bool | None = None
    stream_options: UsageWish | None = None
    tools: list[DeclaredTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChatChoiceWish | None = None
    parallel_tool_calls: bool | None = None
    response_format: ChatFormat | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    max_tokens: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    stop: str | list[str] | None = None
    reasoning_effort: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    n: int | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    moderation: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, moderation=self.moderation)

    @property
    def most(self) -> int | None:
        """The longest answer; 0: only the prompt is to be read."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


_request = msgspec.json.Decoder(TranslatedRequest)


class ChatAskedDecoder:
    """Decodes the body of one request (a RequestDecoder). `usage`: a stream ends with the token counts.

    `others`: fields that are not known here go to the backend as they are.
    """

    def __init__(self, *, others: bool = False) -> None:
        self.usage = False
        self._others = others

    async def decode(self, body: bytes, model: str | None = None) -> Asked:
        """Decode a body, a large one off the event loop. Raises InvalidRequest."""
        try:
            return await by_size(len(body), self._decode, body)
        except APIError as error:
            raise spelled(error, lambda name: _NAMES.get(name, name)) from None

    def _decode(self, body: bytes) -> Asked:
        request = decode(_request, body)
        if request.n not in (None, 1):
            raise InvalidRequest("Invalid 'n': this model gives one answer.", param="n", code="unsupported_value")
        conversation = ChatConversation(request.messages)
        self.usage = request.stream_options is not None and request.stream_options.include_usage is True
        effort = request.reasoning_effort
        asked = CreateResponse(
            model=request.model,
            stream=request.stream,
            store=False,
            max_output_tokens=max(request.most, 1) if request.most is not None else None,
            prompt_cache_options=READ_ONLY if request.most == 0 else None,
            temperature=request.temperature,
            top_p=request.top_p,
            tool_choice=_choice(request),
            parallel_tool_calls=request.parallel_tool_calls,
            reasoning=ReasoningConfig(effort=effort) if effort is not None else None,
            frequency_penalty=request.frequency_penalty,
            presence_penalty=request.presence_penalty,
            prompt_cache_key=request.prompt_cache_key,
            safety_identifier=request.safety_identifier,
            user=request.user,
        )
        if request.moderation is not None:
            # Not above: more than 15 arguments by name pass in a dict, which takes ten times as long (CPython 3.11).
            asked = replace(asked, moderation=request.moderation)
        fields = decode_fields(body)
        extra = {name: value for name, value in fields.items() if name not in READ | NOT_PASSED} if self._others else {}
        return Asked(
            request=asked,
            items=conversation.items,
            tools=_tools(request),
            text=_format(request),
            size=len(body),
            spell=lambda name: _NAMES.get(name) or conversation.spell(name),
            options=TurnOptions(stop=_stops(request.stop), top_k=request.top_k),
            extra=extra,
            ignored=[name for name in _ignored(fields) if name not in extra],
            forgiving=True,
        )


_NAMES = {
    "max_output_tokens": "max_tokens",
    "reasoning.effort": "reasoning_effort",
    "text.format": "response_format",
    "text.format.json_schema": "response_format.json_schema",
    "text.format.schema": "response_format.json_schema.schema",
    "text.verbosity": "verbosity",
}


def is_moderated(fields: Mapping[str, Raw]) -> bool:
    """Tell whether a request asks for moderation."""
    return bytes(fields.get("moderation", b"null")) != b"null"


def _ignored(fields: Mapping[str, Raw]) -> list[str]:
    read = READ | (KEPT_HERE if bytes(fields.get("store", b"")) == b"true" else {"store"})
    return [name[:64] for name, value in fields.items() if name not in read and bytes(value) != b"null"]


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    stops = [stop] if isinstance(stop, str) else stop or []
    if len(stops) > MOST_STOPS or sum(map(len, stops)) > MOST_STOP_CHARACTERS:
        raise InvalidRequest(
            f"Invalid 'stop': at most {MOST_STOPS} sequences with {MOST_STOP_CHARACTERS} characters in all are allowed.",
            param="stop",
        )
    return tuple(dict.fromkeys(text for text in stops if text))


def _tools(request: TranslatedRequest) -> list[Tool]:
    tools: list[Tool] = []
    for index, declared in enumerate(request.tools or ()):
        function = declared.function
        if declared.type != "function" or function is None:
            raise InvalidRequest(f"Invalid 'tools[{index}]': must be a function.", param=f"tools[{index}]")
        parameters = function.parameters or Raw(b'{"type":"object","properties":{}}')
        tools.append(
            FunctionTool(
                name=function.name,
                description=function.description,
                parameters=parameters,
                strict=bool(function.strict),
            )
        )
    return tools


def _choice(request: TranslatedRequest) -> Literal["none", "auto", "required"] | ToolChoice | None:
    choice = request.tool_choice
    if not isinstance(choice, ChatChoiceWish):
        return choice if request.tools else None
    if choice.type != "function" or choice.function is None:
        raise InvalidRequest("Invalid 'tool_choice': must name a function.", param="tool_choice")
    return ToolChoice(type="function", name=choice.function.name)


def _format(request: TranslatedRequest) -> ResolvedText:
    format = request.response_format
    if format is None:
        return ResolvedText(PLAIN.format, request.verbosity)
    given = TextFormat(type=format.type, json_schema=format.json_schema)
    return resolve_text(TextConfig(format=given, verbosity=request.verbosity))
