"""What stands beside the text: citations, pictures and token counts, in all the places where servers put them."""

from __future__ import annotations

from json import dumps, loads
from typing import Any

import pytest

from antiphon.backends.chat.answers.side_fields import MOST_ANNOTATIONS, MOST_PICTURES
from antiphon.core.deltas import AnnotationDelta, Delta, PictureDelta, TextDelta, UsageReport
from tests.backends.chat.chats import TIME, ask, call_chunk, chunk, heard, summary

Json = dict[str, Any]
TURN = ask(tools=[TIME])
A = "https://example.com/a"
PIXEL = "iVBORw0KGgo="
DATA = f"data:image/png;base64,{PIXEL}"


def whole(message: Json, **fields: Any) -> bytes:
    return dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **fields}).encode()


def both(message: Json, **last: Any) -> list[list[Delta]]:
    """Return what comes of a message whole, in one delta, and with each field in a chunk of its own."""
    end = dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **last}).encode()
    apart = [chunk(**{name: value}) for name, value in message.items()]
    return [
        heard(TURN, whole(message, **last), whole=True),
        heard(TURN, chunk(**message), end),
        heard(TURN, *apart, end),
    ]


def cited(deltas: list[Delta]) -> list[Json]:
    return [loads(delta.annotation) for delta in deltas if isinstance(delta, AnnotationDelta)]


def citation(start: int = 0, end: int = 5, title: str = "T", url: str = A) -> Json:
    return {"type": "url_citation", "start_index": start, "end_index": end, "url": url, "title": title}


NESTED = {
    "type": "url_citation",
    "url_citation": {"url": A, "title": "T", "start_index": 0, "end_index": 5, "content": "x"},
}
PLACED = [
    ({"annotations": [NESTED]}, {}, citation()),
    ({"annotations": [citation()]}, {}, citation()),
    ({"annotations": NESTED}, {}, citation()),
    ({"annotations": [{"type": "url_citation", "url_citation": {"url": A}}]}, {}, citation(5, 5, A)),
    (
        {"annotations": [{"type": "url_citation", "url_citation": {"url": A, "start_index": "x", "end_index": -1}}]},
        {},
        citation(5, 5, A),
    ),
    ({}, {"citations": [A]}, citation(5, 5, A)),
    ({}, {"citations": [{"url": A, "title": "T"}]}, citation(5, 5)),
    ({}, {"search_results": [{"url": A, "title": "T", "date": None}]}, citation(5, 5)),
    ({}, {"web_search": [{"link": A, "title": "T", "refer": "ref_1"}]}, citation(5, 5)),
    ({"annotations": [NESTED]}, {"citations": [A]}, citation()),
]


@pytest.mark.parametrize(("fields", "last", "expected"), PLACED)
def test_citations(fields: Json, last: Json, expected: Json) -> None:
    for deltas in both({"content": "Sunny", **fields}, **last):
        assert cited(deltas) == [expected]
        assert summary(deltas) == [("TextDelta", "Sunny"), ("finish", "stop")]
        kinds = [type(delta) for delta in deltas]
        assert kinds.index(AnnotationDelta) > kinds.index(TextDelta)


def test_a_citation_that_came_before_its_text_waits_and_one_that_is_repeated_is_told_once() -> None:
    deltas = heard(TURN, chunk(annotations=[NESTED]), chunk(content="Sunny"), chunk("stop", annotations=[NESTED]))
    assert [type(delta) for delta in deltas[:2]] == [TextDelta, AnnotationDelta] and len(cited(deltas)) == 1
    assert not cited(heard(TURN, chunk(annotations=[NESTED]), call_chunk(0, "a", "get_time", "{}")))


def test_a_citation_between_pieces_comes_right_behind_its_text() -> None:
    deltas = heard(TURN, chunk(content="Sunny", annotations=[NESTED]), chunk(content=" now"), chunk("stop"))
    assert [type(delta) for delta in deltas[:3]] == [TextDelta, AnnotationDelta, TextDelta]


def test_a_source_that_a_part_names() -> None:
    parts = [
        {"type": "text", "text": "Sunny"},
        {"type": "tool_reference", "tool": "web_search", "url": A, "title": "T"},
    ]
    assert cited(heard(TURN, chunk("stop", content=parts))) == [citation(5, 5)]


@pytest.mark.parametrize(
    "odd",
    [
        None,
        False,
        5,
        "x",
        [],
        [None],
        [[]],
        {},
        [{"type": "file", "file": {"hash": "x"}}],
        [{"type": "url_citation"}],
        [{"type": "url_citation", "url_citation": {"url": 5}}],
        "[" * 50_000,
    ],
)
def test_odd_ones_do_not_cost_the_answer(odd: Any) -> None:
    for field in ("annotations", "images", "citations", "search_results"):
        for deltas in both({"content": "Sunny", field: odd}, **{field: odd}):
            assert summary(deltas) == [("TextDelta", "Sunny"), ("finish", "stop")]


