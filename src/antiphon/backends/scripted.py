"""A backend without a model: it plays what the prompt says. For demonstrations and tests, no network needed.

Each line of the last user message is played in order; a line that is no command is said.

    /think TEXT             think it
    /call NAME ARGUMENTS    call a function with these arguments (JSON)
    /custom NAME INPUT      call a custom tool
    /repeat N TEXT          say it N times
    /delay SECONDS          wait before each following piece
    /error STATUS MESSAGE   fail; before anything else: refuse
    /finish REASON          end with this finish reason (length, content_filter)

After the outputs of tools it says these instead. What stands behind a million characters is not played, and a /repeat
of more than as many is an error.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from antiphon.backends.base import BackendModel, ByteStream, Capabilities, Take
from antiphon.core.deltas import (
    CallDelta,
    CallKind,
    CallStart,
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    UsageReport,
)
from antiphon.core.text.pieces import PIECE
from antiphon.core.turn import Turn, continues, no_prefill
from antiphon.errors import BackendError, InvalidRequest
from antiphon.runtime.offload import LARGE, by_size
from antiphon.types.items import CustomToolCallOutput, FunctionCallOutput, InputText, Item, Message, PlainText
from antiphon.types.raw import JsonText
from antiphon.types.response import Usage

_PIECE = re.compile(r"(?<!\s)\s*+\S++(?:\s++\Z)?")

LONGEST = 1_000_000
"""Characters of a script that are played, and those that `/repeat` says at most."""

AT_ONCE = 256
"""Steps that are given in one turn of the event loop."""

# A number among the steps is the pause before each step after it.
Step = Delta | float | BackendError


class ScriptedStream:
    """A script being played."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = list(steps)
        self._next_step = 0
        self._pause = 0.0

    async def pour(self, take: Take) -> bool:
        """Give piece after piece, or all up to the next pause or failure where there is no pause."""
        while deltas := await self._next():
            if not take(deltas):
                return False
            if len(deltas) >= AT_ONCE:
                await asyncio.sleep(0)
        return True

    async def _next(self) -> Sequence[Delta]:
        deltas: list[Delta] = []
        while self._next_step < len(self._steps) and len(deltas) < AT_ONCE:
            step = self._steps[self._next_step]
            if deltas and (self._pause or isinstance(step, BackendError)):
                break  # what was said so far comes first
            self._next_step += 1
            if isinstance(step, BackendError):
                self.abort()
                raise step
            if isinstance(step, float):
                self._pause = step
                continue
            if self._pause:
                await asyncio.sleep(self._pause)
                return [step]
            deltas.append(step)
        return deltas

    def abort(self) -> None:
        """Stop playing."""
        self._next_step = len(self._steps)


class ScriptedBackend:
    """Plays scripts; see the module's own words."""

    def __init__(self, name: str = "scripted", models: Sequence[str] = ("scripted",)) -> None:
        self.name = name
        able = Capabilities()
        self._models = [
            BackendModel(id=model, owned_by="antiphon", context_length=131072, capabilities=able) for model in models
        ]

    async def open(self, turn: Turn) -> ScriptedStream:
        """Start playing. Raises BackendError where the script begins with /error, InvalidRequest for a message to continue."""
        if continues(turn):
            raise no_prefill()
        steps, usage = await by_size(turn.size or _weight(turn.items), _steps, turn)
        if isinstance(steps[0], BackendError):
            raise steps[0]
        return ScriptedStream([*steps, usage])

    async def models(self) -> Sequence[BackendModel]:
        return self._models

    async def count_tokens(self, turn: Turn) -> int | None:
        """Count words."""
        return await by_size(turn.size, _words, turn.items)

    async def chat_completions(self, body: bytes) -> ByteStream:
        raise InvalidRequest(
            "The scripted model does not speak chat completions.", param="model", code="unsupported_model"
        )

    async def close(self) -> None:
        pass


