"""What the Messages API sends: events, blocks, token counts, errors."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from antiphon.backends.error_words import ErrorWords, integer, parse
from antiphon.backends.refusals import error_of
from antiphon.core.request.json_text import has_more_containers
from antiphon.errors import BackendError
from antiphon.types.raw import OptionalRaw
from antiphon.types.response import InputTokensDetails, OutputTokensDetails, Usage

MOST_CONTAINERS = 10_000
"""Arrays and objects of one event, or of an answer that comes whole."""


class BlockDelta(msgspec.Struct):
    """A piece of a block; of `message_delta`, why the answer ended."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    citation: OptionalRaw = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: OptionalRaw = None


class ContentBlock(msgspec.Struct):
    """A block, as it begins or whole."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    id: str | None = None
    name: str | None = None
    input: OptionalRaw = None
    citations: OptionalRaw = None


class WholeMessage(msgspec.Struct):
    """A message: empty as a stream begins with it, or whole."""

    type: str = ""
    content: list[Raw] | None = None
    usage: OptionalRaw = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: OptionalRaw = None
    error: OptionalRaw = None


class MessageEvent(msgspec.Struct):
    """An event of a stream."""

    type: str = ""
    index: int = 0
    delta: BlockDelta | None = None
    content_block: OptionalRaw = None
    message: WholeMessage | None = None
    usage: OptionalRaw = None
    error: OptionalRaw = None


class RefusalDetails(msgspec.Struct):
    """Why an answer was refused."""

    explanation: str | None = None


_counts = msgspec.json.Decoder(dict[str, object])
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class TokenCounts:
    """The counts of an answer. Those of later events replace earlier ones; `turn` begins another answer, which is added."""

    __slots__ = ("_before", "_now")

    def __init__(self) -> None:
        self._before = Usage()
        self._now: dict[str, int] = {}

    def add(self, raw: bytes | Raw | None) -> None:
        """Take in the `usage` of an event."""
        if raw is None:
            return
        try:
            found = _counts.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return
        details = found.get("output_tokens_details")
        thoughts = details.get("thinking_tokens") if isinstance(details, dict) else None
        for name, value in (*found.items(), ("thinking_tokens", thoughts)):
            count = integer(value)
            if count is not None and name.endswith("_tokens"):
                self._now[name] = count

    def turn(self) -> None:
        """Keep what was counted: another answer follows."""
        self._before, self._now = self.usage(0, 0), {}

    @property
    def known(self) -> bool:
        """Tell whether anything was counted."""
        return bool(self._now) or self._before != Usage()

    def usage(self, reasoning_size: int, text_size: int) -> Usage:
        """Return the counts. Sizes are characters of thoughts and answer, for servers that do not count thoughts.

        What was read from a cache or written to one is counted apart there; to OpenAI it is a part of the input.
        """
        now, before = self._now, self._before
        read, written = now.get("cache_read_input_tokens", 0), now.get("cache_creation_input_tokens", 0)
        given, said = now.get("input_tokens", 0) + read + written, now.get("output_tokens", 0)
        thoughts = now.get("thinking_tokens", 0)
        if not thoughts and reasoning_size:
            thoughts = round(said * reasoning_size / (reasoning_size + text_size))
        details = before.input_tokens_details
        return Usage(
            input_tokens=before.input_tokens + given,
            input_tokens_details=InputTokensDetails(details.cached_tokens + read, details.cache_write_tokens + written),
            output_tokens=before.output_tokens + said,
            output_tokens_details=OutputTokensDetails(before.output_tokens_details.reasoning_tokens + thoughts),
            total_tokens=before.total_tokens + given + said,
        )


def told(value: bytes | Raw) -> BackendError:
    """Return the error that stands in an event, or instead of an answer: its type tells the status."""
    words = parse(bytes(value))
    return error_of(_with_status(words))


def _with_status(words: ErrorWords) -> ErrorWords:
    status = _STATUS_OF_TYPE.get(words.type or "")
    if status is not None and not isinstance(words.code, int):
        words.code = status
    return words


def no_event(payload: bytes) -> BackendError:
    """Return the error for what is neither an event nor an answer: with its words, where it has any."""
    words = parse(payload)
    if words.message:
        return error_of(_with_status(words))
    return BackendError(502, "The backend sent something that is not an event of the Messages API.")


def check_containers(payload: bytes) -> None:
    """Raise BackendError for an event of too many arrays and objects."""
    if has_more_containers(MOST_CONTAINERS, payload):
        raise BackendError(502, f"The backend sent an event with over {MOST_CONTAINERS} arrays and objects.")
