"""Writers of the calls of OpenAI's hosted tools: searches of the web and of files, code (OpenAI's "Built-in tools").

web_search_call    added{in_progress} · in_progress │ searching │ completed, done{completed, action} │ done{failed, action}
file_search_call   added{queries: [], results: null} · in_progress │ searching │ completed, done{queries, results} │ done{failed}
code_interpreter_call
    added{code: "", outputs: []} · in_progress │ code.delta … code.done │ interpreting │ completed, done │ done{failed}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json import loads
from typing import Any

from antiphon.core.deltas import CallStart
from antiphon.core.json_encoding import to_json
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.hosted_writers import HostedCallWriter
from antiphon.core.stream.writers import delta_head
from antiphon.core.tools.input_unwrapper import Unwrapper
from antiphon.core.tools.results import ToolResult

MOST_QUERIES = 16
"""Queries of one call that its item shows."""

SEARCH, OPEN, FIND = "web_search", "open_page", "find_in_page"
"""The functions of web_search that a model is offered."""


def _arguments(text: str) -> Mapping[str, Any]:
    """Return a call's arguments; nothing where a model wrote something else."""
    try:
        found = loads(text, strict=False)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def queries_in(arguments: Mapping[str, Any]) -> list[str]:
    """Return the queries of a call, also where a model wrote one alone."""
    found = arguments.get("queries", arguments.get("query"))
    listed = found if isinstance(found, list) else [found]
    return [query.strip() for query in listed if isinstance(query, str) and query.strip()][:MOST_QUERIES]


def _text(arguments: Mapping[str, Any], name: str) -> str:
    found = arguments.get(name)
    return found if isinstance(found, str) else "" if found is None else str(found)


def _search(arguments: Mapping[str, Any]) -> dict[str, object]:
    queries = queries_in(arguments)
    return {"type": "search", "query": queries[0] if queries else "", "queries": queries}


ACTIONS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, object]]] = {
    SEARCH: _search,
    OPEN: lambda arguments: {"type": "open_page", "url": _text(arguments, "url")},
    FIND: lambda arguments: {
        "type": "find_in_page",
        "url": _text(arguments, "url"),
        "pattern": _text(arguments, "pattern"),
    },
}
"""Function → the `action` of its item, from the arguments."""


class WebSearchWriter(HostedCallWriter):
    """A `web_search_call`. What it did stands in its `action`, which the last event alone has."""

    __slots__ = ()

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        super().__init__(emitter, item_id, index, call, type="web_search_call", cut="failed")

    def result(self, result: ToolResult) -> bytes:
        """End the call. A result that names no action has that of its arguments."""
        self._fields["action"] = self._action()
        return super().result(result)

    def close(self, status: str) -> bytes:
        """End a call that got no result: its item has no status for that but `failed`."""
        self._fields["action"] = self._action()
        return super().close(status)

    def _action(self) -> dict[str, object]:
        return ACTIONS.get(self._call.name, _search)(_arguments("".join(self._pieces)))


class FileSearchWriter(HostedCallWriter):
    """A `file_search_call`."""

    __slots__ = ()

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        opening: dict[str, object] = {"queries": [], "results": None}
        super().__init__(emitter, item_id, index, call, type="file_search_call", opening=opening)

    def end_arguments(self) -> None:
        """Note the queries for the item's last event."""
        self._fields["queries"] = queries_in(_arguments("".join(self._pieces)))


class CodeCallWriter(HostedCallWriter):
    """A `code_interpreter_call`: its code streams out of the arguments. `call.opening` has the id of its container."""

    __slots__ = ("_head", "_unwrapper")

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        opening: dict[str, object] = {"code": "", "container_id": "", "outputs": [], **(call.opening or {})}
        self._unwrapper: Unwrapper | None = Unwrapper("code")
        super().__init__(emitter, item_id, index, call, type="code_interpreter_call", opening=opening)
        self._head = delta_head("response.code_interpreter_call_code.delta", item_id, index, b"")

    def text(self, text: str) -> None:
        """Emit the code that a piece of the arguments holds."""
        if self._unwrapper is not None:
            self._code(self._unwrapper.feed(text))

    def _code(self, code: str) -> None:
        if code:
            self._pieces.append(code)
            self._emitter.delta("response.code_interpreter_call_code.delta", self._head, code)

    def end_arguments(self) -> None:
        """Emit the event for the complete code."""
        if self._unwrapper is None:
            return
        self._code(self._unwrapper.close())
        self._unwrapper = None
        code = self._fields["code"] = "".join(self._pieces)
        where = b'"item_id":%b,"output_index":%d,"code":%b' % (to_json(self.item_id), self.index, to_json(code))
        self._emitter.raw("response.code_interpreter_call_code.done", where)

    def close(self, status: str) -> bytes:
        """End a call that got no result, with the code so far."""
        self._fields["code"] = "".join(self._pieces)
        return super().close(status)
