"""Times a store's operations: `timed_store` wraps each noun in one that measures, whatever noun it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, Protocol, TypeVar, cast, get_type_hints

from msgspec.structs import replace

from antiphon.stores.base import Store

P = ParamSpec("P")
T = TypeVar("T")
Noun = TypeVar("Noun")

OPERATIONS: Mapping[str, Mapping[str, str]] = {
    "conversations": {
        "create": "create_conversation",
        "get": "get_conversation",
        "update": "update_conversation",
        "delete": "delete_conversation",
        "list": "conversations",
        "summary": "conversation_summary",
        "list_items": "conversation_items",
    },
    "jobs": {"release": "release_job", "finish": "finish_job", "cancel": "cancel_job"},
    "files": {
        "put": "put_file",
        "get": "get_file",
        "content": "file_content",
        "list": "files",
        "delete": "delete_file",
        "begin": "begin_file",
        "append": "append_file",
        "finish": "finish_file",
        "drop": "drop_file",
        "row": "file_row",
        "usage": "file_usage",
    },
    "deliveries": {
        "put": "put_deliveries",
        "claim": "claim_delivery",
        "postpone": "postpone_delivery",
        "finish": "finish_delivery",
        "next_due": "next_delivery",
    },
    "keys": {
        "put": "put_key",
        "get": "keys.get",
        "find": "find_key",
        "list": "keys",
        "page": "keys.page",
        "count": "keys.count",
        "change": "keys.change",
        "used": "keys.used",
    },
    "responses": {
        "log": "response_log",
        "entry": "log_entry",
        "unlogged": "unlogged_responses",
        "outdated": "outdated_entries",
        "fill": "fill_log",
    },
    "limits": {},
    "database": {},
}
"""The label `operation` of a method, where it is not the method's name. Of a noun that is not here it is `noun.method`."""


class Timer(Protocol):
    """Gives a function back that does the same and is timed under a label."""

    def __call__(self, operation: str, call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]: ...


class TimedNoun:
    """A noun whose coroutine functions are timed; all else is its own."""

    def __init__(self, noun: object, operations: Mapping[str, str], timer: Timer) -> None:
        """`operations`: labels by the names of methods."""
        self._noun, self._operations, self._timer = noun, operations, timer

    def __getattr__(self, name: str) -> Any:
        """Return what the noun has; a method that is timed is made at its first use, and kept."""
        found = getattr(self._noun, name)
        if name in self._operations:
            found = self._timer(self._operations[name], found)
            setattr(self, name, found)
        return found


def timed_store(store: Store, timer: Timer) -> Store:
    """Return a store whose operations are timed, `database`'s too."""
    nouns = {name: timed(getattr(store, name), labels, timer) for name, labels in operations(type(store)).items()}
    return replace(store, **nouns)


def timed(noun: Noun, operations: Mapping[str, str], timer: Timer) -> Noun:
    """Return a noun, some of whose methods are timed. `operations`: labels by the names of methods."""
    return cast(Noun, TimedNoun(noun, operations, timer))


@cache
def operations(store: type[Store] = Store) -> Mapping[str, Mapping[str, str]]:
    """Return the labels of all operations, by noun and method: the coroutine functions of the fields' Protocols."""
    return {
        noun: {method: label(noun, method) for method, call in vars(kind).items() if iscoroutinefunction(call)}
        for noun, kind in get_type_hints(store).items()
    }


def label(noun: str, method: str) -> str:
    """Return the label `operation` of a noun's method."""
    return OPERATIONS[noun].get(method, method) if noun in OPERATIONS else f"{noun}.{method}"
