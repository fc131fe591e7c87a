"""Plain items that nobody streams are written without a Writer: same answer, same items, same count of events as with one."""

from __future__ import annotations

import copy
import json
import random
from functools import partial
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from antiphon.backends.responses.decoder import ResponsesEventDecoder
from antiphon.core.relay import end, plain
from antiphon.core.relay.writers import write
from antiphon.core.request.tool_decoding import decode_tools
from antiphon.core.stream.emitter import MuteEmitter
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.transitions import State
from antiphon.core.stream.writer_table import OPENAI_WRITERS, WriterTable
from antiphon.core.text.sse import SSEParser
from antiphon.core.tools.tool_map import ToolMap
from antiphon.errors import BackendError
from antiphon.types.items import FunctionCall
from antiphon.types.response import Response
from tests.backends.responses.recordings import NAMES, recording
from tests.core.relay.relay_streams import CALL, CUSTOM, IMAGE, MESSAGE, SEARCH, THOUGHT, USAGE

Json = dict[str, Any]

BY_WRITERS = replace(OPENAI_WRITERS, relayed=lambda *given: write(*given))
"""The same Writers by another name, for which nothing is written without them."""

TEXT = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
PLAIN = {**MESSAGE, "content": [TEXT]}
TOOLS = [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]


def played(response: Json, writers: WriterTable, *turns: Json) -> tuple[object, ...]:
    """Play whole answers, one per Turn; return all that anybody can see of what becomes of them."""
    tools = decode_tools([msgspec.Raw(json.dumps(tool).encode()) for tool in TOOLS])
    history = [FunctionCall(call_id="taken", name="f", arguments="{}")]
    stream = ResponseStream(
        Response(id="resp_0", created_at=1, model="m"), "0" * 48, emitter=MuteEmitter(), writers=writers
    )
    stream.start()
    spoke = []
    try:
        for one in (response, *turns):
            decoder = ResponsesEventDecoder(20, {"g"}, history, partial(ToolMap, tools))
            for delta in decoder.whole(json.dumps(one).encode()):
                stream.feed(delta)
            if decoder.error is not None:
                raise decoder.error
            spoke.append(stream._relayer is not None and stream._relayer.spoke)
            stream._stage.state = State.TURN  # as after calls of this server's tools
            stream.end_turn()
        body = stream.finish(2)
    except BackendError as error:
        body = stream.fail(error, 2)
    return body, stream.terminal, stream.output, stream.sequence_number, stream.relayed, spoke


def answer(*output: Any, **fields: Any) -> Json:
    return {"id": "r", "object": "response", "status": "completed", "output": list(output), "usage": USAGE, **fields}


def same_both_ways(response: Json, *turns: Json) -> None:
    assert played(response, OPENAI_WRITERS, *turns) == played(response, BY_WRITERS, *turns)


