"""PastMessages: a conversation that goes on from an earlier request is read as one that is read as a whole."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.errors import APIError
from antiphon.responses.intake.past_input import MOST_PARTS
from antiphon.responses.intake.past_inputs import PastInputs
from antiphon.runtime.offload import LARGE
from antiphon.server.messages import decoder, past_messages
from antiphon.server.messages.context_edits import edited
from antiphon.server.messages.decoder import MessagesRequestDecoder
from antiphon.server.messages.past_messages import MOST_AROUND, KnownMessages, PastMessages
from antiphon.types.items import FunctionCallOutput
from antiphon.types.raw import JsonText

Json = dict[str, Any]
LIMIT = 8_000_000
MARK = {"cache_control": {"type": "ephemeral"}}
TEXT = 'A line, "quoted", and é.\n' * 60
TOOLS = [
    {"name": name, "input_schema": {"type": "object"}, **({"defer_loading": True} if name == "later" else {})}
    for name in ("f", "later")
]


def dumped(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def conversation(*messages: Json, **fields: Any) -> bytes:
    """Return a body as Claude Code orders it."""
    return dumped(
        {"model": "m", "messages": list(messages), "max_tokens": 9, **fields, "tools": fields.get("tools", TOOLS)}
    )


def marked(message: Json) -> Json:
    """Return a message with a mark of the client's cache on its last block."""
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {**message, "content": [*blocks[:-1], {**blocks[-1], **MARK}]} if blocks else message


def turn(number: int, *more: Json) -> list[Json]:
    """Return a call and its result."""
    use = {"type": "tool_use", "id": f"c{number}", "name": "f", "input": {"number": number}}
    result = {"tool_use_id": f"c{number}", "type": "tool_result", "content": f"{number} {TEXT}", "is_error": False}
    return [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result, *more]}]


FIRST = {"role": "user", "content": f"Look into it. {TEXT * 4}"}


class Reader:
    """Reads bodies with a memory. `sizes` are those of the bodies that were decoded."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.inputs = PastInputs(limit)
        self.sizes: list[int] = []

    def read(self, body: bytes, owner: str = "ann") -> Any:
        self.sizes = []
        return understood(body, PastMessages(self.inputs, owner), self.sizes)

    def short(self, body: bytes, owner: str = "ann") -> bool:
        """Read a body, which has to be understood as it is alone; tell whether only a part of it was decoded."""
        assert self.read(body, owner) == understood(body)
        return self.sizes == [size for size in self.sizes if size < len(body)]


def understood(body: bytes, past: PastMessages | None = None, sizes: list[int] | None = None) -> Any:
    """Return what is understood of a body, or the error."""
    reading = MessagesRequestDecoder(lambda name: name, past=past)
    decode = reading._decode

    def counted(data: bytes, *rest: Any) -> Any:
        if sizes is not None:
            sizes.append(len(data))
        return decode(data, *rest)

    reading._decode = counted  # type: ignore[method-assign]
    try:
        asked = asyncio.run(reading.decode(body))
    except APIError as error:
        return error.message, error.param, error.code
    spelled = [asked.spell(f"input[{at}].content[0]") for at in range(len(asked.items))] if asked.spell else []
    told = reading.told.edits, reading.told.thinks, reading.dropped, reading.searches_only
    fields = asked.request, asked.items, asked.tools, asked.options, list(asked.ignored), asked.size
    return fields, spelled, told


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_an_agent_loop_is_read_from_where_it_goes_on(
    separators: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first requests show that it goes on. The mark wanders; with it a message is a list of blocks, without it a string."""
    printed = partial(json.dumps, separators=separators)
    monkeypatch.setattr(sys.modules[__name__], "dumped", lambda body: printed(body).encode())
    reader, messages, short = Reader(), [FIRST], []
    for number in range(6):
        short.append(reader.short(conversation(*messages[:-1], marked(messages[-1]))))
        messages += turn(number)
    assert short == [False] * 3 + [True] * 3


def test_clients_that_mark_two_messages() -> None:
    reader, messages, short = Reader(), [FIRST], []
    for number in range(8):
        last = [marked(message) if message["role"] == "user" else message for message in messages[-3:]]
        short.append(reader.short(conversation(*messages[:-3], *last)))
        messages += turn(number)
    assert short[-3:] == [True] * 3


