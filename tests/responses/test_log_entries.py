"""What the log of responses says of their texts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from antiphon.responses.log.entries import LOOKED_AT, MOSTLY_ENOUGH, WORDS, first_words, log_entry
from antiphon.stores.records import StoredResponse

QUESTION = b'{"type":"message","role":"user","content":%b}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        (" a  b\n\tc ", "a b c"),
        ("a" * WORDS, "a" * WORDS),
        ("a" * (WORDS + 1), "a" * (WORDS - 1) + "…"),
        ("a b " * MOSTLY_ENOUGH, ("a b " * WORDS)[: WORDS - 1] + "…"),
        ("a" + " " * MOSTLY_ENOUGH + "b", "a b"),
        ("a" + " " * LOOKED_AT + "b", "a"),
        ("é" + "x " * WORDS, "é" + ("x " * WORDS)[: WORDS - 2] + "…"),
    ],
)
def test_first_words_are_one_line_of_the_beginning(text: str, words: str) -> None:
    assert first_words(text) == words
    assert len(words) <= WORDS


@pytest.mark.parametrize(
    ("content", "question"),
    [
        (b'"Hello"', "Hello"),
        (b"[]", ""),
        (b'[{"type":"input_text","text":"Hello"}]', "Hello"),
        (b'[{"type":"input_image","image_url":"x"}]', "[image]"),
        (b'[{"type":"input_text","text":"See"},{"type":"input_file","file_id":"x"}]', "See [file]"),
        (b'[1,{"type":"input_text","text":"Hello"}]', "Hello"),  # it is not read as a whole
        (b'"' + b"Hello " * 2000 + b'"', first_words("Hello " * 2000)),  # it is too large for that
        (b"1", ""),
    ],
)
def test_the_question_is_the_same_by_the_item_that_asks_and_by_the_input(content: bytes, question: str) -> None:
    asking = QUESTION % content
    stored = StoredResponse(
        id="", owner="", model="", status="", created_at=0, body=b"{}", output_span=(0, 2), input=b"[%b]" % asking
    )
    assert log_entry(stored, lambda model, usage: 0.0).question == question
    assert log_entry(replace(stored, input=b"[]"), lambda model, usage: 0.0, asking=asking).question == question
    assert log_entry(stored, lambda model, usage: 0.0, asking=b"").question == ""
