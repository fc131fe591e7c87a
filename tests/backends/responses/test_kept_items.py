"""KeptItems: a request that goes on from an earlier one is written as if it were the first."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.backends.responses.codec import request
from antiphon.backends.responses.items import RequestForm
from antiphon.backends.responses.kept_items import KeptItems
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.types.items import Item
from tests.backends.chat.test_kept_messages import TURNS, called, decoded, history, output
from tests.backends.turns import turn

Json = dict[str, Any]
FORMS = [RequestForm(), RequestForm(thoughts=False), RequestForm(seals=False, asks_seals=False), RequestForm(ids=True)]


def written(items: list[Item], form: RequestForm, encoded: EncodedTexts | None = None) -> bytes:
    return request(replace(turn(items=[]), items=items, encoded=encoded), form)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_history_that_grows_is_written_as_one_that_is_new(form: RequestForm) -> None:
    for seed in range(20):
        items, encoded = decoded(history(seed)), EncodedTexts()
        for end in range(1, len(items), 3):
            assert written(items[:end], form, encoded) == written(items[:end], form), (seed, end)


def test_items_are_encoded_once_from_the_second_request_on() -> None:
    items, encoded = decoded(TURNS), EncodedTexts()
    found = []
    for end in (4, 6, 8):
        assert written(items[:end], FORMS[0], encoded) == written(items[:end], FORMS[0])
        assert isinstance(encoded.sent, KeptItems)
        found.append(encoded.sent.json)
    first, second, third = found
    assert first is None and second is not None and third is not None
    assert all(one is other for one, other in zip(second, third, strict=False))


@pytest.mark.parametrize(
    "rest",
    [
        [called("call_1", False), output("call_1", "again")],
        [output("call_1", "again")],
        [called("an id in no form", False), output("an id in no form", "x")],
        [{"type": "reasoning", "id": "rs_1", "summary": []}],
        [{"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}],
    ],
    ids=str,
)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_whatever_comes_behind_is_written_as_it_is_alone(rest: list[Json], form: RequestForm) -> None:
    encoded = EncodedTexts()
    for items in (TURNS, TURNS, [*TURNS, *rest], [*TURNS, *rest, called("z", True)], TURNS):
        assert written(decoded(items), form, encoded) == written(decoded(items), form)


def test_another_form_begins_anew() -> None:
    items, encoded = decoded(TURNS), EncodedTexts()
    for form in (*FORMS, *FORMS):
        for end in (4, 8):
            assert written(items[:end], form, encoded) == written(items[:end], form)
