"""Filters on attributes: what fits, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.core.retrieval.filters import MOST_DEPTH, MOST_FILTERS, MOST_VALUES, read_filter
from antiphon.errors import InvalidRequest

FILE = {"year": 2024, "share": 0.5, "lang": "en", "draft": True}


def fits(filter: Any) -> bool:
    return read_filter(json.dumps(filter).encode(), "filters")(FILE)


def one(type: str, key: str, value: Any) -> dict[str, Any]:
    return {"type": type, "key": key, "value": value}


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (one("eq", "year", 2024), True),
        (one("eq", "year", 2024.0), True),
        (one("eq", "year", "2024"), False),
        (one("eq", "draft", True), True),
        (one("eq", "draft", 1), False),
        (one("eq", "none", "x"), False),
        (one("ne", "lang", "de"), True),
        (one("ne", "lang", "en"), False),
        (one("ne", "none", "x"), True),
        (one("gt", "year", 2023), True),
        (one("gt", "year", 2024), False),
        (one("gte", "year", 2024), True),
        (one("lt", "share", 0.6), True),
        (one("lte", "share", 0.4), False),
        (one("gt", "lang", "de"), True),
        (one("gt", "lang", 1), False),
        (one("lt", "draft", 5), False),
        (one("lt", "none", 5), False),
        (one("in", "lang", ["de", "en"]), True),
        (one("in", "year", [1, 2]), False),
        (one("nin", "lang", ["de"]), True),
        (one("nin", "none", ["de"]), True),
        ({"type": "and", "filters": [one("eq", "lang", "en"), one("gt", "year", 2020)]}, True),
        ({"type": "and", "filters": [one("eq", "lang", "en"), one("gt", "year", 2030)]}, False),
        ({"type": "or", "filters": [one("eq", "lang", "de"), one("gt", "year", 2020)]}, True),
        ({"type": "or", "filters": [{"type": "and", "filters": [one("eq", "lang", "de")]}]}, False),
    ],
)
def test_a_filter_fits(filter: Any, expected: bool) -> None:
    assert fits(filter) == expected


def deep(levels: int) -> dict[str, Any]:
    filter = one("eq", "a", 1)
    for _ in range(levels):
        filter = {"type": "and", "filters": [filter]}
    return filter


@pytest.mark.parametrize(
    ("filter", "param"),
    [
        ({}, "filters.type"),
        (one("like", "a", "b"), "filters.type"),
        ({"type": "eq", "value": 1}, "filters.key"),
        ({"type": "eq", "key": "a"}, "filters.value"),
        (one("eq", "a", ["b"]), "filters.value"),
        (one("in", "a", "b"), "filters.value"),
        (one("eq", "a", {"b": 1}), "filters.value"),
        (one("in", "a", [*range(MOST_VALUES + 1)]), "filters.value"),
        ({"type": "and", "filters": []}, "filters.filters"),
        ({"type": "or", "filters": [one("eq", "a", 1), one("eq", "a", [])]}, "filters.filters[1].value"),
        (deep(MOST_DEPTH), "filters" + ".filters[0]" * MOST_DEPTH),
        (
            {"type": "or", "filters": [one("eq", "a", 1)] * (MOST_FILTERS + 1)},
            f"filters.filters[{MOST_FILTERS - 1}]",
        ),
        (7, "filters"),
    ],
)
def test_a_wrong_filter_is_named(filter: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        fits(filter)
    assert refused.value.param == param
