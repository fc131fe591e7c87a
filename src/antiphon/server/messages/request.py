"""The fields of a request of the Messages API, and what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from antiphon.core.request.validation import decode, decode_fields
from antiphon.server.messages.conversation import UsualMessage
from antiphon.types.raw import OptionalRaw, settle_nulls

Verdict = Literal["read", "ignored", "silent"]

FIELDS: Mapping[str, Verdict] = {
    **dict.fromkeys(
        (
            "model max_tokens messages system stream temperature top_p top_k stop_sequences tools tool_choice thinking"
            " output_config output_format metadata mcp_servers container context_management compaction thread"
        ).split(),
        "read",
    ),
    **dict.fromkeys(
        (
            "service_tier inference_geo speed fallbacks fallback_credit_token billing_policy user_profile_id workspace_id"
            " diagnostics safeguards"
        ).split(),
        "ignored",
    ),
    "cache_control": "silent",  # it stands in every request; backends cache by prefix, and usage tells what they read
}
"""What becomes of each field of a request. One that is not here is ignored, and named in `x-antiphon-ignored`."""


class ThinkingWish(msgspec.Struct, frozen=True, kw_only=True):
    """`thinking`."""

    type: str
    budget_tokens: int | None = None
    display: str | None = None


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The form of the answer: a JSON Schema."""

    type: str
    schema: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, schema=self.schema)


class OutputConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`output_config`."""

    effort: str | None = None
    format: OutputFormat | None = None


class MetadataFields(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata`."""

    user_id: str | None = None


class ThreadWish(msgspec.Struct, frozen=True, kw_only=True):
    """`thread`: the server keeps the conversation, or goes on with one that it keeps."""

    type: Literal["create", "continue"]
    previous_message_id: str = ""


class CompactionWish(msgspec.Struct, frozen=True, kw_only=True):
    """`compaction`: the conversation is summarized, and nothing else is answered."""

    type: str
    instructions: str | None = None


if TYPE_CHECKING:
    GivenMessages = Raw | list[UsualMessage]
else:
    GivenMessages = Raw


class MessagesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a request that have an effect."""

    model: Annotated[str, Meta(min_length=1, max_length=255)]
    messages: GivenMessages
    max_tokens: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    system: OptionalRaw = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    stop_sequences: list[str] | None = None
    tools: list[Raw] | None = None
    tool_choice: OptionalRaw = None
    thinking: ThinkingWish | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    metadata: MetadataFields | None = None
    mcp_servers: OptionalRaw = None
    container: OptionalRaw = None
    context_management: OptionalRaw = None
    compaction: CompactionWish | None = None
    thread: ThreadWish | None = None

    def __post_init__(self) -> None:
        settle_nulls(self, context_management=self.context_management)
        settle_nulls(self, system=self.system, tool_choice=self.tool_choice)
        settle_nulls(self, mcp_servers=self.mcp_servers, container=self.container)


class _UsualRequest(MessagesRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reads messages in the same pass, where all blocks are of usual types, and each field has an effect or needs none."""

    messages: list[UsualMessage]
    cache_control: OptionalRaw = None


_request = msgspec.json.Decoder(MessagesRequest)
_usual_request = msgspec.json.Decoder(_UsualRequest)


def read_request(body: bytes) -> tuple[MessagesRequest, dict[str, None]]:
    """Return a request, and its fields without effect. Raises InvalidRequest."""
    try:
        return _usual_request.decode(body), {}
    except (ValueError, OverflowError, RecursionError):
        pass  # the next reading takes it, or tells what is wrong
    names = decode_fields(body)
    ignored = {
        name[:64]: None
        for name, value in names.items()
        if FIELDS.get(name, "ignored") == "ignored" and bytes(value) != b"null"
    }
    return decode(_request, body), ignored