def test_their_number_is_bounded() -> None:
    many = [{"type": "url_citation", "url": f"{A}{n}"} for n in range(MOST_ANNOTATIONS + 5)]
    assert len(cited(heard(TURN, chunk("stop", content="x", annotations=many)))) == MOST_ANNOTATIONS
    pictures = [f"data:image/png;base64,{n}" for n in range(MOST_PICTURES + 5)]
    deltas = heard(TURN, chunk("stop", content="x", images=pictures))
    assert len([one for one in deltas if isinstance(one, PictureDelta)]) == MOST_PICTURES


# Pictures

IMAGES = [
    [{"type": "image_url", "image_url": {"url": DATA}}],
    [{"type": "image_url", "image_url": DATA}],
    [{"b64_json": PIXEL}],
    [{"url": DATA}],
    [DATA],
    {"image_url": {"url": DATA}},
]


@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("text", ["Here:", None])
def test_pictures(images: Any, text: str | None) -> None:
    for deltas in both({"content": text, "images": images}):
        assert [delta for delta in deltas if isinstance(delta, PictureDelta)] == [PictureDelta(PIXEL)]
        assert summary(deltas) == ([("TextDelta", text)] if text else []) + [("finish", "stop")]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": DATA}},
        {"type": "output_image", "image_url": DATA},
        {"type": "image", "b64_json": PIXEL},
    ],
)
def test_a_picture_among_the_parts(part: Json) -> None:
    deltas = heard(TURN, chunk("stop", content=[{"type": "text", "text": "Here:"}, part]))
    assert [type(delta) for delta in deltas[:2]] == [TextDelta, PictureDelta]


def test_a_picture_that_is_but_a_link_becomes_one() -> None:
    deltas = heard(TURN, chunk("stop", images=[{"image_url": {"url": "https://example.com/x.png"}}]))
    assert summary(deltas)[0] == ("TextDelta", "\n![](https://example.com/x.png)\n")


# Token counts

COUNTS = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
USAGES: list[tuple[str, Json, tuple[int, int, int, int]]] = [
    (
        "OpenAI",
        {
            "usage": {
                **COUNTS,
                "prompt_tokens_details": {"cached_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 1},
            }
        },
        (9, 4, 2, 1),
    ),
    ("Moonshot", {"usage": {**COUNTS, "cached_tokens": 2}}, (9, 4, 2, 0)),
    ("DeepSeek", {"usage": {**COUNTS, "prompt_cache_hit_tokens": 2}}, (9, 4, 2, 0)),
    ("LiteLLM", {"usage": {**COUNTS, "cache_read_input_tokens": 2}}, (9, 4, 2, 0)),
    (
        "xAI",
        {
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "total_tokens": 16,
                "completion_tokens_details": {"reasoning_tokens": 3},
            }
        },
        (9, 7, 0, 3),
    ),
    (
        "Responses",
        {
            "usage": {
                "input_tokens": 9,
                "output_tokens": 4,
                "input_tokens_details": {"cached_tokens": 2},
                "output_tokens_details": {"reasoning_tokens": 1},
            }
        },
        (9, 4, 2, 1),
    ),
    (
        "Anthropic",
        {
            "usage": {
                "input_tokens": 9,
                "output_tokens": 4,
                "cache_read_input_tokens": 2,
                "cache_creation_input_tokens": 1,
            }
        },
        (12, 4, 2, 0),
    ),
    ("Groq", {"x_groq": {"id": "x", "usage": COUNTS}}, (9, 4, 0, 0)),
    (
        "Gemini",
        {
            "usageMetadata": {
                "promptTokenCount": 9,
                "candidatesTokenCount": 4,
                "totalTokenCount": 14,
                "thoughtsTokenCount": 1,
            }
        },
        (9, 5, 0, 1),
    ),
    ("Cohere", {"meta": {"tokens": {"input_tokens": 9, "output_tokens": 4}}}, (9, 4, 0, 0)),
    ("llama.cpp", {"timings": {"prompt_n": 9, "predicted_n": 4, "prompt_ms": 1.5}}, (9, 4, 0, 0)),
    ("Ollama", {"prompt_eval_count": 9, "eval_count": 4}, (9, 4, 0, 0)),
    ("counts as text", {"usage": {"prompt_tokens": "9", "completion_tokens": 4.0}}, (9, 4, 0, 0)),
]


def counts(deltas: list[Delta]) -> tuple[int, int, int, int]:
    (report,) = [delta.usage for delta in deltas if isinstance(delta, UsageReport)]
    return (
        report.input_tokens,
        report.output_tokens,
        report.input_tokens_details.cached_tokens,
        report.output_tokens_details.reasoning_tokens,
    )


@pytest.mark.parametrize(("name", "fields", "expected"), USAGES, ids=[name for name, _, _ in USAGES])
def test_token_counts(name: str, fields: Json, expected: tuple[int, int, int, int]) -> None:
    for deltas in both({"content": "Sunny"}, **fields):
        assert counts(deltas) == expected
    behind = dumps({"choices": [], **fields}).encode()
    assert counts(heard(TURN, chunk("stop", content="Sunny"), behind)) == expected
    inside = dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", **fields}]}).encode()
    if name in ("OpenAI", "Moonshot", "Responses"):
        assert counts(heard(TURN, chunk(content="Sunny"), inside)) == expected
