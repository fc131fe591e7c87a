"""The body of `POST /v1/responses` (CreateResponse), as it is decoded."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from antiphon.types.raw import OptionalRaw, settle_nulls
from antiphon.types.tools import ToolChoice

ModelName = Annotated[str, Meta(min_length=1, max_length=255)]
LONGEST_ID = 1024
Id = Annotated[str, Meta(max_length=LONGEST_ID)]
Positive = Annotated[int, Meta(ge=1, le=2**53)]  # further than that JSON readers do not count exactly
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]


class ReasoningConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a model thinks. `context` and `mode` are for backends that speak Responses themselves."""

    context: str | None = None
    effort: str | None = None
    mode: str | None = None
    summary: Literal["auto", "concise", "detailed", "none", "off"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None | UnsetType = UNSET

    @property
    def known_summary(self) -> str | None:
        """`summary` by the API's own values: `off`, which VS Code sends, is none of them and asks for nothing."""
        return None if self.summary == "off" else self.summary


class SchemaFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What chat completions nest under `json_schema`, where it is not the schema itself."""

    name: str | None = None
    schema: OptionalRaw = None
    strict: bool | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        settle_nulls(self, schema=self.schema)


class TextFormat(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: OptionalRaw = None
    strict: bool | None = None
    description: str | None = None
    json_schema: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, schema=self.schema, json_schema=self.json_schema)


class TextConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`text`: nested under `format`, or flat as CompileLabs sends it (contract, "Request fields")."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    type: Literal["text", "json_object", "json_schema"] | None = None
    name: str | None = None
    schema: OptionalRaw = None
    strict: bool | None = None
    description: str | None = None
    json_schema: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, schema=self.schema, json_schema=self.json_schema)


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    include_obfuscation: bool | None = None
    include_usage: bool | None = None


class ConversationRef(msgspec.Struct, frozen=True):
    id: Id


class PromptCacheOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the prompt is cached. `comparison_response_id`: why less of it was read from the cache than after that response."""

    comparison_response_id: Id | None = None
    mode: Literal["implicit", "explicit"] | None = None
    prewarm: bool | None = None
    ttl: Literal["30m", "12h"] | None = None


READ_ONLY = PromptCacheOptions(prewarm=True)
"""What a longest answer of 0 tokens means in the APIs that take one."""


def prewarms(request: CreateResponse) -> bool:
    """Tell whether a request is there to fill the prompt cache alone: nothing of an answer is wanted."""
    return request.prompt_cache_options is not None and request.prompt_cache_options.prewarm is True


class BackgroundOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How soon a background response has to be there. `continuation_id`: requests with the same one go to one backend."""

    completion_window: Literal["soonest", "2h", "8h"] | None = None
    continuation_id: Id | None = None

    @property
    def window(self) -> float:
        """Seconds that it may take; 0: it comes at its turn."""
        return WINDOWS.get(self.completion_window or "", 0.0)

    @property
    def patience(self) -> float:
        """Seconds for which it lets others go first: half of its window, so that it has the rest to come at its turn."""
        return self.window / 2


WINDOWS = {"2h": 7200.0, "8h": 28_800.0}
"""Completion windows that let other requests go first, in seconds."""


class CreateResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A request. Null means "default" for every field but `input`."""

    model: ModelName
    input: str | list[Raw] | None | UnsetType = UNSET
    instructions: str | None = None
    access_programs: OptionalRaw = None
    background: bool | None = None
    background_options: BackgroundOptions | None = None
    client_metadata: OptionalRaw = None
    context_management: OptionalRaw = None
    conversation: Id | ConversationRef | None = None
    file_id: Id | None = None
    frequency_penalty: Penalty | None = None
    image: OptionalRaw = None
    include: list[str] | None = None
    max_output_tokens: Positive | None = None
    max_tool_calls: Positive | None = None
    metadata: Metadata | None = None
    moderation: OptionalRaw = None
    multi_agent: OptionalRaw = None
    parallel_tool_calls: bool | None = None
    presence_penalty: Penalty | None = None
    previous_response_id: Id | None = None
    prompt: OptionalRaw = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: str | None = None
    reasoning: ReasoningConfig | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    text: TextConfig | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    tools: list[Raw] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None

    def __post_init__(self) -> None:
        if (
            self.access_programs
            or self.client_metadata
            or self.context_management
            or self.image
            or self.moderation
            or self.multi_agent
            or self.prompt
        ):
            settle_nulls(
                self,
                access_programs=self.access_programs,
                client_metadata=self.client_metadata,
                context_management=self.context_management,
                image=self.image,
                moderation=self.moderation,
                multi_agent=self.multi_agent,
                prompt=self.prompt,
            )
