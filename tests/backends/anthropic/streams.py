"""Streams of the Messages API, for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from antiphon.backends.anthropic.decoder import MessagesDecoder
from antiphon.backends.anthropic.origin import origin_of
from antiphon.backends.chat.tool_calls import Calls
from antiphon.core.deltas import Delta
from antiphon.core.tools.tool_map import ToolMap
from antiphon.types.items import Item
from antiphon.types.tools import Tool

Json = dict[str, Any]
USAGE = {"input_tokens": 12, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 1}


def start(usage: Json | None = None, **fields: Any) -> Json:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    return {"type": "message_start", "message": {**message, "usage": USAGE if usage is None else usage, **fields}}


def block(index: int, opening: Json, *deltas: Json) -> list[Json]:
    """Return the events of one block."""
    return [
        {"type": "content_block_start", "index": index, "content_block": opening},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, *pieces: str) -> list[Json]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def thoughts(index: int, *pieces: str, signature: str = "c2lnbmVk") -> list[Json]:
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    signed = [{"type": "signature_delta", "signature": signature}] if signature else []
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas, *signed)


def call(index: int, id: str, name: str, *pieces: str) -> list[Json]:
    opening = {"type": "tool_use", "id": id, "name": name, "input": {}}
    return block(index, opening, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def end(reason: str | None = "end_turn", **usage: int) -> list[Json]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5, **usage}},
        {"type": "message_stop"},
    ]


def message(*blocks: Sequence[Json], reason: str = "end_turn", **usage: int) -> list[Json]:
    """Return the events of a whole answer."""
    return [start(), *(event for events in blocks for event in events), *end(reason, **usage)]


def payloads(events: Sequence[Json]) -> list[bytes]:
    return [json.dumps(event).encode() for event in events]


def sse(events: Sequence[Json]) -> bytes:
    """Return events as the API frames them."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), json.dumps(e).encode()) for e in events)


def whole(events: Sequence[Json]) -> Json:
    """Return the answer that a stream says, as it would have come at once."""
    content: dict[int, Json] = {}
    pieces: dict[int, str] = {}
    answer: Json = {}
    for event in events:
        match event["type"]:
            case "message_start":
                answer = json.loads(json.dumps(event["message"]))
            case "content_block_start":
                content[event["index"]] = dict(event["content_block"])
            case "content_block_delta":
                delta, found = event["delta"], content[event["index"]]
                for name in ("text", "thinking", "signature"):
                    found.update({name: found.get(name, "") + delta[name]} if name in delta else {})
                pieces[event["index"]] = pieces.get(event["index"], "") + delta.get("partial_json", "")
            case "message_delta":
                answer["stop_reason"] = event["delta"]["stop_reason"]
                answer["usage"] = {**answer["usage"], **event["usage"]}
    for index, said in pieces.items():
        if said:
            content[index]["input"] = json.loads(said)
    return {**answer, "content": list(content.values())}


def decoder(
    tools: Sequence[Tool] = (), items: Sequence[Item] = (), *, parallel: bool = True, model: str = "m", **fields: Any
) -> MessagesDecoder:
    calls = Calls(ToolMap(tools), "toolu_own", parallel=parallel, history=items)
    return MessagesDecoder(calls, origin_of("a", model), **fields)


def decoded(events: Sequence[Json], **fields: Any) -> list[Delta]:
    """Read an answer to its end."""
    out: list[Delta] = []
    reader = decoder(**fields)
    reader.feed(payloads(events), out)
    reader.finish(out)
    return out
