"""Texts → overlapping chunks of about so many tokens, cut between words, where it can be between paragraphs or sentences."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec

TOKENS, OVERLAP = 800, 400
LEAST_TOKENS, MOST_TOKENS = 100, 4096
LONGEST_PIECE = 256  # characters; a longer run without spaces is cut

_PIECE = re.compile(rf"\S{{1,{LONGEST_PIECE}}}\s*")
_CHARACTERS_PER_TOKEN = 4  # of ASCII; any other character counts as a token of its own
_LOOK_BACK = 0.25  # of a chunk, in which a better place to cut is looked for


class Chunking(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is cut: the most tokens of a chunk, and how many of them the next one repeats."""

    tokens: int = TOKENS
    overlap: int = OVERLAP


def chunked(text: str, chunking: Chunking = Chunking()) -> Iterator[str]:  # noqa: B008 - frozen
    """Yield the chunks of a text in order; none where there is nothing but space."""
    pieces = _PIECE.findall(text)
    ends = list(accumulate(_tokens(piece) for piece in pieces))
    start = 0
    while start < len(pieces):
        before = ends[start - 1] if start else 0
        end = max(start + 1, bisect_right(ends, before + chunking.tokens))
        if end < len(pieces):
            end = _cut(pieces, start + 1 + int((end - start) * (1 - _LOOK_BACK)), end)
        yield "".join(pieces[start:end]).strip()
        if end >= len(pieces):
            return
        # The next one begins where as many tokens are left as are to be repeated, and always further on.
        start = max(start + 1, min(end, bisect_left(ends, ends[end - 1] - chunking.overlap) + 1))


def _tokens(piece: str) -> int:
    """Return about how many tokens a word has."""
    piece = piece.rstrip()
    size = len(piece)
    if piece.isascii():
        return (size + _CHARACTERS_PER_TOKEN - 1) // _CHARACTERS_PER_TOKEN
    plain = len(piece.encode("ascii", "ignore"))
    return size - plain + (plain + _CHARACTERS_PER_TOKEN - 1) // _CHARACTERS_PER_TOKEN


def _cut(pieces: Sequence[str], least: int, most: int) -> int:
    """Return where to cut from `least` to `most`: before a paragraph, else behind a sentence, else as late as possible."""
    sentence = 0
    for offset in range(most, least - 1, -1):
        last = pieces[offset - 1]
        bare = last.rstrip()
        if last.count("\n", len(bare)) > 1:
            return offset
        if not sentence and bare.endswith((".", "!", "?", "。", "！", "？")):
            sentence = offset
    return sentence or most
