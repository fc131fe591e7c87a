"""Token counts and logprobs, from chat completions' words into ours."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from antiphon.backends.profiles import Profile
from antiphon.core.emitter import to_json
from antiphon.types.chat import ChatUsage, Logprob, Logprobs, TopLogprob
from antiphon.types.response import InputTokensDetails, OutputTokensDetails, Usage

_logprobs = msgspec.json.Decoder(Logprobs | None)


def usage_from(usage: ChatUsage, profile: Profile, reasoning_size: int, text_size: int) -> Usage:
    """Return the counts. Sizes are characters of thoughts and answer, for servers that do not count thoughts."""
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    reasoning = usage.reasoning_tokens or 0
    if usage.completion_tokens_details is not None:
        reasoning = usage.completion_tokens_details.reasoning_tokens or reasoning
    if not reasoning and reasoning_size and profile.share_reasoning:
        reasoning = round(completion * reasoning_size / (reasoning_size + text_size))
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens if details is not None else None) or usage.prompt_cache_hit_tokens or 0
    written = (details.cache_write_tokens if details is not None else None) or 0
    return Usage(
        input_tokens=prompt,
        input_tokens_details=InputTokensDetails(cached, written),
        output_tokens=completion,
        output_tokens_details=OutputTokensDetails(reasoning),
        total_tokens=usage.total_tokens or prompt + completion,
    )


def logprob_pieces(raw: Raw) -> bytes:
    """Return the entries of a chunk's logprobs as JSON, joined by commas; the bytes that strict clients want are filled in."""
    try:
        found = _logprobs.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return b""
    if found is None or not found.content:
        return b""
    return b",".join([to_json(_complete(entry)) for entry in found.content])


def _complete(entry: Logprob) -> Logprob:
    top = [TopLogprob(one.token, one.logprob, _bytes(one.token, one.bytes)) for one in entry.top_logprobs or ()]
    return Logprob(entry.token, entry.logprob, _bytes(entry.token, entry.bytes), top)


def _bytes(token: str, known: list[int] | None) -> list[int]:
    return known if known is not None else list(token.encode(errors="surrogatepass"))
