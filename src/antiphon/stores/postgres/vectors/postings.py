"""Postings: the words of chunks as the table `vector_words` has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from antiphon.stores.records import Chunk


def postings(chunks: Sequence[Chunk], first: int) -> dict[str, tuple[str, ...]]:
    """Return each word with its chunks, how often it is in each, and how many words each has, as texts of arrays.

    The chunks have the numbers from `first` on. Words have no character that PostgreSQL cannot keep.
    """
    found: dict[str, tuple[list[str], list[str], list[str]]] = {}
    for number, chunk in enumerate(chunks, first):
        name, length = str(number), str(len(chunk.words))
        for word, count in Counter(chunk.words).items():
            known = found.get(word)
            if known is None:
                found[word] = ([name], [str(count)], [length])
            else:
                known[0].append(name)
                known[1].append(str(count))
                known[2].append(length)
    columns = {"words": (*found,)}
    for index, column in enumerate(("chunks", "times", "lengths")):
        columns[column] = tuple([f"{{{','.join(values[index])}}}" for values in found.values()])
    return columns
