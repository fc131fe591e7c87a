"""Probes of a backend for `antiphon check`: small Turns, sent as the server would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.base import Backend, read
from antiphon.core.deltas import CallDelta, CallStart, Delta, ReasoningDelta, Relay, RelayedText, TextDelta, UsageReport
from antiphon.core.relay.end import response_of, usage_of
from antiphon.core.relay.items import arguments_of, item_of
from antiphon.core.relay.shapes import ENDS
from antiphon.core.request.text_format import PLAIN, ResolvedText
from antiphon.core.stream.emitter import MuteEmitter
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.turn import Turn
from antiphon.errors import APIError
from antiphon.types.items import Message
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response
from antiphon.types.tools import FunctionTool

PATIENCE = 60.0
"""Seconds for one probe: a model may have to be loaded first."""

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
    def counted(self) -> bool:
        return self._has(UsageReport) or any(
            usage_of(response_of(delta.fields).get("usage")) is not None
            for delta in self.deltas
            if isinstance(delta, Relay) and delta.type in ENDS
        )

    @property
    def calls(self) -> int:
        """Return how many tools it called."""
        return sum(isinstance(delta, CallStart) for delta in self.deltas) + len(self._relayed_calls())

    @property
    def arguments(self) -> str | None:
        """Return the arguments of its call, None where it called nothing."""
        if self._has(CallStart):
            return "".join(delta.text for delta in self.deltas if isinstance(delta, CallDelta))
        return "".join(self._relayed_calls()) or None

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
    given: dict[str, Any] = {"tools": (), "tool_choice": "auto", "text": PLAIN, "stream": True, **fields}
    return Turn(
        model=model,
        request=CreateResponse(model=model, input=prompt),
        instructions=None,
        items=[Message(role="user", content=prompt)],
        parallel_tool_calls=True,
        temperature=0.0,
        top_p=None,
        max_output_tokens=tokens,
        reasoning_effort=None,
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
    first = await guarded("answer", lambda: _answer(backend, model), needed=True)
    if not first[0].ok:
        return first
    found = list(first)
    for name, call in (("streaming", _streaming), ("tool call", _tool_call), ("json_schema", _json_schema)):
        found += await guarded(name, lambda call=call: call(backend, model))  # type: ignore[misc]
    return found


async def guarded(name: str, call: Callable[[], Awaitable[list[Finding]]], *, needed: bool = False) -> list[Finding]:
    """Probe; an error is a finding."""
    try:
        return await call()
    except APIError as error:
        return [Finding(name, False, error.message, needed)]


async def _answer(backend: Backend, model: str) -> list[Finding]:
    """One token, not streamed."""
    await ask(backend, turn(model, "Say hi.", 1, stream=False))
    return [Finding("answer", True, needed=True)]


async def _streaming(backend: Backend, model: str) -> list[Finding]:
    said = await ask(backend, turn(model, "Count from one to five.", 64))
    streamed = bool(said.deltas)
    return [
        Finding("streaming", streamed, "" if streamed else "the answer was empty"),
        Finding("usage", said.counted, "" if said.counted else "no token counts in streams: clients will see zeros"),
        Finding(
            "reasoning", said.thought or None, "" if said.thought else "none seen; right for a model that has none"
        ),
    ]


async def _tool_call(backend: Backend, model: str) -> list[Finding]:
    wish = turn(model, "What is the weather in Paris? Use the tool.", 512, tools=[TOOL])
    said = await ask(backend, wish)
    if said.arguments is None:
        return [Finding("tool call", False, "it did not call; vLLM needs --enable-auto-tool-choice, llama.cpp --jinja")]
    return [
        Finding("tool call", _is_json(said.arguments), "" if _is_json(said.arguments) else "its arguments are no JSON")
    ]


async def _json_schema(backend: Backend, model: str) -> list[Finding]:
    format = msgspec.structs.replace(PLAIN.format, type="json_schema", name="place", schema=_SCHEMA, strict=True)
    text = ResolvedText(format=format)
    said = await ask(backend, turn(model, "Name the capital of France as JSON with the key city.", 512, text=text))
    ok = _is_json(said.text)
    return [Finding("json_schema", ok, "" if ok else "the answer is no JSON: schemas are not enforced")]


def _is_json(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.MsgspecError:
        return False
