"""The fast path of text: what a client gets is, byte for byte, what it gets the long way, however the backend's bytes are cut.

The backend's bytes are fed to its connection as reads, without a socket; the frames that come out are compared.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from antiphon.config import GuardConfig
from tests.golden.player import CASES, ROOT, Case
from tests.server.fast_path.reads import (
    CUTS,
    WORDS,
    Counting,
    Cut,
    Json,
    chunk_of,
    framed,
    one_by_one,
    played,
    same,
    vllm,
)
from tests.server.whole import TERMINAL, turn, upstream, whole_server
from tests.server.whole import Client as WholeServer

# A backend's chunks, and how they are cut into reads


def shattered(line: bytes) -> Iterator[bytes]:
    """Split a chunk that says nothing but a text or a piece of arguments into characters."""
    chunk = json.loads(line)
    where = _place(chunk) if isinstance(chunk, dict) else None
    if where is None:
        yield line
        return
    holder, name = where
    text = holder[name]
    for character in text:
        holder[name] = character
        yield json.dumps(chunk, ensure_ascii=len(text) % 2 == 0, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _place(chunk: Json) -> tuple[Json, str] | None:
    choices = chunk.get("choices") or [{}]
    delta = choices[0].get("delta") or {}
    if len(choices) > 1 or choices[0].get("logprobs") or choices[0].get("finish_reason"):
        return None
    for name in ("content", "reasoning_content", "reasoning"):
        if isinstance(delta.get(name), str) and delta[name]:
            return delta, name
    calls = delta.get("tool_calls") or [{}]
    function = calls[0].get("function") or {}
    if len(calls) == 1 and not calls[0].get("id") and isinstance(function.get("arguments"), str):
        return (function, "arguments") if function["arguments"] else None
    return None


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", CASES)
def test_golden_cases_shattered(name: str, cut: Cut) -> None:
    case = Case(name)
    lines = (ROOT / name / "turn-1.chunks.jsonl").read_bytes().splitlines()
    pieces = [piece for line in lines for piece in shattered(line)]
    for reads in (list(cut(pieces)), list(cut(lines))):
        same(case, reads)
        same(case, reads, slow=3)


@pytest.mark.parametrize("most", range(2, 40, 5))
def test_a_client_that_leaves(most: int) -> None:
    lines = [vllm({"content": word}, number) for number, word in enumerate(WORDS)]
    reads = list(one_by_one(lines))
    short, _ = asyncio.run(played(Case("text"), reads, fast=True, most=most))
    long, _ = asyncio.run(played(Case("text"), reads, fast=False, most=most))
    assert short == long


@pytest.mark.parametrize(
    "odd",
    [
        b'data: {"error":{"message":"broke","code":500}}\n\n',
        b": a comment\n\n",
        b"event: x\ndata: {}\n\n",
        b"no event at all\n\n",
        b'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n',
        vllm({"content": "a"}, 1)[:-1].join((b"data: ", b"\n\n")),
        b"data: %b\n\n" % vllm({"content": "a", "reasoning": "hm"}, 1),
        b"data: %b\n\n" % vllm({"content": "a"}, 1).replace(b'"a"', b'"\xff"'),
        b"data: %b\n\n" % vllm({"content": "a"}, 1).replace(b'"a"', b'"\\ud83d"'),
        b"data: %b\n\n" % vllm({"content": "a"}, 1).replace(b'"a"', b'"a","content":"b"'),
        b"data: %b\n\n" % vllm({"content": "a"}, 1).replace(b'"a"', b'"\n"'),
        b"",
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_what_differs_goes_the_long_way(odd: bytes, joined: bool) -> None:
    def more(word: str) -> list[bytes]:
        return [chunk_of(b"data: %b\n\n" % vllm({"content": word}, 1)) for _ in range(12)]

    wrong_size = [b"fff\r\n" + more("x")[0][4:]]
    for middle in ([chunk_of(odd)] if odd else wrong_size, [odd]):
        reads = [*more("one "), *middle, *more("two "), chunk_of(b"data: [DONE]\n\n") + b"0\r\n\r\n"]
        same(Case("text"), [b"".join(reads[at : at + 5]) for at in range(0, len(reads), 5)] if joined else reads)


@pytest.mark.parametrize("word", ["abcdefgh", "abcdefgh" * 100, "ü" * 20])
def test_an_answer_that_is_too_long_fails_in_the_same_place(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("backends.chat.answer_streams", "backends.chat.decoder"):
        monkeypatch.setattr(f"antiphon.{module}.MOST_SAID", 50_000)
    lines = [vllm({"content": word}, number) for number in range(60_000 // len(word))]
    assert same(Case("text"), list(one_by_one(lines)))


# What switches it off, in a whole server


class Paced(BaseHTTPRequestHandler):
    """Sends an answer word by word."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = b'{"object":"list","data":[{"id":"m","object":"model"}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        lines = [vllm({"content": str((number + 1) % 10)}, number) for number in range(50)]
        for part in framed([*lines, vllm({}, 99, "stop")]):
            self.wfile.write(part)
            time.sleep(0.003)


