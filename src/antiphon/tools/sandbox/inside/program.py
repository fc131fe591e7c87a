"""A program that a model has written: run until it ends, or waits for calls of tools that have no results yet.

It is run again from its beginning when these have come: calls that were made before are answered at once, in their order.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import hashlib
import inspect
import io
import json
import linecache
import os
import random
import selectors
import traceback
from typing import Any

GIVEN = ".program.json"  # in the folder of files, where a sandbox begins
LEFT = ".left.json"
MOST_TEXT = 100_000
NAME = "<program>"


class WaitingSelector(selectors.DefaultSelector):
    """A selector that ends the loop where it would wait for ever: nothing is left to do but to wait for calls."""

    stalled = False

    def select(self, timeout: float | None = None) -> Any:
        """Wait, but not without an end."""
        if timeout is None:
            self.stalled = True
            raise TimeoutError
        return super().select(timeout)


class ProgramText(io.TextIOBase):
    """What a program says, up to a number of characters."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._left = MOST_TEXT
        self._more = 0

    def writable(self) -> bool:
        """Tell that it takes text."""
        return True

    def write(self, text: str) -> int:
        """Take in a text."""
        kept = text[: self._left]
        self._left -= len(kept)
        self._more += len(text) - len(kept)
        self._pieces.append(kept)
        return len(text)

    def whole(self) -> str:
        """Return all of it."""
        note = f"\n[{self._more} more characters are left out.]" if self._more else ""
        return "".join(self._pieces).rstrip("\n") + note


class ToolError(Exception):
    """A tool failed: its message says why."""

    __module__ = "__main__"  # a program's own, as its tracebacks name it


class ProgramTools:
    """`tools` in a program: `await tools.NAME(argument=value)`, or `tools["NAME"]` where that is no name of Python.

    Those of `texts` take one text.
    """

    def __init__(
        self, names: list[str], texts: list[str], known: list[dict[str, Any]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._names = names
        self._texts = texts
        self._known = known
        self._loop = loop
        self.asked: list[dict[str, Any]] = []
        self._made = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise AttributeError(f"There is no tool '{name}'. There are: {', '.join(self._names)}")
        return lambda *values, **arguments: self._call(name, values, arguments)

    def _call(self, name: str, values: tuple[Any, ...], arguments: dict[str, Any]) -> asyncio.Future[Any]:
        if name in self._texts and len(values) == 1 and isinstance(values[0], str) and not arguments:
            arguments = {"input": values[0]}
        elif len(values) == 1 and isinstance(values[0], dict):
            arguments = {**values[0], **arguments}
        elif values:
            raise TypeError(f"tools.{name}() takes its arguments by name")
        text = json.dumps(arguments, allow_nan=False)
        number, self._made = self._made, self._made + 1
        result = self._loop.create_future()
        if number >= len(self._known):
            self.asked.append({"name": name, "arguments": text})
            return result
        known = self._known[number]
        before = known["arguments"]
        if known["name"] != name or (before is not None and json.loads(before) != json.loads(text)):
            raise RuntimeError(
                f"The program was run again and called {name}({text}) where it had called {known['name']}"
                f"({before}): what it does must follow from the results of tools alone."
            )
        if known["failed"]:
            result.set_exception(ToolError(known["value"]))
        else:
            result.set_result(known["value"])
        return result


def run() -> None:
    """Run the program that is given, and leave how it ended."""
    with open(GIVEN) as file:
        given = json.load(file)
    left = os.path.abspath(LEFT)
    said = ProgramText()
    waiting = WaitingSelector()
    loop = asyncio.SelectorEventLoop(waiting)
    asyncio.set_event_loop(loop)
    tools = ProgramTools(given["names"], given["texts"], given["known"], loop)
    ProgramChance(given["seed"]).fix()
    failed = False
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            _run(given["code"], tools, said, loop)
        except SystemExit:
            pass
        except BaseException as error:
            failed = not (waiting.stalled and tools.asked)
            if waiting.stalled and failed:
                said.write("The program waits for something that never comes.")
            elif failed:
                _say(error, said)
    with open(left, "w") as file:
        json.dump({"asked": [] if failed else tools.asked, "failed": failed, "text": said.whole()}, file)


class ProgramChance:
    """The chance of a program: the same in each of its runs, another one in others. What was drawn does not tell what comes."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._drawn = 0

    def draw(self, size: int) -> bytes:
        """Return so many bytes, as `os.urandom` does."""
        self._drawn += 1
        return hashlib.shake_256(b"%d/%b" % (self._drawn, self._seed)).digest(size)

    def fix(self) -> None:
        """Take the system's place in `random`, also for new ones without a seed (`tempfile`), `os`, and so `uuid`, `secrets`."""
        os.urandom = self.draw
        if hasattr(os, "getrandom"):
            os.getrandom = lambda size, flags=0: self.draw(size)
        random._urandom = self.draw  # type: ignore[attr-defined]  # SystemRandom's own name for it
        seeded = random.Random.seed

        def seed(one: random.Random, a: Any = None, version: int = 2) -> None:
            seeded(one, int.from_bytes(self.draw(32), "big") if a is None else a, version)

        random.Random.seed = seed  # type: ignore[assignment, method-assign]
        random.seed = random.random.__self__.seed  # type: ignore[attr-defined]
        random.seed()


def _run(code: str, tools: ProgramTools, said: ProgramText, loop: asyncio.AbstractEventLoop) -> None:
    linecache.cache[NAME] = (len(code), None, code.splitlines(True), NAME)
    compiled = compile(code, NAME, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    def text(value: Any) -> None:
        said.write((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)) + "\n")

    space = {"__name__": "__main__", "tools": tools, "text": text, "ToolError": ToolError}
    result = eval(compiled, space)  # noqa: S307 (it is what this is for)
    if inspect.iscoroutine(result):
        loop.run_until_complete(result)


def _say(error: BaseException, said: ProgramText) -> None:
    """Write a traceback, without what is below the program."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != NAME:
        frames = frames.tb_next
    said.write("".join(traceback.format_exception(type(error), error, frames)))
