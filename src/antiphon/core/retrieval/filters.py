"""Filters on the attributes of files: comparisons, joined by `and` and `or` (OpenAI's ComparisonFilter and CompoundFilter)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any, TypeGuard

import msgspec
from msgspec import Raw

from antiphon.core.request.validation import decode, missing
from antiphon.errors import InvalidRequest

MOST_FILTERS = 256  # comparisons and compounds of a filter
MOST_DEPTH = 16
MOST_VALUES = 1000  # of `in` and `nin`

Value = str | float | bool
Attributes = Mapping[str, Value]
Test = Callable[[Attributes], bool]


class FilterNode(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison or a compound, as it is sent."""

    type: str
    key: str | None = None
    value: str | float | bool | list[str | float | bool] | None = None
    filters: list[Raw] | None = None


_node = msgspec.json.Decoder(FilterNode)

_ORDERED: Mapping[str, Callable[[Any, Any], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
_COMPARISONS = ("eq", "ne", *_ORDERED, "in", "nin")
_COMPOUNDS = ("and", "or")


def read_filter(raw: bytes | Raw, path: str) -> Test:
    """Return what tells whether a file's attributes fit. Raises InvalidRequest; `path` is where the filter stands."""
    return _read(raw, path, 1, [0])


def _read(raw: bytes | Raw, path: str, depth: int, count: list[int]) -> Test:
    node = decode(_node, raw, path)
    count[0] += 1
    if depth > MOST_DEPTH or count[0] > MOST_FILTERS:
        raise InvalidRequest(
            f"Invalid '{path}': at most {MOST_FILTERS} filters, {MOST_DEPTH} levels deep, are allowed.", param=path
        )
    if node.type in _COMPOUNDS:
        if not node.filters:
            raise missing(f"{path}.filters")
        tests = [_read(one, f"{path}.filters[{index}]", depth + 1, count) for index, one in enumerate(node.filters)]
        every = node.type == "and"
        return lambda attributes: (all if every else any)(test(attributes) for test in tests)
    return _comparison(node, path)


def _comparison(node: FilterNode, path: str) -> Test:
    if node.type not in _COMPARISONS:
        expected = ", ".join((*_COMPARISONS, *_COMPOUNDS))
        raise InvalidRequest(f"Invalid '{path}.type': must be one of {expected}.", param=f"{path}.type")
    if node.key is None:
        raise missing(f"{path}.key")
    if node.value is None:
        raise missing(f"{path}.value")
    many = node.type in ("in", "nin")
    if many != isinstance(node.value, list):
        kind = "an array" if many else "a string, number or boolean"
        raise InvalidRequest(
            f"Invalid '{path}.value': '{node.type}' takes {kind}.", param=f"{path}.value", code="invalid_type"
        )
    return _test(node.type, node.key, node.value, path)


def _test(type: str, key: str, value: Any, path: str) -> Test:
    if isinstance(value, list):
        if len(value) > MOST_VALUES:
            raise InvalidRequest(f"Invalid '{path}.value': at most {MOST_VALUES} values.", param=f"{path}.value")
        values = {_exact(one) for one in value}
        return lambda attributes: (key in attributes and _exact(attributes[key]) in values) == (type == "in")
    if type in ("eq", "ne"):
        wanted = _exact(value)
        return lambda attributes: (key in attributes and _exact(attributes[key]) == wanted) == (type == "eq")
    compare = _ORDERED[type]
    return lambda attributes: _comparable(attributes.get(key), value) and compare(attributes[key], value)


def _exact(value: Value) -> tuple[str, Value]:
    """Return a value that equals no other type's: `true` is not 1."""
    if isinstance(value, bool):
        return ("bool", value)
    return ("str", value) if isinstance(value, str) else ("number", value)


def _comparable(one: Value | None, other: Value) -> TypeGuard[Value]:
    """Tell whether two values have an order: both texts, or both numbers."""
    if one is None or isinstance(one, bool) or isinstance(other, bool):
        return False
    return isinstance(one, str) == isinstance(other, str)
