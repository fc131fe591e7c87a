"""Outputs of functions that name no call → the call that each belongs to, by the function's name or by their order. Pure.

One of a named function that was not called is what the client itself tells the model, such as Codex's goal: a user's message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain

from antiphon.core.request.validation import missing
from antiphon.types.items import FunctionCall, FunctionCallOutput, Item, Message, UnnamedOutput

Name = tuple[str, str]


class _Waiting:
    """Calls without an output yet, the earliest first: all, by id and by name."""

    def __init__(self) -> None:
        self._all: deque[FunctionCall] = deque()
        self._by_name: dict[Name, deque[FunctionCall]] = {}
        self._by_id: dict[str, deque[FunctionCall]] = {}
        self._answered: set[int] = set()

    def add(self, call: FunctionCall) -> None:
        """Take in a call."""
        self._all.append(call)
        self._by_id.setdefault(call.call_id, deque()).append(call)
        for namespace in {_text(call.namespace), ""}:
            self._by_name.setdefault((call.name, namespace), deque()).append(call)

    def answer(self, id: str) -> None:
        """Take in an output that names its call."""
        self._first(self._by_id.get(id))

    def take(self, output: UnnamedOutput) -> FunctionCall | None:
        """Return the call that an output belongs to; None where none waits for it."""
        if not _text(output.name):
            return self._first(self._all)
        return self._first(self._by_name.get((_text(output.name), _text(output.namespace))))

    def has(self, name: str) -> bool:
        """Tell whether a call of a function waits, in whichever namespace."""
        calls = self._by_name.get((name, ""))
        while calls and id(calls[0]) in self._answered:
            calls.popleft()
        return bool(calls)

    def _first(self, calls: deque[FunctionCall] | None) -> FunctionCall | None:
        while calls:
            call = calls.popleft()
            if id(call) not in self._answered:
                self._answered.add(id(call))
                return call
        return None


def with_call_ids(own: Sequence[Item], earlier: Sequence[Item]) -> list[Item]:
    """Return a request's own items, each output with the id of its call, which may be in the history.

    Raises InvalidRequest for one that no call waits for, unless it names a function that was not called. Linear.
    """
    waiting = _Waiting()
    named: list[Item] = []
    for index, item in enumerate(chain(earlier, own), -len(earlier)):
        found = item
        if isinstance(item, FunctionCall):
            waiting.add(item)
        elif isinstance(item, UnnamedOutput):
            call = waiting.take(item) if index >= 0 else None
            if call is not None or index < 0:
                found = _named(item, call.call_id if call is not None else "")
            elif _text(item.name) and not waiting.has(_text(item.name)):
                said = item.output if isinstance(item.output, list) else str(item.output)
                found = Message(role="user", content=said, agent=item.agent)
            else:
                raise missing(f"input[{index}].call_id")
        elif isinstance(item, FunctionCallOutput):
            waiting.answer(item.call_id)
        if index >= 0:
            named.append(found)
    return named


def _named(output: UnnamedOutput, call_id: str) -> FunctionCallOutput:
    return FunctionCallOutput(
        id=output.id,
        call_id=call_id,
        output=output.output,
        status=output.status,
        caller=output.caller,
        agent=output.agent,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
