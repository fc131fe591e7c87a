"""Outcome of chunks that a hostile chat backend sends."""

from __future__ import annotations

import json
from json import dumps
from typing import Any

from antiphon.core.deltas import CallStart, Delta, TextDelta, UsageReport
from antiphon.core.json_encoding import to_json
from antiphon.errors import BackendError
from antiphon.types.request import CreateResponse
from tests.backends.chat.chats import TIME, WEATHER, ask, heard, summary

Json = dict[str, Any]
TURN = ask(tools=[WEATHER, TIME])
LOGPROBS = ask(tools=[WEATHER, TIME], request=CreateResponse(model="m", input="x", top_logprobs=1))


def full() -> Json:
    """Return a chunk with every field that is read, and some that are not."""
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    token = {"token": "x", "logprob": -1.0, "bytes": [120], "top_logprobs": [{"token": "y", "logprob": -2.0}]}
    said = {
        "role": "assistant",
        "content": [{"type": "text", "text": "Hi"}, {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}],
        "reasoning_content": "hm",
        "reasoning": "hm",
        "refusal": "no",
        "tool_calls": [call, {"index": 1, "id": "b", "custom": {"name": "x", "input": "y"}}],
        "function_call": {"name": "get_time", "arguments": "{}"},
    }
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "delta": said,
                "message": said,
                "finish_reason": "stop",
                "logprobs": {"content": [token]},
                "usage": {"prompt_tokens": 1},
            }
        ],
        "usage": {
            "prompt_tokens": 1,
            "completion_tokens": 2,
            "total_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 1},
            "prompt_cache_hit_tokens": 1,
            "reasoning_tokens": 1,
        },
        "error": None,
        "message": "x",
        "code": 1,
        "base_resp": {"status_code": 1, "status_msg": "x"},
    }


def outcome(*payloads: bytes, **fields: Any) -> list[Delta] | BackendError:
    """Return what comes of an answer; all of it can be written down as JSON."""
    try:
        deltas = heard(LOGPROBS, *payloads, need_reason=True, think="off", **fields)
    except BackendError as error:
        _check_error(error)
        return error
    for delta in deltas:
        to_json(delta)
        if isinstance(delta, UsageReport):
            to_json(delta.usage)
        if isinstance(delta, TextDelta):
            json.loads(b"[%b]" % delta.logprobs)
    return deltas


def _check_error(error: BackendError) -> None:
    assert error.status in (400, 402, 409, 413, 429, 502, 503, 504), error.message
    assert len(error.message) < 3000
    to_json(error.body())


def whole_frame(text: Any, **fields: Any) -> bytes:
    return dumps({"choices": [{"index": 0, "message": {"content": text}, **fields}]}).encode()


# Calls


def entry(id: str | None, name: str, arguments: Any, index: int | None = None) -> Json:
    call: Json = {"type": "function", "function": {"name": name, "arguments": arguments}, "id": id}
    return call if index is None else {**call, "index": index}


def calls_of(found: list[Delta] | BackendError) -> list[tuple[str, str]]:
    assert not isinstance(found, BackendError), found.message
    ids = [delta.call_id for delta in found if isinstance(delta, CallStart)]
    assert len(set(ids)) == len(ids)
    return [
        (name, arguments or "{}")
        for kind, *rest in summary(found)
        if kind == "call"
        for _, name, _, arguments in [rest]
    ]
