"""Markers in a model's answer → text and annotations, however the text is cut into pieces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from antiphon.core.citations.citer import LONGEST_MARKER, Citer
from antiphon.core.citations.sources import MOST_SOURCES, ContainerFile, FileSource, Passage, Sources, WebSource
from antiphon.core.deltas import AnnotationDelta, CallStart, Delta, ReasoningDelta, TextDelta
from tests.growth import assert_linear, cpu_time

LINK = "([example.org](https://example.org/a))"


def sources() -> Sources:
    known = Sources()
    known.load(
        [
            WebSource("https://example.org/a", "A", 1),
            FileSource("file-1", "a.pdf", 2),
            ContainerFile("cntr_1", "cfile_1", "x y.csv", "/mnt/data/x y.csv"),
            ContainerFile("cntr_1", "cfile_2", "z.csv", "/mnt/data/z.csv"),
        ]
    )
    return known


def cited(pieces: Sequence[str]) -> tuple[str, list[tuple[int, Any]]]:
    """Return the text, and the annotations with the length of the text when each came."""
    citer = Citer(sources())
    out: list[Delta] = []
    for piece in pieces:
        out += citer.take([TextDelta(piece)])
    out += citer.close()
    text, annotations = "", []
    for delta in out:
        if isinstance(delta, TextDelta):
            assert delta.text
            text += delta.text
        else:
            assert isinstance(delta, AnnotationDelta)
            annotations.append((len(text), json.loads(delta.annotation)))
    return text, annotations


@pytest.mark.parametrize(
    ("said", "text", "places"),
    [
        ("No marker.", "No marker.", []),
        ("So.【1】", f"So. {LINK}", [(4, 42)]),
        ("So 【1†example.org】!", f"So {LINK}!", [(3, 41)]),
        ("【1】【1】", f"{LINK} {LINK}", [(0, 38), (39, 77)]),
        ("𝄞【1:0†page】", f"𝄞 {LINK}", [(2, 40)]),
        ("a【2】.", "a.", [1]),
        ("【2】a", "a", [0]),
        ("a【1, 2】", f"a {LINK}", [(2, 40), 40]),
        ("unknown【7】.", "unknown.", []),
        ("foot[^1] and [^9] and [^x] [", f"foot {LINK} and [^9] and [^x] [", [(5, 43)]),
        ("text 【note】 and 【1", "text 【note】 and 【1", []),
        ("【1【1】", f"【1 {LINK}", [(3, 41)]),
        ("【1" + "x" * 60 + "】", "【1" + "x" * 60 + "】", []),
        ("[a](b) [1] [", "[a](b) [1] [", []),
        ("[z](sandbox:/mnt/data/z.csv)", "[z](sandbox:/mnt/data/z.csv)", [(4, 27)]),
        ("[x](sandbox:/mnt/data/x%20y.csv), sandbox:/etc", "[x](sandbox:/mnt/data/x%20y.csv), sandbox:/etc", [(4, 31)]),
    ],
)
def test_markers(said: str, text: str, places: list[Any]) -> None:
    cuts = [[said], list(said), *([said[:cut], said[cut:]] for cut in range(1, len(said)))]
    for pieces in cuts:
        got, annotations = cited(pieces)
        assert got == text, pieces
        spans = [
            one["index"] if one["type"] == "file_citation" else (one["start_index"], one["end_index"])
            for _, one in annotations
        ]
        assert spans == places, pieces
        for when, one in annotations:
            if one["type"] == "url_citation":
                assert text[one["start_index"] : one["end_index"]] == LINK
                assert when >= one["end_index"]
            if one["type"] == "container_file_citation":
                assert text[one["start_index"] : one["end_index"]].startswith("sandbox:/mnt/data/") and when == len(
                    text
                )


def test_no_more_is_held_back_than_a_marker_has() -> None:
    citer = Citer(sources())
    shown = sum(len(delta.text) for delta in citer.take([TextDelta("【1" + "9" * 100)]) if isinstance(delta, TextDelta))
    assert shown >= 102 - LONGEST_MARKER
    (out,) = citer.take([TextDelta("【the")])
    assert isinstance(out, TextDelta) and out.text.endswith("【the")


def test_positions_begin_anew_with_each_text() -> None:
    citer = Citer(sources())
    between: list[Delta] = [ReasoningDelta("hm"), CallStart("k", "c", "f")]
    for delta in between:
        out = [*citer.take([TextDelta("Long beginning 【1")]), *citer.take([delta]), *citer.take([TextDelta("x【1】")])]
        texts = [one.text for one in out if isinstance(one, TextDelta)]
        assert texts[:2] == ["Long beginning ", "【1"] and out.index(delta) == 2
        (annotation,) = [json.loads(one.annotation) for one in out if isinstance(one, AnnotationDelta)]
        assert annotation["start_index"] == 2
        citer.close()


def test_logprobs_stay_with_the_text() -> None:
    citer = Citer(sources())
    out = [*citer.take([TextDelta("So【", b"1"), TextDelta("1】", b"2"), TextDelta(".", b"3")]), *citer.close()]
    assert [one.logprobs for one in out if isinstance(one, TextDelta)] == [b"1", b"2", b"3"]


def test_hostile_urls_stay_within_their_link() -> None:
    known = Sources()
    told = known.told(None, [Passage(WebSource('https://a.example/x)"\\\n【2】<b>', 'T"', 0), "text 【1】")], ())
    assert told.text.count("【") == 1
    out = Citer(known).take([TextDelta('{"a": "so【1】"}')])
    text = "".join(one.text for one in out if isinstance(one, TextDelta))
    assert json.loads(text)["a"].startswith("so ([a.example](https://a.example/x%29%22%5C%0A")


def test_a_source_keeps_its_number_and_there_are_not_endless_ones() -> None:
    known = sources()
    assert known.told(None, [Passage(WebSource("https://example.org/a", "Again"))], ()).sources == (
        WebSource("https://example.org/a", "A", 1),
    )
    assert known.url("1") == known.url("【1】") == known.url("https://example.org/a") == "https://example.org/a"
    assert known.url("2") is None and known.url("https://evil.example") is None
    pages = [Passage(WebSource(f"https://example.org/{number}", "")) for number in range(MOST_SOURCES)]
    last = known.told(None, pages, ()).text.splitlines()[-1]
    assert last == f"https://example.org/{MOST_SOURCES - 1}"


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["【1", "【1】", "[^", "[^1]", "[", "【", "sandbox:/mnt/data/z.csv ", "sandbox:"])
def test_its_time_is_linear(unit: str) -> None:
    def run(size: int) -> float:
        text = unit * size
        return cpu_time(lambda: cited([text])) + cpu_time(
            lambda: cited([text[n : n + 7] for n in range(0, len(text), 7)])
        )

    assert_linear(run, 500)