@pytest.fixture(scope="module")
def paced() -> Iterator[str]:
    with upstream(Paced) as url:
        yield url


SCHEMA = {"type": "json_schema", "name": "n", "schema": {"type": "integer"}, "strict": True}
TEXT = "1234567890" * 5


def text_of(events: Sequence[Json]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


@pytest.mark.slow
def test_a_plain_stream_takes_it(paced: str) -> None:
    with whole_server(paced) as server:
        Counting.total = 0
        events = server.stream(model="m", input="Hi", store=False)
        assert text_of(events) == events[-1]["response"]["output"][0]["content"][0]["text"] == TEXT
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert Counting.total


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"include": ["message.output_text.logprobs"]},
        {"text": {"format": SCHEMA}},
        {"background": True, "store": True},
    ],
    ids=str,
)
def test_who_has_to_look_switches_it_off(paced: str, fields: Json) -> None:
    with whole_server(paced, structured_output="repair") as server:
        Counting.total = 0
        events = server.stream(**{"model": "m", "input": "Hi", "store": False, **fields})
        assert Counting.total == 0
        assert events[-1]["type"] in TERMINAL


@pytest.mark.slow
def test_a_guard_that_looks_at_answers_switches_it_off(paced: str) -> None:
    with whole_server(paced, guards={"codes": GuardConfig(patterns=["zebra"])}) as server:
        Counting.total = 0
        assert text_of(server.stream(model="m", input="Hi", store=False)) == TEXT
        assert Counting.total == 0


@pytest.mark.slow
def test_traces_and_websockets_switch_it_off(paced: str) -> None:
    with whole_server(paced) as server:
        Counting.total = 0
        traced = raw(server, "/v1/responses", model="m", input="Hi", store=False, **{"x-antiphon-trace": "deltas"})
        assert b": backend " in traced
        with server.websocket() as connection:
            assert text_of(turn(connection, model="m", input="Hi", store=False)) == TEXT
        assert Counting.total == 0


@pytest.mark.slow
def test_messages_take_it_and_have_no_numbers(paced: str) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    with whole_server(paced) as server:
        Counting.total = 0
        told = raw(server, "/v1/messages", model="m", max_tokens=100, messages=messages, stream=True)
    assert Counting.total > 0 and b"message_stop" in told and b"sequence_number" not in told


def raw(server: WholeServer, path: str, **fields: Any) -> bytes:
    """Return the bytes of a stream; a field with a dash is a header."""
    body = json.dumps({name: value for name, value in fields.items() if "-" not in name} | {"stream": True}).encode()
    headers = {name: value for name, value in fields.items() if "-" in name}
    request = urllib.request.Request(server.url + path, data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        return bytes(reply.read())
