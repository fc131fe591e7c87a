"""Chat completions, as far as they are read: chunks, whole answers, errors. Lenient: backends differ in what they send."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from antiphon.types.raw import OptionalRaw

Byte = Annotated[int, Meta(ge=0, le=255)]


class ChatPart(msgspec.Struct, gc=False):
    """A part of a `content` list; Mistral's thinking models nest their thoughts under `thinking`, its searches name sources."""

    type: str = "text"
    text: str | None = None
    content: str | None = None
    refusal: str | None = None
    thinking: str | list[ChatPart] | None = None
    image_url: OptionalRaw = None
    b64_json: str | None = None
    url: str | None = None
    title: str | None = None


class ChatFunction(msgspec.Struct, gc=False):
    """A function's name and arguments, or a piece of them; some servers send the arguments as an object."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ChatCustom(msgspec.Struct, gc=False):
    """A custom tool's name and input, or a piece of them."""

    name: str | None = None
    input: str | None = None


class ChatToolCall(msgspec.Struct, gc=False):
    """A tool call, or a fragment of one. Some servers put name and arguments into the entry itself.

    The last three are for the backend alone (`backends.chat.opaque`).
    """

    index: int | None = None
    id: str | None = None
    function: ChatFunction | None = None
    custom: ChatCustom | None = None
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    extra_content: OptionalRaw = None
    provider_specific_fields: OptionalRaw = None
    thought_signature: OptionalRaw = None


class ChatDelta(msgspec.Struct, gc=False):
    """What a chunk adds to a message; a whole message has the same fields.

    Thoughts come in one of four fields. The last five are for the backend alone (`backends.chat.opaque`).
    """

    content: str | list[ChatPart] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    reasoning_text: str | None = None
    refusal: str | None = None
    tool_calls: list[ChatToolCall] | None = None
    function_call: ChatFunction | None = None
    reasoning_details: OptionalRaw = None
    thinking_blocks: OptionalRaw = None
    extra_content: OptionalRaw = None
    provider_specific_fields: OptionalRaw = None
    reasoning_opaque: OptionalRaw = None
    annotations: OptionalRaw = None
    images: OptionalRaw = None


class PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class ChatUsage(msgspec.Struct, gc=False):
    """Token counts so far. Of cached tokens DeepSeek, Moonshot and Anthropic (behind LiteLLM) have spellings of their own."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    reasoning_tokens: int | None = None

    @property
    def known(self) -> bool:
        """Tell whether it has counts under these names."""
        return self.prompt_tokens is not None or self.completion_tokens is not None


class ChatChoice(msgspec.Struct, gc=False):
    """One of the answers; `message` stands for `delta` in a whole answer. Moonshot puts `usage` here."""

    index: int | None = 0
    delta: ChatDelta | None = None
    message: ChatDelta | None = None
    finish_reason: str | None = None
    logprobs: OptionalRaw = None
    usage: ChatUsage | None = None


class ChatChunk(msgspec.Struct, gc=False):
    """A chunk of a stream, a whole answer, or an error instead of either. The last four list sources."""

    choices: list[ChatChoice] | None = None
    usage: ChatUsage | None = None
    error: OptionalRaw = None
    service_tier: OptionalRaw = None
    citations: OptionalRaw = None
    search_results: OptionalRaw = None
    web_search: OptionalRaw = None
    references: OptionalRaw = None


class TopLogprob(msgspec.Struct, gc=False):
    token: str
    logprob: float
    bytes: list[Byte] | None = None


class Logprob(msgspec.Struct, gc=False):
    token: str
    logprob: float
    bytes: list[Byte] | None = None
    top_logprobs: list[TopLogprob] | None = None


class Logprobs(msgspec.Struct, gc=False):
    content: list[Logprob] | None = None
