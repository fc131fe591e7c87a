"""Chunks: nothing is lost, none is too long, neighbours overlap, cuts are between words."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.retrieval.chunking import Chunking, chunked


def cut(text: str, tokens: int = 800, overlap: int = 400) -> list[str]:
    return list(chunked(text, Chunking(tokens=tokens, overlap=overlap)))


def numbered(count: int) -> str:
    return " ".join(f"{number:04}" for number in range(count))


def test_a_short_text_is_one_chunk() -> None:
    assert cut("  One text. \n") == ["One text."]
    assert cut(" \n\t ") == cut("") == []


@pytest.mark.parametrize(("tokens", "overlap"), [(100, 0), (100, 50), (800, 400), (4096, 2048)])
def test_neighbours_overlap(tokens: int, overlap: int) -> None:
    chunks = [chunk.split() for chunk in cut(numbered(9000), tokens, overlap)]
    assert all(len(chunk) <= tokens for chunk in chunks)
    for before, after in itertools.pairwise(chunks):
        assert int(after[0]) == int(before[-1]) + 1 - overlap
    assert chunks[-1][-1] == "8999"


def test_cuts_are_between_paragraphs_and_sentences() -> None:
    assert cut(numbered(90) + "\n\n" + numbered(90), 100, 0) == [numbered(90), numbered(90)]
    assert cut(numbered(90) + ". " + numbered(90), 100, 0)[0] == numbered(90) + "."


@given(st.text(alphabet=st.sampled_from("ab .\n検。"), max_size=3000), st.integers(0, 50))
def test_nothing_is_lost(text: str, overlap: int) -> None:
    chunks = cut(text, 100, overlap)
    place = 0
    for chunk in chunks:
        start = text.index(chunk, max(0, place - 1000))
        assert not text[place:start].strip()
        place = max(place, start + len(chunk))
    assert not text[place:].strip()


def test_a_text_without_spaces_is_cut() -> None:
    chunks = cut("検" * 5000, 400, 0)
    assert max(map(len, chunks)) <= 400 and "".join(chunks) == "検" * 5000