def loop(reader: Reader, turns: int = 4) -> list[Json]:
    """Read the requests of a loop, and return its messages."""
    messages = [FIRST]
    for number in range(turns):
        messages += turn(number)
        reader.short(conversation(*messages))
    return messages


def test_what_is_known_is_the_owners_own() -> None:
    reader = Reader()
    messages = loop(reader)
    assert not reader.short(conversation(*messages, *turn(7)), "bob")
    assert reader.short(conversation(*messages, *turn(7)))


def test_other_fields_may_change() -> None:
    reader = Reader()
    messages = loop(reader)
    edits = [{"type": "clear_tool_uses_20250919", "trigger": {"type": "tool_uses", "value": 1}}]
    for fields in ({"stream": True}, {"context_management": {"edits": edits}}, {"thinking": {"type": "adaptive"}}):
        assert reader.short(conversation(*messages, *turn(7), **fields))
    assert reader.short(conversation(*messages, *turn(7)))


@pytest.mark.parametrize(
    "more",
    [
        [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "unknown", "content": "x"}]}],
        [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "a", "data": ""}}]}],
        [{"role": "nobody", "content": "Hm."}],
        [{"role": "user"}],
    ],
)
def test_errors_are_told_by_their_place(more: list[Json]) -> None:
    reader = Reader()
    messages = loop(reader)
    assert not reader.short(conversation(*messages, *turn(7), *more))


def test_tools_without_effect_are_named_each_time() -> None:
    reader, messages = Reader(), [FIRST]
    for number in range(6):
        reader.short(conversation(*messages, tools=[*TOOLS, {"type": "hologram_1", "name": "h"}]))
        messages += turn(number)


def test_a_rule_that_goes_with_the_next_question() -> None:
    """It is shown as long as nothing stands behind it: what is remembered would show it for ever."""
    reader = Reader()
    rule = {"role": "system", "content": "A rule.", "clear_at": "next_user_message"}
    messages = [*loop(reader), rule, {"role": "assistant", "content": "Well,"}]
    for _ in range(2):
        reader.short(conversation(*messages))
        messages += [{"role": "user", "content": "Yes?"}, {"role": "assistant", "content": "Well,"}]


def test_a_compaction_behind_a_mark() -> None:
    """What stands before a compaction is no more, whatever is remembered of it."""
    reader = Reader()
    question, said = {"role": "user", "content": "And?"}, {"role": "assistant", "content": "Well."}
    compaction = {"role": "assistant", "content": [{"type": "compaction", "content": "What was before."}]}
    messages = [*loop(reader), said, marked(question), compaction, question]
    for _ in range(3):
        reader.short(conversation(*messages[:-1], marked(messages[-1])))
        messages += [said, question]


def test_a_second_list_of_messages_counts() -> None:
    reader = Reader()
    messages = loop(reader)
    body = conversation(*messages, *turn(7))
    other = body[:-1] + b',"messages":' + dumped({"m": [{"role": "user", "content": "Hm."}]})[5:-1] + b"}"
    assert not reader.short(other)