def _weight(items: Sequence[Item]) -> int:
    """Return the size of a script that says more than it is long."""
    texts = [_text(item.content) for item in items[-1:] if isinstance(item, Message)]
    return LARGE if any("/repeat" in text for text in texts) else 0


def _steps(turn: Turn) -> tuple[list[Step], UsageReport]:
    steps = script(turn.items)
    return steps, _usage(turn, steps)


def script(items: Sequence[Item]) -> list[Step]:
    """Return the steps for a history: its last user message played, or the outputs of tools that follow it said."""
    outputs: list[str] = []
    for item in reversed(items):
        if isinstance(item, FunctionCallOutput | CustomToolCallOutput):
            outputs.insert(0, _text(item.output))
        elif isinstance(item, Message) and item.role == "user":
            return [*_say("\n".join(outputs)), Finish(FinishReason.STOP)] if outputs else play(_text(item.content))
    return [*_say("\n".join(outputs) or "Hello."), Finish(FinishReason.STOP)]


def play(text: str) -> list[Step]:
    """Turn a script into steps."""
    steps: list[Step] = []
    said: list[str] = []
    reason = ""
    for number, line in enumerate(text[:LONGEST].split("\n")):
        command, _, rest = line.partition(" ")
        if command == "/finish":
            reason = rest
        elif command in _COMMANDS:
            steps += _say("\n".join(said))
            said.clear()
            steps += _command(command, rest, f"call_{number}")
        else:
            said.append(line)
    steps += _say("\n".join(said))
    called = any(isinstance(step, CallStart) for step in steps)
    return [*steps, Finish(_REASONS.get(reason) or (FinishReason.TOOL_CALLS if called else FinishReason.STOP))]


_REASONS = {reason.value: reason for reason in FinishReason}
_COMMANDS = ("/think", "/call", "/custom", "/repeat", "/delay", "/error")


def _command(command: str, rest: str, key: str) -> list[Step]:
    first, _, last = rest.partition(" ")
    match command:
        case "/think":
            return [ReasoningDelta(found[0]) for found in _PIECE.finditer(rest)]
        case "/call":
            return _call(key, first, last or "{}", "function")
        case "/custom":
            return _call(key, first, last, "custom")
        case "/repeat":
            times = int(_number(first))
            if times * (len(last) + 1) > LONGEST:
                return [BackendError(400, f"/repeat: at most {LONGEST} characters are allowed.")]
            return _say(" ".join([last] * times))
        case "/delay":
            return [_number(first)]
        case _:
            return [BackendError(int(_number(first)) or 500, last or "The script asked for this error.")]


def _call(key: str, name: str, text: str, kind: CallKind) -> list[Step]:
    return [CallStart(key, key, name, kind), *(CallDelta(key, found[0]) for found in _PIECE.finditer(text))]


def _say(text: str) -> list[Step]:
    return [TextDelta(found[0]) for found in _PIECE.finditer(text)]


def _number(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 100_000.0)
    except ValueError:
        return 0.0


def _usage(turn: Turn, steps: Sequence[Step]) -> UsageReport:
    read = _words(turn.items)
    wrote = sum(isinstance(step, TextDelta | ReasoningDelta | CallDelta) for step in steps)
    return UsageReport(Usage(input_tokens=read, output_tokens=wrote, total_tokens=read + wrote))


def _words(items: Sequence[Item]) -> int:
    texts = [_text(item.content) for item in items if isinstance(item, Message)]
    texts += [_text(item.output) for item in items if isinstance(item, FunctionCallOutput | CustomToolCallOutput)]
    return sum(len(text[begin : begin + PIECE].split()) for text in texts for begin in range(0, len(text), PIECE))


def _text(content: str | JsonText | Sequence[object]) -> str:
    if isinstance(content, str | JsonText):
        return str(content)
    return "\n".join(part.text for part in content if isinstance(part, InputText | PlainText))
