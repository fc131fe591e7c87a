"""Probes of a backend for `antiphon check` and `antiphon doctor`: small Turns, sent as the server would."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.base import Backend, read
from antiphon.core.deltas import CallDelta, CallStart, Delta, ReasoningDelta, Relay, RelayedText, TextDelta
from antiphon.core.relay.end import counted
from antiphon.core.relay.items import arguments_of, item_of
from antiphon.core.request.text_format import PLAIN, ResolvedText
from antiphon.core.stream.emitter import MuteEmitter
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.turn import Turn
from antiphon.errors import APIError
from antiphon.types.items import Message
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response, Usage
from antiphon.types.tools import FunctionTool

PATIENCE = 60.0
"""Seconds for one probe: a model may have to be loaded first."""
LONGEST_NOTE = 300  # characters
REFUSED = (400, 409, 413, 502)
"""What a backend's refusal of a request becomes (`backends/refusals.py`); 502 where a chat template raises an error."""

ALL_THOUGHTS = "all of the answer is thoughts: is the server's reasoning parser the model's? (vLLM: --reasoning-parser)"
CITIES = ("Paris", "Rome", "Oslo")
COUNTRIES = ("France", "Italy", "Norway")

_SCHEMA = Raw(
    b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}'
)
TOOL = FunctionTool(name="get_weather", description="Return the weather of a city.", parameters=_SCHEMA)


class Finding(msgspec.Struct, frozen=True):
    """The outcome of one probe; None: not there, which may be right. `needed`: nothing works without it."""

    name: str
    ok: bool | None
    note: str = ""
    needed: bool = False


class Said(msgspec.Struct, frozen=True):
    """Output of a backend in one Turn."""

    deltas: Sequence[Delta]
    reads: int

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, TextDelta)) + self._relayed()

    @property
    def thought(self) -> bool:
        return self._has(ReasoningDelta) or self._relays("response.reasoning")

    @property
    def usage(self) -> Usage | None:
        """Return its token counts, None where it tells none."""
        return counted(self.deltas)

    @property
    def calls(self) -> int:
        """Return how many tools it called."""
        return sum(isinstance(delta, CallStart) for delta in self.deltas) + len(self._relayed_calls())

    @property
    def arguments(self) -> str | None:
        """Return the arguments of its first call, None where it called nothing."""
        first = next((delta.key for delta in self.deltas if isinstance(delta, CallStart)), None)
        if first is not None:
            pieces = (delta for delta in self.deltas if isinstance(delta, CallDelta))
            return "".join(delta.text for delta in pieces if delta.key == first)
        return next(iter(self._relayed_calls()), None)

    def _has(self, kind: type[Delta]) -> bool:
        return any(isinstance(delta, kind) for delta in self.deltas)

    def _relays(self, prefix: str) -> bool:
        return any(isinstance(delta, (Relay, RelayedText)) and delta.type.startswith(prefix) for delta in self.deltas)

    def _relayed(self) -> str:
        found = (delta for delta in self.deltas if isinstance(delta, RelayedText))
        return "".join(delta.text for delta in found if delta.type == "response.output_text.delta")

    def _relayed_calls(self) -> list[str]:
        """Return the arguments of the calls of a server that speaks Responses itself."""
        done = [
            item_of(delta.fields.get("item"))
            for delta in self.deltas
            if isinstance(delta, Relay) and delta.type == "response.output_item.done"
        ]
        return [arguments_of(item) for item in done if item["type"] == "function_call"]


def turn(model: str, prompt: str, tokens: int, **fields: Any) -> Turn:
    """Return a Turn of one user message."""
    given: dict[str, Any] = {
        "tools": (),
        "tool_choice": "auto",
        "text": PLAIN,
        "stream": True,
        "reasoning_effort": None,
    }
    given |= fields
    return Turn(
        model=model,
        request=CreateResponse(model=model, input=prompt),
        instructions=None,
        items=[Message(role="user", content=prompt)],
        parallel_tool_calls=True,
        temperature=0.0,
        top_p=None,
        max_output_tokens=tokens,
        extra={},
        **given,
    )


async def ask(backend: Backend, turn: Turn) -> Said:
    """Play a Turn to its end. Raises APIError."""
    try:
        async with asyncio.timeout(PATIENCE):
            stream = await backend.open(turn)
            deltas: list[Delta] = []
            reads = 0
            try:
                while some := await read(stream):
                    deltas += some
                    reads += 1
            finally:
                stream.abort()
            _play(deltas)
            return Said(deltas, reads)
    except TimeoutError:
        raise APIError(504, f"no answer in {PATIENCE:g} seconds") from None


def _play(deltas: Sequence[Delta]) -> None:
    """Make a response of what was said, as the server does. Raises BackendError where it cannot."""
    stream = ResponseStream(Response(id="resp_0", created_at=0, model=""), "0" * 48, emitter=MuteEmitter())
    stream.start()
    for delta in deltas:
        stream.feed(delta)
    stream.end_turn()


async def probe(backend: Backend, model: str) -> list[Finding]:
    """Try everything on a model, one after the other: a small machine shall not be overrun."""
    found = await begun(backend, model)
    if not found[0].ok:
        return found
    for name, trial in (("tool call", tool_call), ("json_schema", json_schema)):
        found.append((await sampled(name, partial(trial, backend, model), samples=1)).finding)
    return found