ITEMS: list[Json] = [
    PLAIN,
    CALL,
    MESSAGE,
    THOUGHT,
    CUSTOM,
    SEARCH,
    IMAGE,
    {**PLAIN, "content": [TEXT, {**TEXT, "text": 'é"\\\n\u2028\U0001f600'}]},
    {**PLAIN, "content": [{"type": "output_text", "text": "bare"}]},
    {**PLAIN, "content": [{**TEXT, "annotations": None, "logprobs": None, "further": [1]}]},
    {**PLAIN, "content": [{**TEXT, "text": ""}, TEXT]},
    {**PLAIN, "content": [{"type": "refusal", "refusal": "No."}]},
    {**PLAIN, "content": [{**TEXT, "logprobs": [{"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": []}]}]},
    {**PLAIN, "content": [TEXT] * 101},
    {**PLAIN, "content": "Hello"},
    {**PLAIN, "content": []},
    {**PLAIN, "content": None},
    {**PLAIN, "content": [{**TEXT, "text": 5}]},
    {**PLAIN, "phase": "commentary"},
    {**PLAIN, "further": 1.5},
    {**PLAIN, "id": None},
    {**PLAIN, "id": "x" * 600},
    {**PLAIN, "id": 7},
    {**PLAIN, "status": "incomplete"},
    {**PLAIN, "status": "done"},
    {**PLAIN, "status": ["a"]},
    {**PLAIN, "role": "user"},
    {"type": "message", "content": [TEXT]},
    {**CALL, "arguments": ""},
    {**CALL, "arguments": {"a": 1}},
    {**CALL, "arguments": "not JSON \ud800"},
    {**CALL, "name": "F"},
    {**CALL, "name": "g"},
    {**CALL, "name": ""},
    {**CALL, "name": "x" * 600},
    {**CALL, "name": "nobody_knows"},
    {**CALL, "call_id": "taken"},
    {**CALL, "call_id": None},
    {**CALL, "call_id": "x" * 600},
    {**CALL, "call_id": ""},
    {**CALL, "namespace": "n"},
    {**CALL, "caller": None},
    {**CALL, "id": None, "status": None},
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: json.dumps(item)[:90])
def test_an_item_is_the_same_both_ways(item: Json) -> None:
    same_both_ways(answer(item))
    same_both_ways(answer(item, item))
    same_both_ways(answer(THOUGHT, item, CALL))
    same_both_ways(answer(item, status="incomplete", incomplete_details={"reason": "content_filter"}))
    same_both_ways(answer(item, usage=None))
    same_both_ways(answer(item), answer(item), answer(PLAIN, item))


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_answer_is_the_same_both_ways(name: str) -> None:
    parser = SSEParser()
    body = recording(name).body
    for data in [body, *parser.feed(body), *parser.close()]:
        try:
            found = json.loads(data)
        except ValueError:
            continue
        same_both_ways(found.get("response", found))


@pytest.mark.slow
def test_whatever_stands_in_an_answer_is_the_same_both_ways() -> None:
    dice = random.Random(16)
    odd = [
        None,
        "",
        "completed",
        "x",
        0,
        10**30,
        1.5,
        True,
        [],
        {},
        [TEXT],
        "message",
        "msg_1",
        "\ud800",
        [1, "a", None],
    ]
    for _ in range(3000):
        items = copy.deepcopy(dice.choices(ITEMS, k=dice.randint(1, 4)))
        for item in items:
            for _ in range(dice.choice((0, 0, 1, 2))):
                content = item.get("content")
                parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
                holder = dice.choice([item, *parts])
                if not holder:
                    continue
                key = dice.choice((*holder, "further"))
                if dice.random() < 0.3:
                    holder.pop(key, None)
                else:
                    holder[key] = dice.choice(odd)
        same_both_ways(answer(*items))


@pytest.mark.parametrize(("item", "events"), [(PLAIN, 6), (CALL, 4), (MESSAGE, 0), (THOUGHT, 0), (CUSTOM, 0)])
def test_most_answers_are_plain(item: Json, events: int) -> None:
    assert plain.events_of(item) == events


COUNTS = [0, 1, 7, 2**53 - 1, 2**53, 10**30, -1, 1.0, 1.5, 1e300, float("inf"), True, None, "1", [], {}]


def test_counts_are_the_same_whether_they_are_read_at_once_or_with_care() -> None:
    dice = random.Random(16)
    for _ in range(5000):
        usage: Json = {
            "input_tokens": 3,
            "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 5,
        }
        for _ in range(dice.randint(0, 3)):
            holder = dice.choice([usage, *(inner for inner in usage.values() if isinstance(inner, dict))])
            if holder and dice.random() < 0.3:
                del holder[dice.choice(list(holder))]
            elif holder:
                holder[dice.choice(list(holder))] = dice.choice(COUNTS)
        assert end.usage_of(usage) == end._odd_usage(usage), usage
    assert all(
        end.usage_of(value) == end._odd_usage(value)
        for value in (*COUNTS, {"prompt_tokens": 1, "completion_tokens": 2})
    )
