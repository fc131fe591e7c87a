"""Events read by what they have in common: the same bytes as by the long way, whatever stands in the two places that change."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.backends.responses.fast_text import FastText
from antiphon.backends.responses.text_template import TextTemplate
from antiphon.core.deltas import RelayedText
from tests.server.fast_path.reads import chunk_of

TYPE = "response.output_text.delta"
LIKE = RelayedText(TYPE, "x", "msg_1", 0, 0)

Put = Callable[[str, str], str]


def number_first(number: str, text: str) -> str:
    return (
        f'{{"type":"{TYPE}","sequence_number":{number},"item_id":"msg_1","output_index":0,"content_index":0,'
        f'"delta":{text},"logprobs":[]}}'
    )


def text_first(number: str, text: str) -> str:
    return (
        f'{{"content_index": 0, "delta": {text}, "item_id": "msg_1", "logprobs": [], "output_index": 0, '
        f'"sequence_number": {number}, "type": "{TYPE}"}}'
    )


def hidden(number: str, text: str) -> str:
    return number_first(number, text).replace("}", ',"obfuscation":"' + "x" * (int(number) % 7) + '"}')


class Client:
    """Keeps the texts that are written."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def one(self, text: str, string: bytes) -> bool:
        assert json.loads(string) == text
        self.texts.append(text)
        return True

    def several(self, texts: list[str], strings: list[bytes]) -> bool:
        return all(map(self.one, texts, strings))


def read(event: str) -> bytes:
    return chunk_of(f"event: {TYPE}\ndata: {event}\n\n".encode())


def begun(put: Put, client: Client) -> FastText:
    fast = FastText(LIKE, client, 10_000, lambda: None)
    assert fast.give([put("5", '"a"').encode()]) == (1, True)
    for number in (6, 7):
        data = read(put(str(number), '"ab"'))
        assert fast.take(data) == len(data)
    return fast


@pytest.mark.parametrize("put", [number_first, text_first])
def test_most_events_are_not_decoded(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    fast = begun(put, client)
    monkeypatch.setattr("antiphon.backends.responses.fast_text.text_event", None)
    for number, text in ((8, "cd"), (9, "\n"), (7, "\u00e9")):
        data = read(put(str(number), json.dumps(text, ensure_ascii=False)))
        assert fast.take(data) == len(data)
    assert client.texts == ["a", "ab", "ab", "cd", "\n", "\u00e9"]
    assert fast.said == 9


def test_events_that_differ_in_more_are_decoded() -> None:
    client = Client()
    fast = begun(hidden, client)
    for number in range(8, 40):
        data = read(hidden(str(number), '"c"'))
        assert fast.take(data) == len(data)
    assert client.texts[3:] == ["c"] * 32


ODD: list[tuple[str, str]] = [
    ("08", '"a"'),
    ("00", '"ab"'),
    ("-8", '"ab"'),
    ("8,", '"a"'),
    ("\n8", '"a"'),
    ("8\n", '"a"'),
    ("1e", '"ab"'),
    ("8", '"a\nb"'),
    ("8", '"a"b"'),
    ("8", '"a","'),
    ("8", r'"\q"'),
    ("8", r'"\ud800"'),
    ("8", r'"\"'),
    ("8", '"\x01b"'),
    ("8", '""'),
    ("8", "null"),
    ("8", '"ab","item_id":"other"'),
    ("8", '"ab","delta":"cd"'),
    ("8", '"ab","delta":5'),
    ('8,"type":"other"', '"ab"'),
    ("0", '"abc"'),
    ("8" * 30, '"ab"'),
]


@pytest.mark.parametrize("put", [number_first, text_first])
@pytest.mark.parametrize(("number", "text"), ODD)
def test_whatever_stands_there_is_taken_as_if_it_were_decoded(put: Put, number: str, text: str) -> None:
    results: list[Any] = []
    for learns in (2, 0):
        client = Client()
        fast = FastText(LIKE, client, 10_000, lambda: None)
        fast._learns = learns
        assert fast.give([put("5", '"a"').encode()]) == (1, True)
        odd = read(put(number, text))
        for size in range(len(odd) - 8, len(odd) + 8):  # each length is known
            spare = size - len(read(put("6", '""')))
            data = read(put("6", '"' + "x" * max(spare, 1) + '"'))
            assert fast.take(data) == len(data)
        results.append((fast.take(odd), client.texts, fast.said))
        assert bool(fast._layouts) == bool(learns)
    assert results[0] == results[1]


@pytest.mark.parametrize(
    "event",
    [
        number_first("5", r'"a\n"'),
        number_first("0", '"a"'),
        number_first("5", '"a"').replace('"sequence_number":5,', ""),
        number_first("5", '"a"').replace(",", ",\n"),
        number_first("5", '"a"').replace("}", ',"delta":"b"}'),
        number_first("5", '"a"').replace('"logprobs":[]', '"further":{"delta":"b"}').replace('"delta":"a",', ""),
        number_first("5", '"\x7f"').replace('"logprobs":[]', '"further":{"delta":"b"}'),
        number_first("5", '"\x7f"').replace('"item_id"', '"delta":"b","item_id"'),
        number_first("5", '"\x7f"').replace('"item_id"', '"further":{"delta":"b"},"item_id"'),
        "{}",
        "",
        "[]",
    ],
)
def test_an_event_of_which_nothing_can_be_learned(event: str) -> None:
    assert TextTemplate.of(event.encode()) is None
