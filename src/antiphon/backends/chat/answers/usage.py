"""Token counts and logprobs, from chat completions' words into ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.chat.profiles import Profile
from antiphon.backends.error_words import integer, read_json
from antiphon.core.deltas import Delta, TextDelta
from antiphon.core.json_encoding import to_json
from antiphon.types.chat import ChatUsage, Logprob, Logprobs, TopLogprob
from antiphon.types.response import InputTokensDetails, OutputTokensDetails, Usage

_logprobs = msgspec.json.Decoder(Logprobs | None)


def usage_from(usage: ChatUsage, profile: Profile, reasoning_size: int, text_size: int) -> Usage:
    """Return the counts. Sizes are characters of thoughts and answer, for servers that do not count thoughts."""
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    total, reasoning = usage.total_tokens or 0, usage.reasoning_tokens or 0
    if usage.completion_tokens_details is not None:
        reasoning = usage.completion_tokens_details.reasoning_tokens or reasoning
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens if details is not None else 0) or (
        usage.prompt_cache_hit_tokens or usage.cached_tokens or usage.cache_read_input_tokens or 0
    )
    written = (details.cache_write_tokens if details is not None else 0) or usage.cache_creation_input_tokens or 0
    # Of counts that are not negative, none is larger than all their bits together.
    if not 0 <= prompt | completion | total | reasoning | cached | written < _MOST:
        prompt, completion, total = _count(prompt), _count(completion), _count(total)
        reasoning, cached, written = _count(reasoning), _count(cached), _count(written)
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning  # xAI counts them apart; to OpenAI they are a part of the output
    if not reasoning and reasoning_size and profile.share_reasoning:
        reasoning = round(completion * reasoning_size / (reasoning_size + text_size))
    return Usage(
        input_tokens=prompt,
        input_tokens_details=InputTokensDetails(cached, written) if cached or written else _NONE_CACHED,
        output_tokens=completion,
        output_tokens_details=OutputTokensDetails(reasoning) if reasoning else _NO_THOUGHTS,
        total_tokens=total or prompt + completion,
    )


_MOST = 2**50
_NONE_CACHED, _NO_THOUGHTS = InputTokensDetails(), OutputTokensDetails()

# Names of the counts, in the order in which they are believed. A dot leads into an object.
_NAMES: dict[str, tuple[str, ...]] = {
    "prompt_tokens": (
        *(
            "prompt_tokens",
            "input_tokens",
            "promptTokenCount",
            "prompt_token_count",
            "inputTokens",
            "prompt_eval_count",
        ),
        *("inputTokenCount", "prompt_n", "num_prompt_tokens", "tokens_evaluated"),
    ),
    "completion_tokens": (
        *(
            "completion_tokens",
            "output_tokens",
            "candidatesTokenCount",
            "candidates_token_count",
            "outputTokens",
            "eval_count",
        ),
        *("outputTokenCount", "predicted_n", "num_generated_tokens", "generated_tokens", "tokens_predicted"),
    ),
    "total_tokens": ("total_tokens", "totalTokenCount", "total_token_count", "totalTokens"),
    "cached_tokens": (
        *("prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens", "prompt_cache_hit_tokens"),
        *("cached_tokens", "cachedContentTokenCount", "cached_content_token_count", "cacheReadInputTokens", "cache_n"),
    ),
    "cache_read_input_tokens": ("cache_read_input_tokens",),
    "cache_creation_input_tokens": ("cache_creation_input_tokens", "cacheWriteInputTokens"),
    "reasoning_tokens": (
        *("completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens", "reasoning_tokens"),
        *("thoughtsTokenCount", "thoughts_token_count", "reasoning_output_tokens"),
    ),
}
# Where the counts stand. A number leads into a list.
_PLACES = tuple(
    index.split(".")
    for index in """
    usage x_groq.usage choices.0.usage choices.0.delta.usage choices.0.message.usage usageMetadata usage_metadata
    meta.tokens meta.billed_units metadata.usage response.usage message.usage amazon-bedrock-invocationMetrics timings
    """.split()
)
_MARKS = (b"oken", b"timings", b"eval_count")
_LARGEST = 512 * 1024  # bytes of a chunk or an answer whose counts are looked for


def find_usage(payload: bytes) -> ChatUsage | None:
    """Return the counts of a chunk or an answer, wherever they stand and whatever they are called; None where there are none."""
    if len(payload) > _LARGEST or not any(mark in payload for mark in _MARKS):
        return None
    try:
        value = read_json(bytes(payload))
    except (ValueError, RecursionError):
        return None
    for index in _PLACES:
        found = _counts(_at(value, index))
        if found is not None:
            return found
    return _counts(value)


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        if isinstance(value, list) and name.isdigit():
            value = value[int(name)] if int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def _counts(holder: Any) -> ChatUsage | None:
    if not isinstance(holder, dict):
        return None
    found: dict[str, Any] = {}
    for name, spellings in _NAMES.items():
        values = (integer(_at(holder, spelling.split("."))) for spelling in spellings)
        found[name] = next((value for value in values if value is not None), None)
    if found["prompt_tokens"] is None and found["completion_tokens"] is None:
        return None
    if "prompt_tokens" not in holder and "input_tokens" in holder:
        # Anthropic's counts of the input leave out what was cached.
        cached = (found["cache_read_input_tokens"] or 0) + (found["cache_creation_input_tokens"] or 0)
        found["prompt_tokens"] = (found["prompt_tokens"] or 0) + cached
    return ChatUsage(**found)


def _count(tokens: int) -> int:
    """Return a count that can be one: nobody reads or writes 10^15 tokens, or fewer than none."""
    return tokens if 0 <= tokens < _MOST else 0


def logprob_pieces(raw: Raw) -> bytes:
    """Return the entries of a chunk's logprobs as JSON, joined by commas; the bytes that strict clients want are filled in."""
    return b",".join([to_json(entry) for entry in _entries(raw)])


