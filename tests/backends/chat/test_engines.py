# ruff: noqa: E501 (a table reads best with one case per line)
"""The shapes in which engines stream: their chunks, in few tokens. All of them come to the same."""

from __future__ import annotations

from json import dumps
from typing import Any

import pytest

from antiphon.core.deltas import UsageReport
from tests.backends.chat.chats import TIME, WEATHER, ask, heard, summary

TURN = ask(tools=[WEATHER, TIME])
PARIS = '{"city":"Paris"}'
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


def chunks(*choices: Any, head: dict[str, Any], tail: dict[str, Any] | None = None, last: Any = None) -> list[bytes]:
    """Return chunks whose choices stand behind `head` and before `tail`; `last` is one as it is."""
    made = [{**head, "choices": [choice] if choice is not None else [], **(tail or {})} for choice in choices]
    return [dumps(one).encode() for one in (*made, *([last] if last else ()))]


def named(id: str, name: str, arguments: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


LLAMA = {"created": 1, "id": "c", "model": "m.gguf", "system_fingerprint": "b1", "object": "chat.completion.chunk"}
VLLM = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
CPP_PYTHON = {**VLLM, "id": "chatcmpl-2"}

TEXT = {
    "llama.cpp": chunks(
        {"finish_reason": None, "index": 0, "delta": {"role": "assistant", "content": None}},
        {"finish_reason": None, "index": 0, "delta": {"content": "Hel"}},
        {"finish_reason": None, "index": 0, "delta": {"content": "lo"}},
        {"finish_reason": "stop", "index": 0, "delta": {}},
        head={}, tail=LLAMA, last={"choices": [], **LLAMA, "usage": USAGE, "timings": {"prompt_n": 9}},
    ),
    "vLLM": chunks(
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None, "prompt_token_ids": None},
        {"index": 0, "delta": {"content": "Hel"}, "logprobs": None, "finish_reason": None, "token_ids": None},
        {"index": 0, "delta": {"content": "lo"}, "logprobs": None, "finish_reason": None, "token_ids": None},
        {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop", "stop_reason": None, "token_ids": None},
        head=VLLM, last={**VLLM, "choices": [], "usage": {**USAGE, "prompt_tokens_details": None}},
    ),
    "vLLM, the last delta with the end": chunks(
        {"index": 0, "delta": {"role": "assistant", "content": "Hel"}, "finish_reason": None},
        {"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop", "stop_reason": None},
        head=VLLM, last={**VLLM, "choices": [], "usage": USAGE},
    ),
    "transformers": chunks(
        {"delta": {"role": "assistant"}, "index": 0},
        {"delta": {"content": "Hel"}, "index": 0},
        {"delta": {"content": "lo"}, "index": 0},
        head={"id": "c"}, last={"id": "c", "choices": [{"delta": {}, "finish_reason": "stop", "index": 0}], "usage": USAGE},
    ),
    "LiteLLM": chunks(
        {"index": 0, "delta": {"role": "assistant", "content": "Hel"}},
        {"index": 0, "delta": {"content": "lo"}},
        {"finish_reason": "stop", "index": 0, "delta": {}},
        head=VLLM, last={**VLLM, "choices": [{"index": 0, "delta": {}}], "usage": {**USAGE, "completion_tokens_details": None}},
    ),
    "llama-cpp-python": chunks(
        {"index": 0, "delta": {"role": "assistant"}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {"content": "Hel"}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {"content": "lo"}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"},
        head=CPP_PYTHON,
    ),
    "Ollama, empty reasons": chunks(
        {"index": 0, "delta": {"role": "assistant", "content": "Hel"}, "finish_reason": ""},
        {"index": 0, "delta": {"role": "assistant", "content": "lo"}, "finish_reason": ""},
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"},
        head=VLLM,
    ),
    "Azure": [
        b'{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}',
        *chunks({"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}, {"index": 0, "delta": {}, "finish_reason": "stop"}, head=VLLM),
    ],
    "MiniMax, the whole message at the end": chunks(
        {"index": 0, "delta": {"content": "Hel", "role": "assistant"}},
        {"index": 0, "delta": {"content": "lo", "role": "assistant"}},
        {"finish_reason": "stop", "index": 0, "message": {"content": "Hello", "role": "assistant"}},
        head=VLLM, tail={"base_resp": {"status_code": 0, "status_msg": ""}},
    ),
    "Moonshot, usage in the choice": chunks(
        {"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop", "usage": {**USAGE, "cached_tokens": 4}},
        head=VLLM,
    ),
}  # fmt: skip

CALLS = {
    "llama.cpp": chunks(
        {"finish_reason": None, "index": 0, "delta": {"tool_calls": [named("a", "get_weather", "{", index=0)]}},
        {"finish_reason": None, "index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": PARIS[1:]}}]}},
        {"finish_reason": "tool_calls", "index": 0, "delta": {}},
        head={}, tail=LLAMA,
    ),
    "vLLM": chunks(
        {"index": 0, "delta": {"content": None, "tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "get_weather"}}]}},
        {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": PARIS}}]}},
        {"index": 0, "delta": {}, "finish_reason": "tool_calls"},
        head=VLLM,
    ),
    "vLLM, two entries of one call": chunks(
        {"index": 0, "delta": {"tool_calls": [
            {"index": 0, "id": "a", "type": "function", "function": {"name": "get_weather", "arguments": None}},
            {"index": 0, "function": {"arguments": PARIS}},
        ]}},
        {"index": 0, "delta": {}, "finish_reason": "tool_calls"},
        head=VLLM,
    ),
    "SGLang": chunks(
        {"index": 0, "delta": {"tool_calls": [named("a", "get_weather", "", index=0)]}, "finish_reason": None},
        {"index": 0, "delta": {"tool_calls": [{"id": None, "index": 0, "type": "function", "function": {"name": None, "arguments": PARIS}}]}},
        {"index": 0, "delta": {"content": None, "tool_calls": None}, "finish_reason": "tool_calls"},
        head=VLLM,
    ),
    "transformers, Mistral, Gemini: whole": chunks(
        {"delta": {"role": "assistant", "content": "", "tool_calls": [named("a", "get_weather", PARIS, index=0)]}, "index": 0},
        {"delta": {}, "finish_reason": "tool_calls", "index": 0},
        head=VLLM,
    ),
    "without an index": chunks(
        {"delta": {"tool_calls": [named("a", "get_weather", PARIS)]}, "index": 0, "finish_reason": "tool_calls"}, head=VLLM
    ),
    "LiteLLM, the type in each fragment": chunks(
        {"index": 0, "delta": {"tool_calls": [named("a", "get_weather", "", index=0)]}},
        {"index": 0, "delta": {"tool_calls": [{"index": 0, "type": "function", "function": {"arguments": PARIS}}]}},
        {"finish_reason": "tool_calls", "index": 0, "delta": {}},
        head=VLLM,
    ),
}  # fmt: skip


@pytest.mark.parametrize("engine", TEXT)
def test_text(engine: str) -> None:
    found = heard(TURN, *TEXT[engine], need_reason=True)
    assert summary(found) == [("TextDelta", "Hello"), ("finish", "stop")]
    if any(b'"completion_tokens"' in payload for payload in TEXT[engine]):
        assert [delta.usage.output_tokens for delta in found if isinstance(delta, UsageReport)] == [2]


@pytest.mark.parametrize("engine", CALLS)
def test_calls(engine: str) -> None:
    found = heard(TURN, *CALLS[engine], need_reason=True)
    assert summary(found) == [("call", "function", "get_weather", "a", PARIS), ("finish", "tool_calls")]
