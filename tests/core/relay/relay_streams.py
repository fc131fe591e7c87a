"""Streams of a Responses backend, and how they are played through the relay."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from antiphon.backends.responses.decoder import ResponsesEventDecoder
from antiphon.core.json_encoding import to_json
from antiphon.core.request.tool_decoding import decode_tools
from antiphon.core.stream.fold import fold
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.text.sse import SSEParser, encode
from antiphon.core.tools.tool_map import ToolMap
from antiphon.errors import BackendError
from antiphon.types.items import Item
from antiphon.types.response import Response
from tests.golden.player import parsed
from tests.golden.rules import check_stream
from tests.oracle.divergences import DIVERGENCES
from tests.oracle.documents import OPENAI

Json = dict[str, Any]

USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
CITATION = {"type": "url_citation", "url": "https://example.org", "title": "E", "start_index": 0, "end_index": 2}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello", "annotations": [CITATION], "logprobs": []}],
}
THOUGHT = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "In short"}],
    "content": [{"type": "reasoning_text", "text": "Hm."}],
    "encrypted_content": "sealed",
    "status": None,
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "c1",
    "name": "f",
    "arguments": '{"a":1}',
    "status": "completed",
}
CUSTOM = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "ls", "status": "completed"}
SEARCH = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "x"},
}
IMAGE = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": None}


def life(item: Json, index: int) -> Iterator[Json]:
    """Yield all events of an item, as OpenAI sends them."""
    where = {"item_id": item["id"], "output_index": index}
    begun = {**item, "status": "in_progress"}
    if "content" in item:
        begun["content"] = []
    if "summary" in item:
        begun["summary"] = []
    for name in ("arguments", "input"):
        if name in item:
            begun[name] = ""
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    for name, parts in (("summary", item.get("summary", [])), ("content", item.get("content", []))):
        for place, part in enumerate(parts):
            yield from part_life(name, where, place, part)
    for name, type in (("arguments", "function_call_arguments"), ("input", "custom_tool_call_input")):
        if name in item:
            yield {"type": f"response.{type}.delta", **where, "delta": item[name][:3]}
            yield {"type": f"response.{type}.delta", **where, "delta": item[name][3:]}
            yield {"type": f"response.{type}.done", **where, name: item[name]}
    if item["type"] in ("web_search_call", "image_generation_call"):
        yield {"type": f"response.{item['type']}.in_progress", **where}
        yield {"type": f"response.{item['type']}.completed", **where}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def part_life(name: str, where: Json, place: int, part: Json) -> Iterator[Json]:
    step = "reasoning_summary_part" if name == "summary" else "content_part"
    text = {"summary_text": "reasoning_summary_text"}.get(part["type"], part["type"])
    where = {**where, ("summary_index" if name == "summary" else "content_index"): place}
    yield {"type": f"response.{step}.added", **where, "part": {**part, "text": ""}}
    yield {"type": f"response.{text}.delta", **where, "delta": part["text"][:2], "logprobs": []}
    yield {"type": f"response.{text}.delta", **where, "delta": part["text"][2:]}
    yield {"type": f"response.{text}.done", **where, "text": part["text"]}
    yield {"type": f"response.{step}.done", **where, "part": part}


def whole_stream(*items: Json) -> list[Json]:
    events = [{"type": "response.created", "response": {"id": "resp_theirs"}}]
    for index, item in enumerate(items):
        events += life(item, index)
    end = {"id": "resp_theirs", "status": "completed", "output": list(items), "usage": USAGE, "error": None}
    return [*events, {"type": "response.completed", "response": end}]


def play(
    events: Sequence[object],
    max_output_tokens: int | None = None,
    custom: Sequence[str] = (),
    history: Sequence[Item] = (),
    tools: Sequence[Json] = (),
    **options: Any,
) -> list[Json]:
    """Play a backend's events through decoder and stream, as the engine does; return what a client sees."""
    data = b"".join(b"data: %b\n\n" % (one if isinstance(one, bytes) else json.dumps(one).encode()) for one in events)
    offered = partial(ToolMap, decode_tools([msgspec.Raw(json.dumps(tool).encode()) for tool in tools]))
    decoder, parser = ResponsesEventDecoder(max_output_tokens, custom, history, offered), SSEParser()
    stream = ResponseStream(Response(id="resp_0", created_at=1, model="m"), "0" * 48, StreamTerms(**options))
    stream.start()
    try:
        for delta in decoder.feed([*parser.feed(data), *parser.close()]):
            stream.feed(delta)
        if decoder.error is not None:
            raise decoder.error
        decoder.finish()
        stream.end_turn()
        stream.finish(2)
    except BackendError as error:
        stream.fail(error, 2)
    assert stream.terminal is not None
    seen = [*stream.take(), stream.terminal]
    for length in range(2, len(seen) + 1, 3):
        fold(seen[:length])  # as a server does that goes on with another one's response
    assert json.loads(to_json(fold(seen))) == json.loads(seen[-1].body)["response"]
    frames = encode(seen)
    assert frames.count(b"\n") == 3 * len(seen)
    return parsed(seen)


def check(events: Sequence[Json]) -> Json:
    check_stream(events)
    assert not [fault for event in events for fault in OPENAI.event_faults(event) if not _known(fault)]
    response: Json = events[-1]["response"]
    return response


def _known(fault: str) -> bool:
    known = any(divergence.covers("OpenAI", fault) for divergence in DIVERGENCES)
    return known or fault.startswith((".response.error: ", ".type: no event 'response.made_up"))


ITEMS = (THOUGHT, MESSAGE, CALL, CUSTOM, SEARCH, IMAGE)


def _without(*names: str) -> Callable[[Json], Json]:
    return lambda event: {name: value for name, value in event.items() if name not in names}