def add_logprobs(raw: Raw, out: list[Delta], begun: int) -> None:
    """Put the logprobs of a whole answer beside its text, which is known by now: no thoughts, no leaked calls."""
    texts = [(index, delta.text) for index, delta in enumerate(out) if index >= begun and isinstance(delta, TextDelta)]
    if texts:
        index, first = texts[0]
        out[index] = TextDelta(first, _logprobs_of(raw, "".join(text for _, text in texts)))


def _logprobs_of(raw: Raw, text: str) -> bytes:
    """Do what `logprob_pieces` does for a whole answer: only entries of its `text` count.

    Servers add those of thoughts before it, and of the token that ended it.
    """
    entries = _entries(raw)
    said, wanted = b"".join(bytes(entry.bytes or ()) for entry in entries), text.encode(errors="surrogatepass")
    start = said.rfind(wanted) if wanted else -1
    if start >= 0 and len(said) > len(wanted):
        kept, index = [], 0
        for entry in entries:
            end = index + len(entry.bytes or ())
            if index < start + len(wanted) and end > start:
                kept.append(entry)
            index = end
        entries = kept
    return b",".join([to_json(entry) for entry in entries])


def _entries(raw: Raw) -> list[Logprob]:
    try:
        found = _logprobs.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []  # they stand beside the text, which is worth more
    return [_complete(entry) for entry in found.content] if found is not None and found.content else []


def _complete(entry: Logprob) -> Logprob:
    top = [TopLogprob(one.token, one.logprob, _bytes(one.token, one.bytes)) for one in entry.top_logprobs or ()]
    return Logprob(entry.token, entry.logprob, _bytes(entry.token, entry.bytes), top)


def _bytes(token: str, known: list[int] | None) -> list[int]:
    return known if known is not None else list(token.encode(errors="surrogatepass"))
