"""What the scripts of applications share: a case is a function, and its verdict a line.

A script ends with `run()`. `✓ NAME`: right. `= NAME: WORDS`: the application's own limit, with the words that tell it.
`✗ NAME: WORDS`: wrong. At the end stands how many cases there were.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import traceback
from collections.abc import Callable
from typing import Any

RIGHT, LIMIT, WRONG = "✓", "=", "✗"
ALL = "cases:"
TOOLS = (
    {"think": "FIRST", "call": [["add", {"a": 2, "b": 3}], ["add", {"a": 4, "b": 5}]]},
    {"say": "sum {{tool.0}} {{tool.1}} {{thoughts}}"},
)
"""Two calls at once; the answer tells both results, and the thoughts that came back."""

_cases: dict[str, tuple[Callable[[], Any], str]] = {}


def case(name: str, limit: str = "") -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Add a case. `limit`: words of the error with which it has to fail, since the application cannot do it."""

    def add(body: Callable[[], Any]) -> Callable[[], Any]:
        _cases[name] = (body, limit)
        return body

    return add


def run(*ended: Callable[[], Any]) -> None:
    """Run the cases in their order, call what ends other processes, and end this one."""
    for name, (body, limit) in _cases.items():
        print(f"\n{_verdict(name, body, limit)}", flush=True)  # on a line of its own, whatever the application prints
    print(f"{ALL} {len(_cases)}", flush=True)
    for one in ended:
        one()
    os._exit(0)


def _verdict(name: str, body: Callable[[], Any], limit: str) -> str:
    try:
        asyncio.run(body()) if inspect.iscoroutinefunction(body) else body()
    except BaseException as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        place = traceback.extract_tb(error.__traceback__)[-1]
        if limit and limit in said:
            return f"{LIMIT} {name}: {said[said.index(limit) :][:200]}"
        return f"{WRONG} {name}: {said[:900]} ({place.filename}:{place.lineno})"
    return f"{WRONG} {name}: the limit is not met: {limit}" if limit else f"{RIGHT} {name}"