async def begun(backend: Backend, model: str) -> list[Finding]:
    """See whether a model answers at all, and what its answers have."""
    found = await guarded("answer", lambda: _answer(backend, model), needed=True)
    if found[0].ok:
        found += await guarded("streaming", lambda: _streaming(backend, model))
    return found


async def guarded(name: str, call: Callable[[], Awaitable[list[Finding]]], *, needed: bool = False) -> list[Finding]:
    """Probe; an error is a finding."""
    try:
        return await call()
    except APIError as error:
        return [Finding(name, False, one_line(error.message), needed)]


async def _answer(backend: Backend, model: str) -> list[Finding]:
    """One token, not streamed."""
    await ask(backend, turn(model, "Say hi.", 1, stream=False))
    return [Finding("answer", True, needed=True)]


async def _streaming(backend: Backend, model: str) -> list[Finding]:
    said = await ask(backend, turn(model, "Count from one to five.", 256))
    note = "" if said.text else "the answer was empty"
    if said.thought and not said.text:
        note = ALL_THOUGHTS
    return [
        Finding("streaming", not note, note),
        Finding(
            "usage",
            said.usage is not None,
            "" if said.usage is not None else "no token counts in streams: clients get null",
        ),
        Finding(
            "reasoning", said.thought or None, "" if said.thought else "none seen; right for a model that has none"
        ),
    ]


CACHED_WORDS = 2000
"""Words of the prompt that is asked twice: caches keep blocks, and some none that is shorter than 1,024 tokens."""


async def prompt_cache(backend: Backend, model: str) -> list[Finding]:
    """Ask the same long prompt twice, and see how much of it the second time is read from a cache."""
    words = " ".join(f"w{number}" for number in range(CACHED_WORDS))
    wish = turn(model, f"{secrets.token_hex(8)} {words}\nSay hi.", 1, stream=False)
    first, second = (await ask(backend, wish)).usage, (await ask(backend, wish)).usage
    if first is None or second is None:
        return [Finding("prompt cache", None, "not known: there are no token counts")]
    cached, read = second.input_tokens_details.cached_tokens, second.input_tokens
    if cached:
        return [Finding("prompt cache", True, f"{cached:,} of {read:,} tokens of a repeated prompt are read from it")]
    return [
        Finding(
            "prompt cache",
            None,
            f"none of {read:,} tokens of a repeated prompt are told to be read from it: it is off, or not reported"
            " (vLLM: --enable-prefix-caching, --enable-prompt-tokens-details; SGLang: --enable-cache-report)",
        )
    ]


# Abilities, tried several times


SAMPLES = 3


class Ability(msgspec.Struct, frozen=True):
    """What the samples of one ability say. `sure`: all of them say the same, and none was disturbed."""

    finding: Finding
    value: bool
    sure: bool


Trial = Callable[[int], Awaitable[str]]
"""One sample, by its number; returns what went wrong, "" where nothing did. Raises APIError."""


async def sampled(name: str, trial: Trial, samples: int = SAMPLES) -> Ability:
    """Try an ability several times. Raises nothing: errors are findings."""
    faults: list[str] = []
    disturbed = False
    for number in range(samples):
        try:
            faults.append(await trial(number))
        except APIError as error:
            faults.append(one_line(error.message))
            disturbed = disturbed or error.status not in REFUSED
    good = faults.count("")
    note = next(filter(None, faults), "")
    if 0 < good < samples:
        note = f"{good} of {samples} times; else: {note}"
    return Ability(Finding(name, good * 2 > samples, note), good * 2 > samples, good in (0, samples) and not disturbed)


async def tool_call(backend: Backend, model: str, number: int = 0) -> str:
    """Offer a tool that the question needs."""
    wish = turn(model, f"What is the weather in {CITIES[number]}? Use the tool.", 512, tools=[TOOL])
    said = await ask(backend, wish)
    if said.arguments is None:
        return "it did not call; vLLM needs --enable-auto-tool-choice, llama.cpp --jinja"
    return "" if _is_json(said.arguments) else "its arguments are no JSON"


async def forced_call(backend: Backend, model: str, number: int = 0) -> str:
    """Demand a call that the question does not need."""
    wish = turn(model, f"Say {number + 1} kind words.", 512, tools=[TOOL], tool_choice="required")
    said = await ask(backend, wish)
    return "tool_choice is ignored" if said.arguments is None else ""


async def json_schema(backend: Backend, model: str, number: int = 0) -> str:
    """Ask for a format of which the question says nothing."""
    format = msgspec.structs.replace(PLAIN.format, type="json_schema", name="place", schema=_SCHEMA, strict=True)
    question = f"Which city is the capital of {COUNTRIES[number]}? Answer in a short sentence."
    said = await ask(backend, turn(model, question, 512, text=ResolvedText(format=format)))
    if said.thought and not said.text:
        return ALL_THOUGHTS
    return "" if _fits(said.text) else "the answer does not follow the schema: schemas are not enforced"


def one_line(words: str) -> str:
    """Return an error's words on one line."""
    line = " ".join(words.split())
    return line if len(line) <= LONGEST_NOTE else f"{line[:LONGEST_NOTE]} …"


def _is_json(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


def _fits(text: str) -> bool:
    try:
        answer = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and answer.keys() == {"city"} and isinstance(answer["city"], str)
