"""What the words of a refusal say of sizes: the context window, the tokens of the input, the longest answer."""

from __future__ import annotations

import re

import msgspec

from antiphon.errors import BackendError

LEAST, MOST = 256, 2**40  # tokens that a window may have
LEAST_ANSWER = 16  # tokens that a longest answer may have
LONGEST = 4000  # characters of a refusal that are looked at

_NUMBER = r"(?<![\d,_])(\d{1,3}(?:[,_]\d{3}){1,3}|\d{1,12})(?!\d)"
_WINDOWS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:maximum|max\.?) (?:context|model) (?:length|size|window)(?: [a-z]{{1,9}}){{0,4}}:? {_NUMBER}",
        rf"(?:context (?:size|window|length)|n_ctx)(?: (?:is|of|has|only|limit)){{0,2}}[ :=(]{{1,3}}{_NUMBER}",
        rf"max_model_len ?= ?{_NUMBER}",
        rf"maximum (?:number of |input )?tokens (?:allowed|is)[ (]{{1,3}}{_NUMBER}",
        rf"> {_NUMBER} maximum",
        rf"context limit: \d{{1,12}} \+ \d{{1,12}} > {_NUMBER}",
        rf"tokens[`'] must be <= {_NUMBER}",
        rf"must have less than {_NUMBER} tokens",
    )
)
_INPUTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_NUMBER} (?:tokens )?(?:in the messages|in your prompt|of text input|from the input)",
        rf"(?<!for )(?<!at least ){_NUMBER} (?:input|prompt)[ -]tokens?",
        rf"request \({_NUMBER} tokens?\)",
        rf"context limit: {_NUMBER} \+",
        rf"given: {_NUMBER} [`']inputs[`']",
        rf"the first {_NUMBER} tokens",
        rf"(?:resulted in|token count|input length|prompt is too long)[ (:]{{1,3}}{_NUMBER}",
    )
)
_OUTPUT = re.compile(
    r"max_(?:completion_|output_|new_)?tokens|maxOutputTokens|completion tokens|output tokens", re.IGNORECASE
)
_OUTPUT_AT_FAULT = re.compile(
    r"in the (?:completion|output)|max_(?:completion_|output_)?tokens[`'\"]? (?:is|are) too large|for the completion"
    r"|\d output tokens|max_new_tokens|`max_tokens` exceed",
    re.IGNORECASE,
)
_WINDOW_NAMED = re.compile(r"max_model_len|context length|model length", re.IGNORECASE)
_NUMBERS = re.compile(r"(?<![\w.])(\d{2,12})(?!\w)( \(exclusive\))?")


class Overflow(msgspec.Struct, frozen=True):
    """Sizes in tokens; 0: not told. `output_at_fault`: the input would fit, but for the length that the answer may have.

    `output_limit`: the longest answer that the server allows, whatever the input.
    """

    window: int = 0
    input: int = 0
    output_at_fault: bool = False
    output_limit: int = 0

    def share(self, most_output: int | None) -> float:
        """Return the share of the input that may stay, so that there is room for an answer."""
        if not self.window or not self.input:
            return 0.5
        room = self.window - (most_output if most_output and most_output < self.window else self.window // 8)
        return max(min(room / self.input, 0.9), 0.01)


def overflow(error: BackendError, most_output: int | None) -> Overflow | None:
    """Return what a refusal says of sizes, or None where it is not about them; `most_output` is what was asked for."""
    words = error.message[:LONGEST]
    window = _first(_WINDOWS, words)
    window = window if LEAST <= window <= MOST else 0
    if error.code == "context_length_exceeded":
        input = _first(_INPUTS, words)
        fits = input < window if input else most_output is not None
        return Overflow(window, input, fits and _OUTPUT_AT_FAULT.search(words) is not None)
    if error.status != 400 or not _OUTPUT.search(f"{error.param} {words}"):
        return None
    if window and _WINDOW_NAMED.search(words):
        return Overflow(window, output_at_fault=True)
    limit = max((number for number in _numbers(words) if LEAST_ANSWER <= number < (most_output or 0)), default=0)
    return Overflow(output_limit=limit) if limit else None


def _first(patterns: tuple[re.Pattern[str], ...], words: str) -> int:
    for pattern in patterns:
        found = pattern.search(words)
        if found:
            return int(found[1].replace(",", "").replace("_", ""))
    return 0


def _numbers(words: str) -> set[int]:
    return {int(number) - bool(exclusive) for number, exclusive in _NUMBERS.findall(words)}
