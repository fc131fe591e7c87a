"""Words as they are indexed: stems are Porter's, as SQLite's FTS5 has them; every script is found."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from antiphon.core.retrieval.words import MOST_QUERY_WORDS, query_words, stem, words

DOCS = Path(__file__).parents[3] / "docs"


def test_stems_are_those_of_fts5() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE texts USING fts5(word, tokenize = 'porter unicode61')")
    connection.execute("CREATE VIRTUAL TABLE terms USING fts5vocab(texts, instance)")
    page = " ".join(path.read_text().lower() for path in DOCS.glob("*.md"))
    spelled = sorted(set(re.findall("[a-z]+", page)))
    connection.executemany("INSERT INTO texts (rowid, word) VALUES (?, ?)", enumerate(spelled))
    theirs = {spelled[row]: term for row, term in connection.execute("SELECT doc, term FROM terms")}
    assert len(theirs) > 2000
    assert {word: stem(word) for word in spelled} == theirs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Foo_bar x2 3.14", ["foo", "bar", "x2", "3", "14"]),
        ("naïve Straßen ΟΔΟΣ", ["naiv", "strassen", "οδοσ"]),
        ("全文検索", ["全文", "文検", "検索"]),
        ("字", ["字"]),
        ("version2検索", ["version2", "検索"]),
        ("\N{LATIN SMALL LIGATURE FI}nding", ["find"]),
        ("\ud800 \0 …", []),
        ("a" * 200, ["a" * 64]),
    ],
)
def test_texts_become_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_a_query_is_without_stop_words_unless_it_has_no_others() -> None:
    assert query_words("What is the boiling point of water?") == ["boil", "point", "water"]
    assert query_words("to be or not to be") == ["to", "be", "or", "not"]
    assert query_words("") == []
    assert len(query_words(" ".join(f"w{number}" for number in range(200)))) == MOST_QUERY_WORDS
