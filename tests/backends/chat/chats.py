"""Chat completions for tests: a Turn's request as a strict backend reads it, and chunks to answer it with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from json import dumps, loads
from typing import Any

import msgspec

from antiphon.backends.chat.codec import CodecOptions, decoder, request
from antiphon.backends.chat.profiles import PROFILES, Policies
from antiphon.core.deltas import CallDelta, CallStart, Delta, Finish, ReasoningDelta, RefusalDelta, TextDelta
from antiphon.core.request.tool_decoding import decode_tools
from antiphon.core.turn import Turn
from tests.backends.turns import turn

Json = dict[str, Any]

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "get_weather", "description": "Weather", "parameters": PARAMETERS}
TIME = {"type": "function", "name": "get_time", "parameters": PARAMETERS}
PATCH = {"type": "custom", "name": "apply_patch"}
USER = {"role": "user", "content": "Hi"}
LONG_INPUT = [{"role": "user", "content": f"{n} {'word ' * 50}"} for n in range(20)]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def raws(values: Sequence[Any]) -> list[msgspec.Raw]:
    return [msgspec.Raw(dumps(value).encode()) for value in values]


def ask(*items: Json, tools: Sequence[Json] = (), **fields: Any) -> Turn:
    """Return a Turn of items and tools as a request spells them."""
    return turn(items=items or (USER,), tools=decode_tools(raws(tools)), **fields)


def options(profile: str = "generic", **fields: Any) -> CodecOptions:
    taken = {name: fields.pop(name) for name in Policies.__struct_fields__ if name in fields}
    return CodecOptions(profile=PROFILES[profile], policies=Policies(**taken), **fields)


def sent(turn: Turn, profile: str = "generic", **fields: Any) -> Json:
    """Return what a backend gets, after it has passed the rules of strict servers."""
    body: Json = loads(request(turn, options(profile, **fields))[0])
    check(body)
    return body


def check(body: Json) -> None:
    """Hold a request to what vLLM, OpenAI and others refuse with 400."""
    assert body["model"] and body["messages"]
    waiting: list[str] = []
    for message in body["messages"]:
        role, content = message["role"], message["content"]
        assert content is not None
        if role == "tool":
            waiting.remove(message["tool_call_id"])
            assert isinstance(content, str) or {part["type"] for part in content} <= {"text", "image_url"}
            continue
        assert not waiting, "an assistant message's calls are answered before anything else"
        waiting = [call["id"] for call in message.get("tool_calls", ())]
        for call in message.get("tool_calls", ()):
            assert isinstance(loads(call["function"]["arguments"]), dict)
            assert _NAME.fullmatch(call["function"]["name"])
        if isinstance(content, list):
            assert role == "user" and content
            assert {part["type"] for part in content} <= {"text", "image_url", "input_audio", "file"}
    assert not waiting
    names = [tool["function"]["name"] for tool in body.get("tools", ())]
    assert all(_NAME.fullmatch(name) for name in names) and len(set(names)) == len(names)
    assert body.get("tool_choice") is None or names


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    return dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()


def call_chunk(
    index: int | None = None, id: str | None = None, name: str | None = None, arguments: Any = None
) -> bytes:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    call = {key: value for key, value in (("index", index), ("id", id)) if value is not None}
    return chunk(tool_calls=[{**call, "function": function}])


def heard(
    turn: Turn,
    *payloads: bytes,
    profile: str = "generic",
    whole: bool = False,
    need_reason: bool = False,
    **fields: Any,
) -> list[Delta]:
    """Return the Deltas of an answer: chunks, each by itself, or one whole answer."""
    opts = options(profile, need_reason=need_reason, **fields)
    _, call = request(turn, opts)
    reader = decoder(turn, call, opts, "call_")
    out: list[Delta] = []
    if whole:
        (body,) = payloads
        reader.feed_whole(body, out)
    else:
        for payload in payloads:
            reader.feed([payload], out)
        reader.feed([b"[DONE]"], out)
    reader.finish(out)
    return out


def summary(deltas: Sequence[Delta]) -> list[tuple[str, ...]]:
    """Return the Deltas with neighbours of a kind joined: (kind, text) and ("call", kind, name, id, arguments)."""
    found: list[list[str]] = []
    calls: dict[str, list[str]] = {}
    for delta in deltas:
        match delta:
            case TextDelta() | ReasoningDelta() | RefusalDelta():
                kind = type(delta).__name__
                if found and found[-1][0] == kind:
                    found[-1][1] += delta.text
                else:
                    found.append([kind, delta.text])
            case CallStart():
                calls[delta.key] = ["call", delta.kind, delta.name, delta.call_id, ""]
                found.append(calls[delta.key])
            case CallDelta():
                calls[delta.key][4] += delta.text
            case Finish():
                found.append(["finish", delta.reason])
    return [tuple(entry) for entry in found]
