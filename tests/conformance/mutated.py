"""Answers of a good server, changed on their way to the suite: what a broken server would say."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from antiphon.conformance.base import ServerUnderTest
from antiphon.conformance.event_stream import ReadEvent
from antiphon.conformance.wire import Answered, CheckRequest, Socket, Streamed, Wire

Json = dict[str, Any]
Events = list[Json]


@dataclass(frozen=True)
class Mutation:
    """What is changed: answers whose `METHOD path` the expression finds, where the request holds `asks`."""

    where: str
    answer: Callable[[Json], Any] | None = None
    events: Callable[[Events], Events] | None = None
    status: int = 0
    asks: str = ""
    raw: bytes | None = None

    def meets(self, asked: CheckRequest) -> bool:
        return re.search(self.where, f"{asked.method} {asked.path}") is not None and self.asks.encode() in asked.body


class MutatedWire(Wire):
    """A Wire that changes what comes."""

    def __init__(self, target: ServerUnderTest, mutations: Sequence[Mutation]) -> None:
        super().__init__(target)
        self.mutations = mutations
        self.met = 0

    def _met(self, asked: CheckRequest) -> list[Mutation]:
        found = [mutation for mutation in self.mutations if mutation.meets(asked)]
        self.met += len(found)
        return found

    async def send(self, asked: CheckRequest) -> Answered:
        answer = await super().send(asked)
        for mutation in self._met(asked):
            body = answer.body if mutation.raw is None else mutation.raw
            if mutation.answer is not None:
                body = json.dumps(mutation.answer(json.loads(body))).encode()
            answer = Answered(mutation.status or answer.status, answer.kind, body)
        return answer

    async def stream(self, asked: CheckRequest, most: int = 20_000) -> Streamed:
        streamed = await super().stream(asked, most)
        for mutation in self._met(asked):
            if mutation.events is not None:
                events = mutation.events([json.loads(event.data) for event in streamed.events])
                read = [
                    ReadEvent(event.pop("name", event.get("type", "")), json.dumps(event).encode()) for event in events
                ]
                streamed = Streamed(streamed.status, streamed.kind, read, streamed.done)
        return streamed

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        async with super().socket() as socket:
            yield _MutatedSocket(self, socket)  # type: ignore[misc]


class _MutatedSocket:
    def __init__(self, wire: MutatedWire, socket: Socket) -> None:
        self._wire = wire
        self._socket = socket
        self._asked = CheckRequest("SOCKET", "")

    async def send(self, message: Json) -> None:
        self._asked = CheckRequest("SOCKET", "", json.dumps(message).encode())
        await self._socket.send(message)

    async def receive(self) -> Json:
        message = await self._socket.receive()
        for mutation in self._wire._met(self._asked):
            if mutation.answer is not None:
                message = mutation.answer(message)
        return message


# Changes


def put(**values: Any) -> Callable[[Json], Json]:
    """Put values at places such as `output__0__name`; `...` takes what is there away."""

    def change(answer: Json) -> Json:
        for place, value in values.items():
            *steps, last = (int(step) if step.isdigit() else step for step in place.split("__"))
            inner: Any = answer
            for step in steps:
                inner = inner[step]
            if value is ...:
                del inner[last]
            else:
                inner[last] = value
        return answer

    return change


def says(text: str) -> Callable[[Json], Json]:
    """Let a response say another text."""

    def change(answer: Json) -> Json:
        for item in answer["output"]:
            for part in item.get("content") or ():
                part["text"] = text
        return answer

    return change


def each(type: str, change: Callable[[Json], Json]) -> Callable[[Events], Events]:
    """Change the events of one type."""
    return lambda events: [change(event) if event["type"] == type else event for event in events]


def without(type: str) -> Callable[[Events], Events]:
    """Leave out the events of one type, and number the others anew."""

    def change(events: Events) -> Events:
        return renumbered([event for event in events if event["type"] != type])

    return change


def renumbered(events: Events) -> Events:
    """Number events anew."""
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]
