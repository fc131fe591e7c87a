"""The Response object, with all its keys in every answer (contract, "Response object")."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import force_setattr

from antiphon.types.raw import OptionalRaw, settle_nulls
from antiphon.types.request import ConversationRef


class ResponseError(msgspec.Struct, frozen=True):
    """Why a response failed; `param` is the field of the request that is at fault, where it is one."""

    code: str
    message: str
    param: str | None = None
    type: str = "server_error"


class FailureReason(msgspec.Struct, frozen=True):
    """Why a response is not complete, or a file could not be ingested, as lists tell it."""

    code: str | None
    message: str


class IncompleteDetails(msgspec.Struct, frozen=True):
    reason: str


MOST_TOKENS = 10**9
"""More tokens than that nobody counts: what a backend reports is kept between 0 and this."""


_SURE = 2**29
"""Counts whose bits together stay below this are in bounds: so all of them are seen in one step."""


def _bound(counts: Struct, *names: str) -> None:
    """Bring token counts between 0 and `MOST_TOKENS`: they go into accounts."""
    for name in names:
        count = getattr(counts, name)
        if not 0 <= count <= MOST_TOKENS:
            force_setattr(counts, name, min(max(count, 0), MOST_TOKENS))


class InputTokensDetails(msgspec.Struct, frozen=True):
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.cached_tokens | self.cache_write_tokens < _SURE:
            _bound(self, "cached_tokens", "cache_write_tokens")


class OutputTokensDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.reasoning_tokens < _SURE:
            _bound(self, "reasoning_tokens")


class Usage(msgspec.Struct, frozen=True):
    """Token counts of a whole Response: the sum over its turns."""

    input_tokens: int = 0
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens: int = 0
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    total_tokens: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.input_tokens | self.output_tokens | self.total_tokens < _SURE:
            _bound(self, "input_tokens", "output_tokens", "total_tokens")


class ReasoningEcho(msgspec.Struct, frozen=True):
    effort: str | None = None
    summary: str | None = None
    context: str | UnsetType = UNSET
    mode: str | UnsetType = UNSET


class InputTransformation(msgspec.Struct, frozen=True, kw_only=True):
    """Thoughts of the input that the model did not see as they were; `id` is the reasoning item's, "" where it has none."""

    id: str
    action: str = "removed"
    type: str = "reasoning"
    reason: str


class ImageTokens(msgspec.Struct, frozen=True):
    image_tokens: int = 0
    text_tokens: int = 0


class PictureUsage(msgspec.Struct, frozen=True):
    input_tokens: int = 0
    input_tokens_details: ImageTokens = ImageTokens()
    output_tokens: int = 0
    output_tokens_details: ImageTokens = ImageTokens()
    total_tokens: int = 0


class SearchUsage(msgspec.Struct, frozen=True):
    num_requests: int = 0


class ToolUsage(msgspec.Struct, frozen=True):
    """What hosted tools have used. Pictures are counted in the usage of the model that makes them."""

    image_gen: PictureUsage = PictureUsage()
    web_search: SearchUsage = SearchUsage()


class ModerationResult(msgspec.Struct, tag="moderation_result", frozen=True, kw_only=True):
    """What moderation says of an input or an output."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]
    model: str


class ModerationError(msgspec.Struct, tag="error", frozen=True, kw_only=True):
    """An input or an output that could not be moderated."""

    code: str
    message: str


class ModerationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What moderation says of a response's input and output."""

    input: ModerationResult | ModerationError
    output: ModerationResult | ModerationError

    @property
    def flagged(self) -> bool:
        """Tell whether something was flagged."""
        return any(isinstance(one, ModerationResult) and one.flagged for one in (self.input, self.output))


class PromptCacheEcho(msgspec.Struct, frozen=True, kw_only=True):
    """The options of prompt caching that a request has, the others as they are by default."""

    mode: str = "implicit"
    ttl: str = "30m"
    comparison_response_id: str | UnsetType = UNSET


class CacheHit(msgspec.Struct, frozen=True, tag_field="type", tag="cache_hit"):
    """Nothing in the request kept the prompt cache of the response that it is compared with from being used."""


class CacheMiss(msgspec.Struct, frozen=True, tag_field="type", tag="cache_miss", kw_only=True):
    """What kept it from being used; tokens of that response's prompt, and those of them from the first difference on."""

    reason: str
    cache_missed_tokens: int
    comparison_reusable_tokens: int


class ComparisonNotFound(msgspec.Struct, frozen=True, tag_field="type", tag="comparison_response_not_found"):
    """The response to compare with is not known, or not this owner's."""


class Incomparable(msgspec.Struct, frozen=True, tag_field="type", tag="unavailable"):
    """The comparison leads to nothing."""


CacheDiagnostics = CacheHit | CacheMiss | ComparisonNotFound | Incomparable


class Response(msgspec.Struct, kw_only=True):
    """What a client gets. `output` holds items as JSON, encoded once; the echoed `text`, `tools` and so on are JSON too.

    `input_transformations` is there where there was one, `tool_usage` where a hosted tool was called, `moderation` where it was
    asked for or a guard found something, `prompt_cache_options` and `prompt_cache_diagnostics` where they were asked for.
    """

    id: str
    object: str = "response"
    created_at: int
    completed_at: int | None = None
    status: str = "in_progress"
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    background: bool = False
    conversation: ConversationRef | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    model: str
    output: list[Raw] = []
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    prompt: OptionalRaw = None
    prompt_cache_key: str | None = None
    reasoning: ReasoningEcho = ReasoningEcho()
    safety_identifier: str | None = None
    service_tier: str = "default"
    store: bool = True
    temperature: float = 1.0
    text: Raw = Raw(b'{"format":{"type":"text"}}')
    tool_choice: Raw = Raw(b'"auto"')
    tools: Raw = Raw(b"[]")
    top_logprobs: int = 0
    top_p: float = 1.0
    truncation: str = "disabled"
    usage: Usage | None = None
    user: str | None = None
    metadata: dict[str, str] = {}
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    tool_usage: ToolUsage | UnsetType = UNSET
    input_transformations: list[InputTransformation] | UnsetType = UNSET
    moderation: ModerationReport | None | UnsetType = UNSET
    prompt_cache_options: PromptCacheEcho | UnsetType = UNSET
    prompt_cache_diagnostics: CacheDiagnostics | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.prompt is not None:
            settle_nulls(self, prompt=self.prompt)
