"""The fast path of a Responses backend's text from the socket on: the same bytes as by the long way, whatever one read brings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from antiphon.backends.responses import fast_text
from antiphon.backends.responses.backend import RelayStream
from antiphon.backends.responses.fast_text import FastText
from antiphon.core.deltas import Delta
from antiphon.core.request.tool_decoding import decode_tools
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.text import sse
from antiphon.errors import APIError
from antiphon.net.http.protocol import HttpConnection, Timeouts
from antiphon.responses.fast_path import EventPath
from antiphon.types.response import Response
from tests.backends.chat.chats import raws
from tests.backends.responses.recordings import NAMES, recording
from tests.backends.responses.test_fast_text import ODD_TEXTS, TOOLS, framed, spoken
from tests.backends.turns import turn
from tests.core.relay.relay_streams import CALL, CUSTOM, MESSAGE, SEARCH, THOUGHT, whole_stream
from tests.server.fast_path.reads import HEAD, Client, Wire, chunk_of

Json = dict[str, Any]
Seen = tuple[bytes, bytes, int]
END = b"0\r\n\r\n"


class Counting(FastText):
    """Counts the bytes of reads that all of its kind have taken."""

    total = 0

    def take(self, data: bytes) -> int:
        taken = super().take(data)
        Counting.total += taken
        return taken


@pytest.fixture(autouse=True)
def _count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.backends.responses.backend.FastText", Counting)


async def played(reads: Sequence[bytes], *, fast: bool, slow: int = 0, head: bytes = HEAD) -> Seen:
    """Return what the client gets of these reads, the whole response, and its number of events."""
    connection = HttpConnection(Timeouts(), lambda _: None, lambda _: None)
    connection.connection_made(Wire())
    response = connection.send(b"POST")
    connection.data_received(head)
    source = RelayStream.of(response, turn("x", tools=decode_tools(raws(TOOLS))))
    stream = ResponseStream(Response(id="resp_0", created_at=1, model="m"), "0" * 48)
    client = Client(slow)
    stream.start()

    def sent() -> bool:
        events = stream.take()
        return not events or client.write_nowait(sse.encode(events))

    def take(deltas: Sequence[Delta]) -> bool:
        for delta in deltas:
            stream.feed(delta)
        return sent()

    async def make() -> bytes:
        if fast:
            source.offer(EventPath(stream, client.write_nowait))
        try:
            while not await source.pour(take):
                pass
            stream.end_turn()
            return stream.finish(2)
        except APIError as error:
            return stream.fail(error, 2)

    making = asyncio.create_task(make())
    await asyncio.sleep(0)
    for read in reads:
        connection.data_received(read)
        await asyncio.sleep(0)
    connection.connection_lost(None)
    body = await making
    sent()
    return client.got, body, stream.sequence_number


def same(reads: Sequence[bytes], head: bytes = HEAD) -> int:
    """Hold the fast path against the long way; return how many bytes of reads took it."""
    long = asyncio.run(played(reads, fast=False, head=head))
    for slow in (3, 0):
        Counting.total = 0
        assert asyncio.run(played(reads, fast=True, slow=slow, head=head)) == long, slow
    return Counting.total


def one_by_one(events: Sequence[bytes]) -> list[bytes]:
    return [*map(chunk_of, events), END]


def some_at_once(events: Sequence[bytes]) -> list[bytes]:
    chunks = one_by_one(events)
    return [b"".join(chunks[at : at + 3]) for at in range(0, len(chunks), 3)]


def cut_anywhere(events: Sequence[bytes]) -> list[bytes]:
    whole, reads, at, size = b"".join(one_by_one(events)), [], 0, 7
    while at < len(whole):
        reads.append(whole[at : at + size])
        at, size = at + size, size * 31 % 997 + 1
    return reads


def two_events_in_a_chunk(events: Sequence[bytes]) -> list[bytes]:
    return [*(chunk_of(b"".join(events[at : at + 2])) for at in range(0, len(events), 2)), END]


def a_chunk_and_a_half(events: Sequence[bytes]) -> list[bytes]:
    """Each read ends in the middle of a chunk, behind a whole one."""
    whole = b"".join(one_by_one(events))
    sizes = [len(chunk_of(event)) for event in events]
    ends = [sum(sizes[:n]) + sizes[n] // 2 for n in range(1, len(sizes), 2)]
    return [whole[a:b] for a, b in zip([0, *ends], [*ends, len(whole)], strict=True)]


CUTS = (one_by_one, some_at_once, cut_anywhere, two_events_in_a_chunk, a_chunk_and_a_half)


def all_at_once(events: Sequence[bytes]) -> list[bytes]:
    return [b"".join(one_by_one(events))]


@pytest.mark.parametrize("cut", [*CUTS, all_at_once], ids=lambda cut: cut.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_stream_is_the_same_both_ways(name: str, cut: Callable[[Sequence[bytes]], list[bytes]]) -> None:
    same(cut([part + b"\n\n" for part in recording(name).body.split(b"\n\n") if part]))


@pytest.mark.parametrize("cut", [*CUTS, all_at_once], ids=lambda cut: cut.__name__)
@pytest.mark.parametrize(
    "items", [(MESSAGE,), (THOUGHT, MESSAGE), (CALL, CUSTOM), (THOUGHT, CALL, SEARCH, MESSAGE)], ids=len
)
def test_whatever_is_said_is_the_same_both_ways(
    items: tuple[Json, ...], cut: Callable[[Sequence[bytes]], list[bytes]]
) -> None:
    same(cut(framed(whole_stream(*items))))


@pytest.mark.parametrize("named", [True, False], ids=["named", "plain"])
def test_most_of_a_text_is_taken_from_the_socket(named: bool) -> None:
    events = framed(spoken(*["ab "] * 100), named=named)
    size = sum(len(chunk_of(event)) for event in events)
    assert same(one_by_one(events)) > 0.6 * size
    assert same(some_at_once(events)) > 0.6 * size


def test_numbers_and_padding_of_the_server_do_not_matter() -> None:
    events = spoken(*["ab "] * 100)
    for number, event in enumerate(events):
        if "delta" in event:
            event |= {"sequence_number": 10**number % (2**40), "obfuscation": "x" * (number % 17)}
    assert same(one_by_one(framed(events))) > 0


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
def test_odd_texts_are_the_same_both_ways(cut: Callable[[Sequence[bytes]], list[bytes]]) -> None:
    same(cut(framed(spoken("x", *ODD_TEXTS, *ODD_TEXTS, "y"))))


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
def test_pieces_are_joined_from_time_to_time(
    cut: Callable[[Sequence[bytes]], list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_text, "MOST_PIECES", 5)
    same(cut(framed(spoken(*["ab"] * 40))))


@pytest.mark.parametrize("cut", [*CUTS, all_at_once], ids=lambda cut: cut.__name__)
def test_an_answer_that_says_too_much_ends_both_ways(
    cut: Callable[[Sequence[bytes]], list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.backends.responses.backend.MOST_SAID", 20)
    reads = cut(framed(spoken(*["abc"] * 20)))
    long = asyncio.run(played(reads, fast=False))
    short = asyncio.run(played(reads, fast=True))
    assert short[1].count(b"more than 20 characters") == long[1].count(b"more than 20 characters") == 1


DELTA = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "x"}
HOSTILE: list[bytes] = [
    json.dumps(DELTA, indent=1).encode(),  # line ends between values: data that ends at the first
    json.dumps(DELTA).encode().replace(b" ", b"\r"),
    json.dumps({**DELTA, "content_index": 1}).encode(),
    json.dumps({**DELTA, "item_id": "msg_2"}).encode(),
    json.dumps({**DELTA, "delta": ""}).encode(),
    json.dumps({**DELTA, "delta": None}).encode(),
    json.dumps({**DELTA, "logprobs": [{"token": "x", "logprob": -1.0, "top_logprobs": []}]}).encode(),
    json.dumps(DELTA).encode()[:-1] + b',"delta":"y"}',
    json.dumps(DELTA).encode().replace(b'"x"', b'"\xff"'),
    json.dumps(DELTA).encode().replace(b'"x"', b'"\x01"'),
    json.dumps(DELTA).encode().replace(b'"x"', b'"\\ud83d"'),
    json.dumps(DELTA).encode().replace(b'"x"', b'"\xe2\x80\xa8"'),
    json.dumps({**DELTA, "delta": "z" * 5000}).encode(),
    json.dumps(DELTA).encode() + b" x",
    json.dumps(DELTA).encode() + b"\n\ndata: [DONE]",
    json.dumps(DELTA).encode() + b"\n\n\r\n5\r\n: :\n\n",
    b"[DONE]",
    b"",
    b"null",
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_an_odd_event_between_is_the_same_both_ways(number: int) -> None:
    events = framed(spoken(*"abcdefghijklmnop"))
    for at in (4, 9, 14):
        odd = b"event: response.output_text.delta\ndata: %b\n\n" % HOSTILE[number]
        for cut in CUTS:
            same(cut([*events[:at], odd, *events[at:]]))


def test_odd_sizes_of_chunks_are_the_same_both_ways() -> None:
    chunks = one_by_one(framed(spoken(*"abcdefghijklmnop")))
    for odd in (b"1\r\n", b"fffff\r\n", b"0x9\r\n", b"0\r\n", b"-1\r\n", b""):
        for at in (6, 11):
            bad = odd + chunks[at].partition(b"\r\n")[2]
            same([*chunks[:at], bad, *chunks[at + 1 :]])
            same([*chunks[:at], chunks[at] + bad, *chunks[at + 1 :]])
    extended = [chunk.replace(b"\r\n", b";a=b\r\n", 1) for chunk in chunks[:-1]]
    same([*chunks[:7], *extended[7:], END])


def test_a_body_that_is_not_chunked_is_the_same_both_ways() -> None:
    events = framed(spoken(*"abcdefghijklmnop"))
    looks_so = [*events[:6], *map(chunk_of, events[6:9]), *events[9:]]
    for pieces in (events, looks_so):
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(
            b"".join(pieces)
        )
        assert same(pieces, head) == 0
