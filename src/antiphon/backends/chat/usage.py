"""Token counts and logprobs, from chat completions' words into ours."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from antiphon.backends.chat.profiles import Profile
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
    cached = (details.cached_tokens if details is not None else 0) or usage.prompt_cache_hit_tokens or 0
    written = (details.cache_write_tokens if details is not None else 0) or 0
    # Of counts that are not negative, none is larger than all their bits together.
    if not 0 <= prompt | completion | total | reasoning | cached | written < _MOST:
        prompt, completion, total = _count(prompt), _count(completion), _count(total)
        reasoning, cached, written = _count(reasoning), _count(cached), _count(written)
    if not reasoning and reasoning_size and profile.share_reasoning:
        reasoning = round(completion * reasoning_size / (reasoning_size + text_size))
    return Usage(
        input_tokens=prompt,
        input_tokens_details=InputTokensDetails(cached, written),
        output_tokens=completion,
        output_tokens_details=OutputTokensDetails(reasoning),
        total_tokens=total or prompt + completion,
    )


_MOST = 2**50


def _count(tokens: int) -> int:
    """Return a count that can be one: nobody reads or writes 10^15 tokens, or fewer than none."""
    return tokens if 0 <= tokens < _MOST else 0


def logprob_pieces(raw: Raw) -> bytes:
    """Return the entries of a chunk's logprobs as JSON, joined by commas; the bytes that strict clients want are filled in."""
    try:
        found = _logprobs.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return b""  # they stand beside the text, which is worth more
    if found is None or not found.content:
        return b""
    return b",".join([to_json(_complete(entry)) for entry in found.content])


def _complete(entry: Logprob) -> Logprob:
    top = [TopLogprob(one.token, one.logprob, _bytes(one.token, one.bytes)) for one in entry.top_logprobs or ()]
    return Logprob(entry.token, entry.logprob, _bytes(entry.token, entry.bytes), top)


def _bytes(token: str, known: list[int] | None) -> list[int]:
    return known if known is not None else list(token.encode(errors="surrogatepass"))
