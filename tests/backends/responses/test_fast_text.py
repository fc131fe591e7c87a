"""The fast path of a Responses backend's text: the client gets the same bytes as by the long way, however a stream is cut."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from antiphon.backends.responses import fast_text
from antiphon.backends.responses.backend import RelayStream
from antiphon.core.deltas import Delta
from antiphon.core.request.tool_decoding import decode_tools
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.text import sse
from antiphon.errors import BackendError
from antiphon.net.http.response import HttpResponse
from antiphon.responses.fast_path import EventPath
from antiphon.types.response import Response
from tests.backends.chat.chats import raws
from tests.backends.responses.recordings import NAMES, recording
from tests.backends.turns import turn
from tests.core.relay.relay_streams import CALL, CUSTOM, IMAGE, MESSAGE, SEARCH, THOUGHT, life, whole_stream

Json = dict[str, Any]
TOOLS = [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]


class Pieces:
    """An HttpResponse whose body comes in these pieces; each `pour` goes on where the last one stopped."""

    counts_itself = False

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._left = list(pieces)
        self.alive_after: list[int] = []

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        while self._left:
            if not take(self._left.pop(0)):
                return False
        return True

    def alive(self) -> None:
        if self.alive_after[-1:] != [len(self._left)]:
            self.alive_after.append(len(self._left))

    def release(self) -> None:
        """Nothing is left."""

    abort = pause = release


class Client:
    """What a client gets, and how much of it by the fast path. It wants no more for now after every `pause` pieces."""

    def __init__(self, pause: int = 0) -> None:
        self.got = b""
        self.fast = self._count = 0
        self._pause = pause

    def write(self, frame: bytes) -> bool:
        self.got += frame
        self._count += 1
        return not self._pause or self._count % self._pause != 0

    def frames(self, frame: bytes) -> bool:
        self.fast += 1
        return self.write(frame)


async def played(
    pieces: Sequence[bytes], *, fast: bool, pause: int = 0, **wishes: Any
) -> tuple[Client, tuple[Any, ...]]:
    response, client = Pieces(pieces), Client(pause)
    source = RelayStream.of(cast(HttpResponse, response), turn("x", tools=decode_tools(raws(TOOLS)), **wishes))
    stream = ResponseStream(Response(id="resp_0", created_at=1, model="m"), "0" * 48)
    stream.start()

    def sent() -> bool:
        events = stream.take()
        return not events or client.write(sse.encode(events))

    def take(deltas: Sequence[Delta]) -> bool:
        for delta in deltas:
            stream.feed(delta)
        return sent()

    if fast:
        source.offer(EventPath(stream, client.frames))
    try:
        while not await source.pour(take):
            pass
        stream.end_turn()
        body = stream.finish(2)
    except BackendError as error:
        body = stream.fail(error, 2)
    sent()
    return client, (client.got, body, stream.output, stream.sequence_number, response.alive_after)


async def same_both_ways(pieces: Sequence[bytes], **wishes: Any) -> int:
    """Compare; return how many frames went the fast path."""
    client, seen = await played(pieces, fast=True, **wishes)
    _, expected = await played(pieces, fast=False, **wishes)
    assert seen == expected
    assert (await played(pieces, fast=True, pause=3, **wishes))[1] == expected, "with pauses"
    return client.fast


def framed(events: Sequence[Json], *, named: bool = True) -> list[bytes]:
    name = (lambda event: f"event: {event['type']}\n") if named else (lambda event: "")
    return [f"{name(event)}data: {json.dumps(event)}\n\n".encode() for event in events]


def cuts(pieces: list[bytes]) -> list[list[bytes]]:
    """Return a stream as it comes: by events, in one piece, by two and three events, cut at odd places."""
    whole = b"".join(pieces)
    several = [[b"".join(pieces[at : at + n]) for at in range(0, len(pieces), n)] for n in (2, 3)]
    odd = [whole[at : at + 97] for at in range(0, len(whole), 97)]
    return [pieces, [whole], *several, odd]


def spoken(*texts: str, item: Json = MESSAGE) -> list[Json]:
    """Return the events of a stream whose text comes in these pieces."""
    said = {**MESSAGE, "content": [{**MESSAGE["content"][0], "text": "".join(texts), "annotations": []}]}
    begin, *_, part, done = life(said, 0)
    delta = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0}
    deltas = [{**delta, "delta": text, "logprobs": [], "sequence_number": n} for n, text in enumerate(texts)]
    return [begin, *deltas, part, done, whole_stream(said)[-1]]


ODD_TEXTS = [
    "a",
    'quote " and \\ and \n',
    "é\u2028\u2029\u0085",
    "\U0001f600",
    "\ud83d",
    "\ude00",
    "",
    "\x7f",
    "b" * 5000,
]


@pytest.mark.parametrize("named", [True, False])
async def test_a_text_goes_the_fast_path(named: bool) -> None:
    pieces = framed(spoken(*"abcdefghij"), named=named)
    assert await same_both_ways(pieces) == 9
    assert await same_both_ways(pieces, parallel_tool_calls=False) == 0, "a stream with a filter in it"


@pytest.mark.parametrize(
    "items", [(MESSAGE,), (THOUGHT, MESSAGE), (CALL, CUSTOM), (THOUGHT, CALL, SEARCH, IMAGE, MESSAGE)]
)
async def test_whatever_is_said_is_the_same_both_ways(items: tuple[Json, ...]) -> None:
    for cut in cuts(framed(whole_stream(*items))):
        await same_both_ways(cut)


@pytest.mark.parametrize("name", NAMES)
async def test_a_recorded_stream_is_the_same_both_ways(name: str) -> None:
    body = recording(name).body
    for cut in cuts([part + b"\n\n" for part in body.split(b"\n\n") if part]):
        await same_both_ways(cut)


async def test_odd_texts_are_the_same_both_ways() -> None:
    for cut in cuts(framed(spoken("x", *ODD_TEXTS, *ODD_TEXTS, "y"))):
        await same_both_ways(cut)


@pytest.mark.slow
async def test_events_between_are_the_same_both_ways() -> None:
    dice = random.Random(16)
    odd: list[Json] = [
        {"type": "response.output_text.delta", "item_id": "msg_2", "delta": "other"},
        {
            "type": "response.output_text.delta",
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 1,
            "delta": "part",
        },
        {"type": "response.output_text.delta", "delta": "no place"},
        {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": 5},
        {"type": "response.refusal.delta", "item_id": "msg_1", "output_index": 0, "delta": "No."},
        {"type": "response.in_progress", "response": {}},
        {"type": "keepalive"},
        {"type": "response.completed", "response": {"output": [], "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "error", "message": "x"},
        *life(CALL, 1),
    ]
    for _ in range(200):
        events = spoken(*"abcdefghijklmnop")
        for _ in range(dice.randint(1, 3)):
            events.insert(dice.randint(1, len(events)), dice.choice(odd))
        for cut in cuts(framed(events)):
            await same_both_ways(cut)


async def test_pieces_are_joined_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_text, "MOST_PIECES", 5)
    assert 0 < await same_both_ways(framed(spoken(*["ab"] * 40))) < 39


async def test_an_answer_that_says_too_much_ends_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.backends.responses.backend.MOST_SAID", 20)
    assert await same_both_ways(framed(spoken(*["abc"] * 20))) > 0
