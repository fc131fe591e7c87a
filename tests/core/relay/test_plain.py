"""Plain items that nobody streams are written without a Writer: same answer, same items, same count of events as with one."""

from __future__ import annotations

import copy
import json
import random
from functools import partial
from pathlib import Path
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
GOLDEN = Path(__file__).parents[2] / "golden"

BY_WRITERS = replace(OPENAI_WRITERS, relayed=lambda *given: write(*given))
"""The same Writers by another name, for which nothing is written without them."""

TEXT = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
PLAIN = {**MESSAGE, "content": [TEXT]}
COUNTED = {
    **USAGE,
    "input_tokens_details": {"cached_tokens": 1},
    "output_tokens_details": {"reasoning_tokens": 1},
}
TOOLS = [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]


def played(writers: WriterTable, *bodies: bytes, watched: bool = True) -> tuple[object, ...]:
    """Play whole answers, one per Turn; return all that anybody can see of what becomes of them.

    `watched`: somebody looks at Deltas, so that an answer comes as a Relay.
    """
    tools = decode_tools([msgspec.Raw(json.dumps(tool).encode()) for tool in TOOLS])
    history = [FunctionCall(call_id="taken", name="f", arguments="{}")]
    stream = ResponseStream(
        Response(id="resp_0", created_at=1, model="m"), "0" * 48, emitter=MuteEmitter(), writers=writers
    )
    stream.start()
    spoke = []
    try:
        for body in bodies:
            decoder = ResponsesEventDecoder(20, {"g"}, history, partial(ToolMap, tools))
            plain = None if watched else decoder.plain(body)
            for delta in decoder.whole(body) if plain is None else (plain,):
                stream.feed(delta)
            if decoder.error is not None:
                raise decoder.error
            spoke.append(stream._relayer is not None and stream._relayer.spoke)
            stream.stage.state = State.TURN  # as after calls of this server's tools
            stream.end_turn()
        made = stream.finish(2)
    except BackendError as error:
        made = stream.fail(error, 2)
    return made, stream.terminal, stream.output, stream.sequence_number, stream.relayed, spoke


def answer(*output: Any, **fields: Any) -> Json:
    return {"id": "r", "object": "response", "status": "completed", "output": list(output), "usage": USAGE, **fields}


def same_both_ways(response: Json, *turns: Json) -> None:
    same_all_ways(*(json.dumps(one).encode() for one in (response, *turns)))
    same_all_ways(*(json.dumps(one, ensure_ascii=False).encode(errors="surrogatepass") for one in (response, *turns)))


def same_all_ways(*bodies: bytes) -> None:
    """Compare: decoded whole and written by Writers; the plain items written at once; what is plain never decoded whole."""
    by_writers = played(BY_WRITERS, *bodies)
    assert played(OPENAI_WRITERS, *bodies) == by_writers
    assert played(OPENAI_WRITERS, *bodies, watched=False) == by_writers


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
        same_all_ways(data)


FULL = answer(PLAIN, CALL, tools=[{"type": "function", "name": "f", "parameters": {}}], metadata={"a": "\u00e9"}, x=1.5)
WHOLE = json.dumps(FULL).encode()


