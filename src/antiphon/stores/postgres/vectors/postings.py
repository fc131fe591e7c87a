"""Postings: the words of chunks as the table `vector_words` has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from antiphon.stores.records import Chunk

LINES = 20_000
"""Words that one statement inserts."""


def postings(chunks: Sequence[Chunk], first: int) -> list[str]:
    """Return a line for each word: the word, its chunks, how often it is in each, how many words each has; in blocks of lines.

    The chunks have the numbers from `first` on. Words have no character that PostgreSQL cannot keep, and no space.
    """
    found: dict[str, list[str]] = {}  # chunk, occurrences, chunk, occurrences …
    lengths: dict[str, str] = {}
    for number, chunk in enumerate(chunks, first):
        name = str(number)
        lengths[name] = str(len(chunk.words))
        for word, count in Counter(chunk.words).items():
            known = found.get(word)
            if known is None:
                found[word] = [name, str(count)]
            else:
                known += (name, str(count))
    length = lengths.__getitem__
    lines = [
        f"{word}\t{{{','.join(places := pairs[::2])}}}\t{{{','.join(pairs[1::2])}}}\t{{{','.join(map(length, places))}}}"
        for word, pairs in found.items()
    ]
    return ["\n".join(lines[start : start + LINES]) for start in range(0, len(lines), LINES)]
