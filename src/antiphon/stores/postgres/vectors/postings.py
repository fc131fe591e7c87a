"""Postings: the words of chunks as the table `vector_words` has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from antiphon.stores.records import Chunk


def postings(chunks: Sequence[Chunk], first: int) -> dict[str, list[str]]:
    """Return each word with its chunks, how often it is in each, and how many words each has, as texts of arrays."""
    found: defaultdict[str, tuple[list[int], list[int], list[int]]] = defaultdict(lambda: ([], [], []))
    for number, chunk in enumerate(chunks, first):
        length = len(chunk.words)
        times: defaultdict[str, int] = defaultdict(int)
        for word in chunk.words:
            times[word] += 1
        for word, count in times.items():
            numbers, counts, lengths = found[word]
            numbers.append(number)
            counts.append(count)
            lengths.append(length)
    columns: dict[str, list[str]] = {"words": [*found]}
    for place, name in enumerate(("chunks", "times", "lengths")):
        columns[name] = [f"{{{','.join(map(str, values[place]))}}}" for values in found.values()]
    return columns