def with_extra(value: bytes) -> bytes:
    """Return an answer with a field that nobody reads."""
    return WHOLE[:-1] + b',"further":%b}' % value


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "cut off": WHOLE[:-1],
    "more behind it": WHOLE + b"{}",
    "blanks around it": b"\n " + WHOLE + b" \r\n",
    "a list": b"[%b]" % WHOLE,
    "no UTF-8 where nobody reads": with_extra(b'"\xff"'),
    "no UTF-8 in a name": WHOLE[:-1] + b',"\xff":1}',
    "no UTF-8 in a text": WHOLE.replace(b"Hello", b"Hel\xff"),
    "half a character where nobody reads": with_extra(rb'"\ud800"'),
    "half a character in a text": WHOLE.replace(b"Hello", rb"Hel\ud800"),
    "half a character in UTF-8": WHOLE.replace(b"Hello", b"Hel\xed\xa0\x80"),
    "a wrong escape": with_extra(rb'"\q"'),
    "a control character": with_extra(b'"\x01"'),
    "no number": with_extra(b"NaN"),
    "a number with a zero before it": with_extra(b"01"),
    "nested at the bound": with_extra(b"[" * 127 + b"]" * 127),
    "nested too deep": with_extra(b"[" * 128 + b"]" * 128),
    "nested deeper than Python goes": with_extra(b"[" * 100_000 + b"]" * 100_000),
    "brackets in a text": with_extra(b'"%b"' % (b"[" * 500)),
    "many brackets in a text": with_extra(b'"%b"' % (b"[" * 100_000)),
    "many containers": with_extra(b"[%b[]]" % (b"[]," * 30_000)),
    "many values": with_extra(b"[%b0]" % (b"0," * 600_000)),
    "a large text": WHOLE.replace(b"Hello", b"Hello" * 100_000),
    "a text of 16 MB": WHOLE.replace(b"Hello", b"x" * 2**24),
    "a field twice, the last one wrong": WHOLE[:-1] + b',"output":5}',
    "a field twice, the last one right": b'{"output":5,' + WHOLE[1:],
    "a status twice": WHOLE[:-1] + b',"status":"failed"}',
    "an item's field twice": WHOLE.replace(b'"role"', b'"role":5,"role"'),
    "names with escapes": WHOLE.replace(b'"output"', rb'"\u006futput"'),
    "many items": json.dumps(answer(*[PLAIN] * 2001)).encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_ends_the_same_both_ways(name: str) -> None:
    same_all_ways(HOSTILE[name])


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "failed", "error": {"code": "server_error", "message": "No."}},
        {"status": "failed", "error": None},
        {"status": "cancelled"},
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        {"status": "completed", "incomplete_details": {"reason": "content_filter"}},
        {"status": "completed", "error": {"message": "No."}},
        {"status": None},
        {"status": 5},
        {"object": "other"},
        {"object": None},
        {"service_tier": "flex"},
        {"service_tier": "x" * 65},
        {"service_tier": 5},
        {"usage": None},
        {"usage": 5},
        {"usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        {"usage": {**USAGE, "output_tokens": -1}},
        {"usage": {**COUNTED, "output_tokens": 20}},
        {"usage": {**COUNTED, "output_tokens": 19}},
        {"usage": {**COUNTED, "output_tokens": 10**15}},
        {"output": []},
        {"output": [], "usage": None},
        {"output": [], "output_text": "Hello"},
        {"output": None},
        {"output": [5]},
        {"output_text": "Hello"},
        {"type": "response.failed"},
    ],
    ids=json.dumps,
)
def test_an_answer_ends_the_same_both_ways(fields: Json) -> None:
    same_all_ways(json.dumps({**FULL, **fields}).encode())
    same_all_ways(json.dumps({**FULL, "usage": COUNTED, **fields}).encode())


@pytest.mark.parametrize("number", [b"1e999", b"9" * 5000], ids=["large", "long"])
def test_a_number_that_nobody_reads_may_be_out_of_range(number: bytes) -> None:
    made, *_ = played(OPENAI_WRITERS, with_extra(number), watched=False)
    assert made == played(OPENAI_WRITERS, WHOLE)[0]
    same_all_ways(WHOLE.replace(b'"input_tokens": 3', b'"input_tokens": ' + number))


@pytest.mark.parametrize("case", sorted(GOLDEN.glob("*/response.json")), ids=lambda path: path.parent.name)
def test_a_golden_answer_is_the_same_both_ways(case: Path) -> None:
    same_all_ways(case.read_bytes())


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
    found = plain.plain_item(item)
    assert (plain.events_of(found) if found is not None else 0) == events
    decoder = ResponsesEventDecoder()
    assert (decoder.plain(json.dumps(answer(item)).encode()) is not None) == decoder.ended == (events > 0)


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
