"""Framing of events and parsing of a backend's bytes, however they are cut."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.text import sse
from antiphon.core.text.sse import SSEParser, UnbrokenLines, encode
from antiphon.errors import BackendError
from antiphon.types.events import Event
from tests.bounds import bound

STREAMS = [
    (b'data: {"a":1}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n', [b'{"a":1}', b'{"b":2}', b"[DONE]"]),
    (b'data: {"a":1}\r\n\r\ndata: [DONE]\r\n\r\n', [b'{"a":1}', b"[DONE]"]),
    (b'data: {"a":1}\r\rdata: [DONE]\r\r', [b'{"a":1}', b"[DONE]"]),
    (b'data:{"a":1}\n\n', [b'{"a":1}']),
    (b'event: x\nid: 7\nretry: 10\ndata: {"a":1}\n\n', [b'{"a":1}']),
    (b': OPENROUTER PROCESSING\n\ndata: {"a":1}\n\n: ping\n\n', [b'{"a":1}']),
    (b'data: {"a":\ndata: 1}\n\n', [b'{"a":\n1}']),
    (b'\n\n\ndata: {"a":1}\n\n\n\ndata: 2\n\n', [b'{"a":1}', b"2"]),
    (b"event: nothing\n\n", []),
    (b'data: {"a":1}\n\ndata: [DONE]', [b'{"a":1}', b"[DONE]"]),
    (b'data: {"a":1}\n\ndata: [DONE]\n', [b'{"a":1}', b"[DONE]"]),
    (b'event: x\ndata: {"a":1}\n\n', [b'{"a":1}']),
    (b'event: x\ndata: {"a":1}\n\nevent: y\ndata: {"b":2}\n\n', [b'{"a":1}', b'{"b":2}']),
    (b'event: x\ndata: {"a":1}\n\nevent: y\ndata: \n\nevent: z\n\ndata: 3\n\n', [b'{"a":1}', b"3"]),
    (b'event: x\ndata: {"a":1}\ndata: 2\n\nevent: y\n\n\n', [b'{"a":1}\n2']),
    ("data: grüße 😀\n\n".encode(), ["grüße 😀".encode()]),
]


def parse(*pieces: bytes) -> list[bytes]:
    parser = SSEParser()
    return [data for piece in pieces for data in parser.feed(piece)] + parser.close()


@pytest.mark.parametrize(("stream", "events"), STREAMS)
def test_whole_and_byte_by_byte(stream: bytes, events: list[bytes]) -> None:
    assert parse(stream) == events
    assert parse(*(stream[place : place + 1] for place in range(len(stream)))) == events


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 60)))
def test_cut_anywhere(case: tuple[bytes, list[bytes]], cuts: list[int]) -> None:
    stream, events = case
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assert parse(*(stream[a:b] for a, b in pairwise(places))) == events


LINES = [
    b"event: x",
    b"event:",
    b"event",
    b"data: 1",
    b"data: 2",
    b"data: ",
    b"data:3",
    b"data",
    b"",
    b"",
    b": c",
    b"id: 7",
    b"{",
    b"data: 4\r",
]


@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_events_of_known_form_are_read_as_all_others(lines: list[bytes]) -> None:
    stream = b"\n".join((*lines, b"", b""))
    assert parse(stream) == parse(*(stream[place : place + 1] for place in range(len(stream))))
    assert parse(b"event: a\ndata: 0\n\n" + stream) == [b"0", *parse(stream)]


def test_events_come_as_soon_as_they_are_complete() -> None:
    parser = SSEParser()
    assert parser.feed(b"data: 1\n") == []
    assert parser.feed(b"\nda") == [b"1"]
    assert parser.feed(b"ta: 2\n\n") == [b"2"]


def test_a_long_event_in_small_pieces_takes_linear_time() -> None:
    parser = SSEParser()
    started = time.process_time()
    parser.feed(b"data: ")
    for _ in range(4_000):
        parser.feed(b"x" * 1000)
    (event,) = parser.feed(b"\n\n")
    assert len(event) == 4_000_000
    assert time.process_time() - started < bound(1)


@pytest.mark.parametrize("line", [b"data: x\n", b": drip\n", b"data: x\r\n", b"x\r", b"event: y\n"])
def test_an_event_of_many_lines_takes_linear_time(line: bytes) -> None:
    parser = SSEParser()
    started = time.process_time()
    for _ in range(90_000):
        assert parser.feed(line) == []
    assert time.process_time() - started < bound(1)
    parser.feed(b"\n\n")


def test_an_event_of_too_many_lines_is_refused() -> None:
    with pytest.raises(BackendError, match="too many lines"):
        SSEParser().feed(b"data: 1\n" * 200_000 + b"\n")


def test_an_event_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "EVENT_LIMIT", 1000)
    parser = SSEParser()
    with pytest.raises(BackendError, match="too large"):  # noqa: PT012 (the piece that is one too many is not the point)
        for _ in range(20):
            parser.feed(b"x" * 100)


def test_frames() -> None:
    events = [Event("a.b", b'{"type":"a.b"}'), Event("c", b"{}")]
    assert encode(events) == b'event: a.b\ndata: {"type":"a.b"}\n\nevent: c\ndata: {}\n\n'
    assert parse(encode(events) + sse.DONE) == [b'{"type":"a.b"}', b"{}", b"[DONE]"]


@pytest.mark.parametrize("size", [1, sse.LARGE_EVENT])
def test_pieces_are_the_frames_and_large_bodies_are_not_copied(size: int) -> None:
    events = [Event("a", b'"%b"' % (b"x" * size)), Event("b", b"{}"), Event("a", b"3")]
    pieces = sse.pieces(events)
    assert b"".join(pieces) == encode(events)
    assert any(piece is events[0].body for piece in pieces) == (size == sse.LARGE_EVENT)


# Line ends of Unicode: clients that split a stream by `str.splitlines` must not see any

LINE_ENDS = "\u2028\u2029\u0085\v\f\x1c\x1d\x1e"
TEXT = f"a{LINE_ENDS}b é \u2027\u202a\u0084 漢字 \N{GRINNING FACE}\\{LINE_ENDS}\\\\"


def test_no_data_line_is_broken_by_line_ends_of_unicode() -> None:
    events = [Event("response.output_text.delta", msgspec.json.encode({"delta": text})) for text in ("plain", TEXT, "")]
    framed = encode(events)
    lines = framed.decode().splitlines()
    assert len(lines) == 3 * len(events)
    said = [json.loads(line.removeprefix("data: "))["delta"] for line in lines if line.startswith("data: ")]
    assert said == ["plain", TEXT, ""]
    assert encode(events[:1]) == b'event: response.output_text.delta\ndata: {"delta":"plain"}\n\n'


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_a_relayed_stream_has_none_either_however_it_is_cut(size: int) -> None:
    stream = b"".join(b"data: %b\n\n" % msgspec.json.encode({"delta": text}) for text in (TEXT, "plain", TEXT))
    lines = UnbrokenLines()
    passed = [lines.feed(stream[at : at + size]) for at in range(0, len(stream), size)] + [lines.feed(b"")]
    got = b"".join(passed)
    assert len(got.decode().splitlines()) == 6
    assert [json.loads(line[6:])["delta"] for line in got.decode().split("\n\n")[:-1]] == [TEXT, "plain", TEXT]


@pytest.mark.parametrize("rest", [b"\xe2\x80", b"\xe2", b"\xc2", b"x\xe2\x80"])
def test_half_a_character_at_the_end_is_not_lost(rest: bytes) -> None:
    lines = UnbrokenLines()
    assert lines.feed(b"data: " + rest) + lines.feed(b"") == b"data: " + rest
    assert lines.feed(rest) + lines.feed(b"plain") + lines.feed(b"") == rest + b"plain"
