"""Vectors: half floats and codes lose little, and the nearest are found."""

from __future__ import annotations

import random

import pytest

from antiphon.core.retrieval.vectors import code, code_size, ordered, packed, shortlist, shortlisted, unit, unpacked


def some(chance: random.Random, near: tuple[float, ...] = (), size: int = 96) -> tuple[float, ...]:
    """Return a vector, somewhat like another one."""
    found = unit([chance.gauss(4 * value, 0.5) for value in near or [0.0] * size])
    assert found is not None
    return found


def test_a_vector_comes_back_nearly() -> None:
    vector = some(random.Random(1))
    assert unpacked(packed(vector)) == pytest.approx(vector, abs=1e-3)
    assert len(packed(vector)) == 2 * len(vector)


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [float("nan")], [float("inf"), 1.0], [1e200, 1e200]])
def test_what_has_no_direction(values: list[float]) -> None:
    assert unit(values) is None


@pytest.mark.parametrize("size", [1, 7, 8, 9, 384])
def test_a_code_has_a_bit_per_dimension(size: int) -> None:
    ones = code([1.0] * size)
    assert len(ones) == code_size(size) and int.from_bytes(ones, "big").bit_count() == size
    assert int.from_bytes(code([-1.0] * size), "big") == 0


def test_the_shortlist_has_the_likest_codes_and_no_more_than_asked() -> None:
    codes = [bytes([0b1111_0000]), bytes([0b1111_0001]), bytes([0b0000_1111]), bytes([0b1111_0011])]
    segments = [(10, codes[0] + codes[1]), (20, codes[2] + codes[3])]
    assert shortlist(segments, codes[0], 10) == [10, 11, 20, 21]
    assert shortlist(segments, codes[0], 2) == [10, 11]
    assert shortlist([(1, codes[1] * 5)], codes[0], 2) == [1, 2]
    assert shortlist([], codes[0], 2) == []


def test_nine_of_ten_are_found_among_many() -> None:
    chance = random.Random(2)
    topics = [some(chance) for _ in range(40)]
    vectors = [some(chance, chance.choice(topics)) for _ in range(4000)]
    segments = [(first, b"".join(map(code, vectors[first : first + 100]))) for first in range(0, 4000, 100)]
    rows = {number: packed(vector) for number, vector in enumerate(vectors)}
    right = 0
    for _ in range(10):
        query = some(chance, chance.choice(topics))
        near = shortlist(segments, code(query), shortlisted(4000, 96))
        assert len(near) == shortlisted(4000, 96)
        found = {number for number, _ in ordered(query, [(number, rows[number]) for number in near], 10)}
        right += len(found & {number for number, _ in ordered(query, rows.items(), 10)})
    assert right >= 90
