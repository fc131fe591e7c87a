"""Vectors of embedding models: kept as half floats, found by one bit per dimension, then compared exactly.

A code has the sign of each dimension. The codes of many vectors are compared in a fraction of the time of the vectors
themselves; the `shortlist` of those that differ in the fewest signs is then put in order by the cosines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, islice
from math import dist, isfinite, sqrt
from struct import Struct, iter_unpack, unpack

MOST_DIMENSIONS = 8192
USUAL_DIMENSIONS = 384
SHORTLIST = 128  # vectors that are compared exactly, of however few chunks
SHORTLIST_SHARE = 0.005  # of all chunks, in addition

Vector = Sequence[float]

_DIGITS = "01"


def unit(values: Vector) -> tuple[float, ...] | None:
    """Return a vector of length 1 in the same direction; None where it has none: empty, zero, or not finite."""
    length = sqrt(sum([value * value for value in values]))
    if not length or not isfinite(length):
        return None
    return tuple([value / length for value in values])


def packed(vector: Vector) -> bytes:
    """Return a vector of length 1 as half floats."""
    return Struct(f"<{len(vector)}e").pack(*vector)


def unpacked(content: bytes) -> tuple[float, ...]:
    """Return a vector from its half floats."""
    return unpack(f"<{len(content) // 2}e", content)


def code_size(dimensions: int) -> int:
    """Return the bytes of a code."""
    return (dimensions + 7) // 8


def code(vector: Vector) -> bytes:
    """Return the code of a vector: one bit per dimension, padded in front."""
    signs = "".join([_DIGITS[value > 0] for value in vector])
    return int(signs, 2).to_bytes(code_size(len(vector)), "big")


def shortlisted(chunks: int, dimensions: int) -> int:
    """Return how many of so many chunks are compared exactly: more where vectors are short, as their codes say less."""
    least, share = shortlist_terms(dimensions)
    return int(least + chunks * share)


def shortlist_terms(dimensions: int) -> tuple[float, float]:
    """Return how many vectors are compared exactly at least, and which share of all chunks in addition."""
    more = max(1.0, USUAL_DIMENSIONS / dimensions)
    return SHORTLIST * more, SHORTLIST_SHARE * more


def shortlist(segments: Iterable[tuple[int, bytes]], query: bytes, most: int) -> list[int]:
    """Return the numbers of the chunks whose codes are most like the query's, at most about `most` of them.

    A segment is the number of its first chunk, and the codes of that one and of those behind it.
    """
    size = len(query)
    numbers: list[int] = []
    pieces: list[bytes] = []
    for first, codes in segments:
        numbers += range(first, first + len(codes) // size)
        pieces.append(codes)
    if len(numbers) <= most:
        return numbers
    # One loop in C over all codes: their integers, the bits that differ, how many.
    each: Iterable[bytes] = chain.from_iterable(iter_unpack(f"{size}s", b"".join(pieces)))
    different = map(int.from_bytes(query, "big").__xor__, map(int.from_bytes, each))
    distances = [*map(int.bit_count, different)]
    limit, room = _limit(distances, most)
    near = [*compress(numbers, map(limit.__gt__, distances))]
    return [*near, *islice(compress(numbers, map(limit.__eq__, distances)), room)]


def _limit(distances: Sequence[int], most: int) -> tuple[int, int]:
    """Return the distance up to which there are at most `most`, and how many of that distance itself have room."""
    counts = Counter(distances)
    room = most
    for distance in sorted(counts):
        if counts[distance] > room:
            return distance, room
        room -= counts[distance]
    return max(counts) + 1, 0


def ordered(query: Vector, vectors: Iterable[tuple[int, bytes]], limit: int) -> list[tuple[int, float]]:
    """Return numbers and cosines of the `limit` vectors nearest to the query, both of length 1; the nearest first."""
    found = sorted([(dist(query, vector), number) for number, vector in _of_size(vectors, len(query))])
    return [(number, cosine(distance)) for distance, number in found[:limit]]


def _of_size(vectors: Iterable[tuple[int, bytes]], dimensions: int) -> Iterator[tuple[int, tuple[float, ...]]]:
    read = Struct(f"<{dimensions}e")
    for number, content in vectors:
        if len(content) == read.size:
            yield number, read.unpack(content)


def cosine(distance: float) -> float:
    """Return the cosine of two vectors of length 1 by their distance."""
    return 1 - distance * distance / 2
