"""The fast path with texts, thoughts and calls as real servers send them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.golden.player import Case
from tests.server.fast_path.reads import (
    CUTS,
    NAMES,
    WORDS,
    Cut,
    Json,
    all_at_once,
    dense,
    one_by_one,
    same,
    some_at_once,
    vllm,
)


def spaced(chunk: Json) -> bytes:
    return json.dumps(chunk).encode()


def llama_cpp(delta: Json, number: int, why: str | None = None) -> bytes:
    """`id` and `created` stand behind the content, and `created` changes each second."""
    choice = {"finish_reason": why, "index": 0, "delta": delta}
    return dense({"choices": [choice], "created": 1795890193 + number // 12, **NAMES, "system_fingerprint": "b0"})


def transformers(delta: Json, number: int, why: str | None = None) -> bytes:
    choice = {"delta": delta, "index": 0} | ({"finish_reason": why} if why else {})
    usage = {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}} if why else {}
    return dense({"id": "x", "choices": [choice], "created": 1795890193 + (number > 20), "model": "m", **usage})


def llama_cpp_python(delta: Json, number: int, why: str | None = None) -> bytes:
    return spaced(
        {**NAMES, "created": 1, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": why}]}
    )


def litellm(delta: Json, number: int, why: str | None = None) -> bytes:
    choice = ({"finish_reason": why} if why else {}) | {"index": 0, "delta": delta}
    return dense(
        {"id": "chatcmpl-x", "created": 1, "model": "m", "object": "chat.completion.chunk", "choices": [choice]}
    )


def escaped(delta: Json, number: int, why: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": why}
    return json.dumps({**NAMES, "created": 1, "choices": [choice]}, separators=(",", ":")).encode()


SHAPES = (llama_cpp, vllm, transformers, llama_cpp_python, litellm, escaped)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("last_with_reason", [False, True])
def test_texts_of_real_servers(shape: Callable[..., bytes], cut: Cut, last_with_reason: bool) -> None:
    lines = [shape({"role": "assistant", "content": ""}, 0)]
    lines += [shape({"content": word}, number) for number, word in enumerate(WORDS)]
    lines.append(shape({"content": " bye"} if last_with_reason else {}, 99, "stop"))
    taken = same(Case("text"), list(cut(lines)))
    if cut in (one_by_one, some_at_once) or (cut is all_at_once and shape is not llama_cpp):
        assert taken > sum(map(len, lines)) * 0.5


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("name", ["text", "reasoning_field_with_summary"])
def test_thoughts_of_real_servers(name: str, field: str, shape: Callable[..., bytes], cut: Cut) -> None:
    lines = [shape({"role": "assistant", "content": ""}, 0)]
    lines += [shape({field: word}, number) for number, word in enumerate(WORDS)]
    lines += [shape({"content": word}, number) for number, word in enumerate("The answer is: 42")]
    lines += [shape({field: word}, number) for number, word in enumerate("Wait, is it?")]
    lines += [shape({"content": word}, number) for number, word in enumerate("Yes, it is.")]
    lines.append(shape({}, 99, "stop"))
    case = Case(name)
    taken = same(case, list(cut(lines)))
    if cut in (one_by_one, some_at_once) and name == "text":
        assert taken > sum(map(len, lines)) * 0.5


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_calls_of_real_servers(shape: Callable[..., bytes], cut: Cut) -> None:
    case = Case("one_call")
    name = case.tools[0].name  # type: ignore[union-attr]  # a function
    begin = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
    lines = [shape({"content": "Well"}, 0), shape({"tool_calls": [begin]}, 0)]
    text = json.dumps({"city": 'Par"is\n' * 40}, ensure_ascii=False)
    pieces = [
        {"tool_calls": [{"index": 0, "function": {"arguments": text[at : at + 3]}}]} for at in range(0, len(text), 3)
    ]
    lines += [shape(piece, number) for number, piece in enumerate(pieces)]
    lines.append(shape({}, 99, "tool_calls"))
    taken = same(case, list(cut(lines)))
    if cut in (one_by_one, some_at_once) or (cut is all_at_once and shape is not llama_cpp):
        assert taken > sum(map(len, lines)) * 0.5