@pytest.mark.parametrize("compacted", [False, True])
def test_kept_results_do_not_keep_bodies(compacted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, texts = Reader(), list[bytes]()
    messages = loop(reader)
    find = PastMessages.find

    def found(past: PastMessages, body: bytes) -> KnownMessages | None:
        known = find(past, body)
        texts.extend([known.text] if known is not None else ())
        return known

    monkeypatch.setattr(PastMessages, "find", found)
    if compacted:
        messages.append({"role": "assistant", "content": [{"type": "compaction", "content": "What was before."}]})
    for number in range(20, 24):
        messages += turn(number)
    reader.read(conversation(*messages))
    (owned,) = reader.inputs._owners.values()
    (past,) = owned.inputs.values()
    results = [item.output for item in past.items if isinstance(item, FunctionCallOutput)]
    assert len(results) >= 3
    assert all(isinstance(result, JsonText) for result in results)
    (text,) = texts
    assert sys.getrefcount(text) <= 3  # its names here, and that it is asked for


def test_edits_of_a_large_conversation_leave_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """They count the tokens of all items, also where few are new."""
    reader, threads = Reader(LIMIT * 4), list[str]()

    def counted(*given: Any) -> Any:
        threads.append(threading.current_thread().name)
        return edited(*given)

    monkeypatch.setattr(decoder, "edited", counted)
    edits = [{"type": "clear_tool_uses_20250919", "trigger": {"type": "tool_uses", "value": 1}}]
    messages = [{"role": "user", "content": TEXT * 300}]
    for number in range(5):
        body = conversation(*messages, context_management={"edits": edits})
        short = reader.short(body)
        messages += turn(number)
    assert short and len(body) > LARGE
    assert threading.main_thread().name not in threads


@pytest.mark.parametrize(
    ("step", "system", "turns"), [("_raw_of", "Be brief.", MOST_PARTS), ("_read_around", "x" * MOST_AROUND, 2)]
)
def test_too_much_to_be_remembered_is_not_read_again(
    step: str, system: str, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, asked = Reader(LIMIT * 8), list[int]()
    inner = getattr(past_messages, step)

    def counted(body: bytes) -> Any:
        asked.append(len(body))
        return inner(body)

    monkeypatch.setattr(past_messages, step, counted)
    said, answer = {"role": "user", "content": "Go on."}, {"role": "assistant", "content": "Yes."}
    messages = [FIRST, *turn(0), *[answer, said] * turns]
    for _ in range(3):
        assert not reader.short(dumped({"system": system})[:-1] + b"," + conversation(*messages)[1:])
        messages += [answer, said]
    assert not asked and not reader.inputs.size


def test_nothing_is_kept_without_a_limit() -> None:
    reader = Reader(0)
    messages = loop(reader)
    assert not reader.short(conversation(*messages, *turn(7)))
    assert reader.inputs.size == 0


BLOCKS = {
    "user": [
        {"type": "text", "text": "Some words."},
        {"type": "text", "text": ""},
        {"type": "tool_result", "tool_use_id": "c0", "content": TEXT},
        {"type": "tool_result", "tool_use_id": "c9", "content": "Known once the call is."},
        {"type": "tool_result", "tool_use_id": "c0", "content": [{"type": "tool_reference", "tool_name": "later"}]},
        {"type": "document", "source": {"type": "text", "data": "A page."}, "citations": {"enabled": True}},
        {"type": "hologram"},
    ],
    "assistant": [
        {"type": "text", "text": "Some words."},
        {"type": "text", "text": "Cited.", "citations": [{"type": "x"}]},
        {"type": "thinking", "thinking": "Hm.", "signature": "foreign"},
        {"type": "thinking", "thinking": "", "signature": "foreign"},
        {"type": "tool_use", "id": "c9", "name": "f", "input": {}},
        {"type": "server_tool_use", "id": "s0", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s0", "content": []},
        {"type": "compaction", "content": "What was before."},
    ],
    "system": [
        {"type": "text", "text": "A rule."},
        {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "later"}},
        {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "f"}},
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": TOOLS[0]}},
    ],
}


def messages_of(role: str) -> st.SearchStrategy[Json]:
    fields = {"role": st.just(role), "content": st.lists(st.sampled_from(BLOCKS[role]), min_size=1, max_size=3)}
    rare = {"clear_at": st.sampled_from([None, "next_user_message"]), "output_config": st.just({"effort": "low"})}
    return st.fixed_dictionaries(fields, optional=rare if role == "system" else {})


ROLES = st.sampled_from(["user", "user", "user", "assistant", "assistant", "system"])
STEPS = st.lists(
    st.tuples(st.lists(ROLES.flatmap(messages_of), min_size=1, max_size=3), st.integers(0, 2)), min_size=2, max_size=5
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_any_conversation_is_understood_as_it_is_alone(steps: list[tuple[list[Json], int]]) -> None:
    """Each step goes on from the one before, or from some messages earlier."""
    reader = Reader()
    messages = loop(reader, 3)
    for added, back in steps:
        messages = [*messages[: max(len(messages) - back, 5)], *added]
        reader.short(conversation(*messages[:-1], marked(messages[-1]), thinking={"type": "adaptive"}))


def test_the_memory_is_bounded() -> None:
    """What repeats with another end each time adds nothing, nor the JSON of its texts."""
    reader = Reader()
    messages = [*loop(reader), {"role": "assistant", "content": "Ok."}]
    sizes = set()
    for number in range(10, 40):
        assert reader.short(conversation(*messages, {"role": "user", "content": f"{number} {TEXT}"}))
        (owned,) = reader.inputs._owners.values()
        (past,) = owned.inputs.values()
        assert past.encoded._known == {}
        past.encoded.json_of(TEXT)
        sizes.add(reader.inputs.size)
    assert len(sizes) == 1
