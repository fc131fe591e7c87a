"""Chunks that differ in one string are read without parsing them anew: the Deltas are those of a reader that parses each."""

from __future__ import annotations

from collections.abc import Callable
from json import dumps
from typing import Any

import pytest

from antiphon.backends.chat import decoder as decoder_module
from antiphon.backends.chat.answers.chunk_template import ChunkTemplate
from antiphon.backends.chat.codec import decoder, request
from antiphon.core.deltas import Delta
from antiphon.errors import BackendError
from antiphon.types.chat import ChatChunk
from tests.backends.chat.chats import WEATHER, ask, options

HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
TEXTS = [
    "Hel",
    "lo",
    ' "quoted"\n',
    "\\",
    "\\\\",
    '"',
    "ü",
    "\u2028",
    "𝄞",
    "\x00",
    "<",
    "</think>",
    "",
    "x" * 5000,
    "end",
]


def delta(fields: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {"index": 0, "delta": fields, **choice}


def call(arguments: str) -> dict[str, Any]:
    return delta({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]})


CALL = delta(
    {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": ""}}]}
)
SHAPES: dict[str, Callable[[str], dict[str, Any]]] = {
    "llama.cpp": lambda text: {
        "choices": [delta({"content": text}, finish_reason=None)],
        "created": len(text) % 3,
        **HEAD,
    },
    "vLLM": lambda text: {
        **HEAD,
        "choices": [delta({"content": text}, logprobs=None, finish_reason=None, token_ids=None)],
    },
    "transformers": lambda text: {"id": "c", "choices": [delta({"content": text})], "created": 1},
    "LiteLLM": lambda text: {**HEAD, "choices": [delta({"content": text})]},
    "role in each": lambda text: {**HEAD, "choices": [delta({"role": "assistant", "content": text, "refusal": None})]},
    "thoughts": lambda text: {**HEAD, "choices": [delta({"reasoning_content": text, "content": None})]},
    "thoughts twice": lambda text: {
        **HEAD,
        "choices": [delta({"reasoning": text, "reasoning_details": [{"text": text}]})],
    },
    "thoughts beside text": lambda text: {**HEAD, "choices": [delta({"content": text, "reasoning": "same"})]},
    "calls": lambda text: {**HEAD, "choices": [call(text)]},
    "two choices": lambda text: {
        **HEAD,
        "choices": [delta({"content": text}), {**delta({"content": text}), "index": 1}],
    },
    "usage in each": lambda text: {**HEAD, "choices": [delta({"content": text})], "usage": {"prompt_tokens": 1}},
    "the key before": lambda text: {"x": '"content":"', "content": "a", "choices": [delta({"content": text})]},
    "the key twice": lambda text: {**HEAD, "choices": [delta({"content": text}, message_content={"content": "no"})]},
    "citations": lambda text: {**HEAD, "choices": [delta({"content": text})], "citations": ["https://example.org"]},
}


class Parsing(ChunkTemplate):
    """Learns nothing."""

    def learn(self, payload: bytes, chunk: ChatChunk) -> None:
        """Do nothing."""


def read(payloads: list[bytes]) -> tuple[list[Delta], str]:
    turn, how = ask(tools=[WEATHER]), options()
    reader = decoder(turn, request(turn, how)[1], how, "call_x")
    out: list[Delta] = []
    try:
        for payload in payloads:
            reader.feed([payload], out)
        reader.finish(out)
    except BackendError as error:
        return out, error.message
    return out, ""


@pytest.mark.parametrize("spaces", [(",", ":"), (", ", ": ")], ids=["dense", "spaced"])
@pytest.mark.parametrize("ascii", [True, False], ids=["escaped", "plain"])
@pytest.mark.parametrize("shape", SHAPES)
def test_reading_by_template_gives_what_parsing_gives(
    shape: str, ascii: bool, spaces: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def line(chunk: dict[str, Any]) -> bytes:
        return dumps(chunk, ensure_ascii=ascii, separators=spaces).encode()

    opening = [line({**HEAD, "choices": [CALL]})] if shape == "calls" else []
    chunks = [line(SHAPES[shape](text)) for text in TEXTS * 3]
    odd = [b"%b}" % chunks[0], chunks[0][:-1], chunks[0].replace(b"Hel", b'","x":"'), chunks[1].replace(b"lo", b"\xff")]
    end = line({**HEAD, "choices": [delta({}, finish_reason="stop")]})
    for broken in (None, *odd):
        payloads = [*opening, *chunks, *([broken] if broken else ()), end]
        found = read(payloads)
        with monkeypatch.context() as patched:
            patched.setattr(decoder_module, "ChunkTemplate", Parsing)
            assert found == read(payloads)


@pytest.mark.parametrize("shape", ["vLLM", "transformers", "LiteLLM", "role in each", "thoughts", "calls"])
def test_a_steady_stream_is_read_by_template(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hits: list[str] = []

    class Counting(ChunkTemplate):
        def read(self, payload: bytes) -> str:
            text = super().read(payload)
            hits.append(text) if text else None
            return text

    monkeypatch.setattr(decoder_module, "ChunkTemplate", Counting)
    opening = [dumps({**HEAD, "choices": [CALL]}).encode()] if shape == "calls" else []
    read([*opening, *[dumps(SHAPES[shape]("{}"[n % 2])).encode() for n in range(100)]])
    assert len(hits) >= 98


def test_a_stream_whose_chunks_all_differ_is_not_learned_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[bytes] = []

    class Counting(ChunkTemplate):
        def _take(self, payload: bytes, chunk: ChatChunk, name: str) -> None:
            tries.append(payload)
            super()._take(payload, chunk, name)

    monkeypatch.setattr(decoder_module, "ChunkTemplate", Counting)
    read([dumps({**HEAD, "id": str(n), "choices": [delta({"content": "x"})]}).encode() for n in range(100)])
    assert 0 < len(tries) < 10
