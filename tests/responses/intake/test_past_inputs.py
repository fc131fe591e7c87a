"""PastInputs: a request that goes on from an earlier one is read as one that is decoded as a whole; its bounds."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from antiphon.config import Config
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.json_text import check_json
from antiphon.errors import APIError
from antiphon.responses.intake import past_input, past_inputs
from antiphon.responses.intake.asked import Asked
from antiphon.responses.intake.decoding import ResponsesDecoder
from antiphon.responses.intake.past_inputs import PastInputs
from antiphon.responses.intake.prompts import Prompts
from antiphon.responses.prepare import Preparer
from tests.growth import assert_linear, cpu_time

Json = dict[str, Any]
LIMIT = 8_000_000
TEXT = 'A line with a "quote", a tab\tand é, \u2028 and 𝄞.\n' * 30


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """Reads bodies as the route does. `decoded` are the bodies that were decoded, as a whole or short."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.clock = Clock()
        self.inputs = PastInputs(limit, clock=self.clock)
        self.decoded: list[bytes] = []
        self._whole = ResponsesDecoder(Prompts({}), Config())
        services = SimpleNamespace(inputs=self.inputs)
        self._preparer = Preparer(services, None, self)  # type: ignore[arg-type]  # it decodes only

    async def decode(self, body: bytes, model: str | None = None) -> Asked:
        self.decoded.append(body)
        return await self._whole.decode(body, model)

    def read(self, body: bytes, owner: str = "ann") -> Any:
        """Return what is understood of a body, or the error."""
        return seen(self._preparer._decoded(body, owner))

    def as_a_whole(self, body: bytes) -> Any:
        return seen(self._alone(body))

    async def _alone(self, body: bytes) -> tuple[bytes, Asked]:
        fit = check_json(body)
        return fit, await self._whole.decode(fit)

    def remember(self, body: bytes, owner: str = "ann") -> None:
        """Read a body twice: the second one shows that requests go on from it."""
        for _ in range(2):
            self.short(body, owner)

    def short(self, body: bytes, owner: str = "ann") -> bool:
        """Read a body, which has to be understood as it is alone; tell whether only a part of it was decoded."""
        self.decoded.clear()
        assert self.read(body, owner) == self.as_a_whole(body)
        return not self.decoded or (len(self.decoded) == 1 and len(self.decoded[0]) < len(body))


def seen(reading: Any) -> Any:
    try:
        body, asked = asyncio.run(reading)
    except APIError as error:
        return error.status, error.param, error.code, error.message
    request = msgspec.structs.asdict(msgspec.structs.replace(asked.request, input=None))
    return body, request, msgspec.structs.replace(asked, request=None, encoded=None)


def dumped(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def turn(number: int, text: str = TEXT) -> list[Json]:
    return [
        {"type": "function_call", "call_id": f"call_{number}", "name": "read", "arguments": '{"path":"a"}'},
        {"type": "function_call_output", "call_id": f"call_{number}", "output": f"{number}{text}"},
    ]


def conversation(turns: int, **fields: Any) -> Json:
    items: list[Json] = [{"type": "message", "role": "user", "content": TEXT * 4}]
    for number in range(turns):
        items += turn(number)
    return {
        "model": "m",
        "instructions": "Be brief.",
        "input": items,
        "tools": [{"type": "function", "name": "read"}],
        **fields,
    }


def with_blanks(body: Json) -> bytes:
    """Return a body as Python's `json` prints it if nothing else is asked for."""
    return json.dumps(body).encode()


@pytest.mark.slow
@pytest.mark.parametrize("printed", [dumped, with_blanks])
def test_an_agent_loop_is_decoded_from_where_it_goes_on(printed: Callable[[Json], bytes]) -> None:
    reader = Reader()
    found = [reader.short(printed(conversation(turns))) for turns in range(1, 200)]
    assert found == [False, False] + [True] * 197  # the second one shows that there is a conversation
    assert not reader.decoded  # all but the items is as it was
    assert reader.short(printed(conversation(199)))  # the same once more


def test_blanks_may_change() -> None:
    reader = Reader()
    for turns in range(1, 20):
        reader.short((dumped if turns % 3 else with_blanks)(conversation(turns)))
    mixed = with_blanks(conversation(5)).replace(b'}, {"type"', b'},{"type"', 3)
    reader.remember(mixed)


@pytest.mark.parametrize("order", [["model", "input"], ["input", "model"], ["input", "tools", "model"]])
def test_fields_may_stand_in_any_order(order: list[str]) -> None:
    def body(turns: int) -> bytes:
        whole = conversation(turns)
        return dumped({name: whole[name] for name in [*order, *(set(whole) - set(order))]})

    reader = Reader()
    assert [reader.short(body(turns)) for turns in (1, 2, 4, 5)] == [False, False, True, True]


def test_settings_behind_the_input_may_change() -> None:
    reader = Reader()
    reader.remember(dumped(conversation(1, temperature=0.1)))
    assert reader.short(dumped(conversation(2, temperature=0.2, store=False, metadata={"a": "b"})))


def test_what_differs_before_the_end_is_another_input() -> None:
    reader = Reader()
    reader.remember(dumped(conversation(3)))
    changed = conversation(4)
    changed["input"][2]["output"] += "."
    assert not reader.short(dumped(changed))
    assert not reader.short(dumped(conversation(4) | {"instructions": "Be long."}))
    assert not reader.short(dumped(conversation(2)))


def test_inputs_are_their_owners() -> None:
    reader = Reader()
    reader.remember(dumped(conversation(1)), "ann")
    for turns in (2, 3):  # what ann has sent does not tell that bob goes on, either
        assert not reader.short(dumped(conversation(turns)), "bob")
    assert reader.short(dumped(conversation(4)), "bob")
    assert reader.short(dumped(conversation(2)), "ann")


FIRST = dumped(conversation(2))
REST = FIRST[FIRST.index(b'],"tools"') :]
KNOWN = FIRST[: -len(REST)]

GOES_ON = {
    "nothing": REST,
    "an item": b',{"role":"user","content":"Go on."}' + REST,
    "an item of chat completions": b',{"role":"tool","tool_call_id":"call_1","content":"x"}' + REST,
    "blanks": b' ,\t{"type":"message","role":"user","content":"Go on."} ' + REST,
    "line breaks": b',\r\n{"type":"message","role":"user","content":"Go on."}\n' + REST,
    "another kind": b',{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"x"}}'
    + REST,
    "a reference": b',{"type":"item_reference","id":"msg_1"}' + REST,
    "an output that names no call": b',{"type":"function_call_output","output":"x"}' + REST,
    "half a character": b',{"type":"message","role":"user","content":"\\ud83d"}' + REST,
    "two halves of one": b',{"type":"message","role":"user","content":"\\ud83d\\ude00"}' + REST,
    "a second input": REST[:-1] + b',"input":"Hello."}',
    "a second input with items": REST[:-1] + b',"input":[{"role":"user","content":"Hello."}]}',
    "a second input, spelled otherwise": REST[:-1] + b',"inp\\u0075t":[{"role":"user","content":"Hello."}]}',
    "a second input that is null": REST[:-1] + b',"input":null}',
    "the same input within another field": REST[:-1] + b',"metadata":{"x":' + KNOWN[KNOWN.index(b"[") :] + b"]}}",
    "a second model": REST[:-1] + b',"model":"other"}',
    "unknown fields": REST[:-1] + b',"unheard_of":{"a":[1]}}',
    "max_tokens": REST[:-1] + b',"max_tokens":1}',
    "an unknown kind": b',{"type":"nonsense"}' + REST,
    "a wrong type": b',{"type":"message","role":"user","content":7}' + REST,
    "a number": b",7" + REST,
    "a NaN": b',{"type":"message","role":"user","content":NaN}' + REST,
    "a huge number": REST[:-1] + b',"temperature":1e999}',
    "a huge whole number": REST[:-1] + b',"max_output_tokens":' + b"9" * 5000 + b"}",
    "no comma": b'{"type":"message","role":"user","content":"Go on."}' + REST,
    "two commas": b',,{"type":"message","role":"user","content":"Go on."}' + REST,
    "a comma at the end": b"," + REST,
    "the end of the list": b"]",
    "an end too early": b"",
    "something behind the end": REST + b"{}",
    "no UTF-8": b',{"type":"message","role":"user","content":"\xff"}' + REST,
    "depth": b',{"type":"message","role":"user","content":"x","y":' + b"[" * 400 + b"]" * 400 + b"}" + REST,
}


@pytest.mark.parametrize("rest", GOES_ON.values(), ids=GOES_ON)
def test_whatever_comes_behind_is_understood_as_in_a_whole_body(rest: bytes) -> None:
    reader = Reader()
    reader.remember(FIRST)
    for body in (KNOWN + rest, KNOWN + rest, KNOWN + rest[:-1] + b" }", dumped(conversation(3)), FIRST):
        reader.short(body)


@pytest.mark.slow
@given(st.binary(max_size=40), st.integers(0, len(REST)))
def test_no_bytes_behind_are_understood_otherwise(inserted: bytes, at: int) -> None:
    reader = Reader()
    reader.remember(FIRST)
    reader.short(KNOWN + REST[:at] + inserted + REST[at:])


HEADS: dict[str, Callable[[bytes], bytes]] = {
    "the same items in another field before": lambda body: (
        b'{"metadata":{"x":' + KNOWN[KNOWN.index(b"[") :] + b"]}," + body[1:]
    ),
    "an input before": lambda body: b'{"input":[{"role":"user","content":"Hello."}],' + body[1:],
    "the same input before": lambda body: KNOWN + b"]," + body[1:],
    "the first item in an array behind": lambda body: (
        body[:-1] + b',"unknown":[' + dumped(conversation(0)["input"][0]) + b"]}"
    ),
    "the last item in an object behind": lambda body: body[:-1] + b',"unknown":' + dumped(turn(1)[1]) + b"}",
}


@pytest.mark.parametrize("change", HEADS.values(), ids=HEADS)
def test_items_that_stand_elsewhere_too_are_not_mistaken(change: Callable[[bytes], bytes]) -> None:
    reader = Reader()
    for turns in (2, 2, 2, 3, 4):
        reader.short(change(dumped(conversation(turns))))
    for turns in (2, 2, 3, 4):
        reader.short(dumped(conversation(turns)))


def test_printed_bodies_are_decoded_as_a_whole() -> None:
    reader = Reader()
    for turns in (1, 2, 3):
        assert not reader.short(json.dumps(conversation(turns), indent=1).encode())


def test_short_bodies_are_not_remembered() -> None:
    reader = Reader()
    for _ in range(2):
        assert not reader.short(b'{"model":"m","input":[{"type":"message","role":"user","content":"Hi"}]}')
    assert reader.inputs.size == 0


def test_inputs_are_forgotten_after_a_time() -> None:
    reader = Reader()
    reader.remember(dumped(conversation(1)))
    reader.clock.now = past_inputs.SECONDS + 1
    assert not reader.short(dumped(conversation(2)))
    reader.clock.now = past_inputs.SECONDS * 3
    reader.remember(dumped(conversation(1) | {"model": "n"}), "bob")
    assert reader.inputs.size < 100_000  # bob's alone


def test_the_memory_is_bounded() -> None:
    """By owner and in all; what is remembered are conversations, and the last ones."""
    limit = 400_000
    reader = Reader(limit)
    for number in range(60):
        reader.short(dumped(conversation(1, model=f"{number}")))
    assert reader.inputs.size == 0
    for number in range(60):
        reader.remember(dumped(conversation(1, model=f"{number}")))
        assert reader.inputs.size <= limit // past_inputs.OWNERS_SHARE
    assert not reader.short(dumped(conversation(2, model="0")))
    assert reader.short(dumped(conversation(2, model="59")))
    for number in range(60):
        reader.remember(dumped(conversation(1)), f"owner {number}")
        assert reader.inputs.size <= limit
    assert not reader.short(dumped(conversation(2)), "owner 0")
    assert reader.short(dumped(conversation(2)), "owner 59")


def usual_items() -> list[Json]:
    """An item of each usual type, with all the JSON that items keep as it came."""
    said = [{"type": "output_text", "text": "x", "annotations": [{"type": "odd"}], "logprobs": [{"token": "x"}]}]
    items: list[Json] = [
        {"type": "message", "role": "user", "content": TEXT * 4},
        {"type": "message", "role": "assistant", "content": [*said, {**said[0], "annotations": [], "logprobs": []}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
    ]
    for call, field in (("function_call", "arguments"), ("custom_tool_call", "input")):
        for number, output in enumerate((TEXT, said, "short")):
            items.append({"type": call, "call_id": f"{call}{number}", "name": "f", field: "{}"})
            items.append({"type": f"{call}_output", "call_id": f"{call}{number}", "output": output})
    return [{**item, "agent": {"agent_name": "/root"}} for item in items]


@pytest.mark.parametrize("behind", [b"", b" ", b',{"type":"file_search_call","id":"fs_1","queries":["q"]}'])
def test_what_is_remembered_keeps_no_body(behind: bytes) -> None:
    """Neither the one that is remembered, which may have megabytes behind its items, nor one that goes on from it."""
    reader = Reader()
    assert {type(item) for item in decode_items([Raw(dumped(item)) for item in usual_items()])} == past_input.USUAL
    short = []
    for turns in range(1, 4):
        for again in range(2):
            fields = {"metadata": {"turn": f"{turns} {again}"}}
            whole = dumped(conversation(0, **fields) | {"input": usual_items() * turns})
            whole = whole.replace(b'],"tools"', behind + b'],"tools"')
            size = len(whole)
            _, asked = asyncio.run(reader._preparer._decoded(whole, "ann"))
            if asked.encoded is not None:
                asked.encoded.messages = asked.items  # as codecs keep what they have made of them
            del whole, asked
            (body,) = reader.decoded
            reader.decoded.clear()
            short.append(len(body) < size)
            gc.collect()
            assert sys.getrefcount(body) <= 3  # its name here, that it is asked for, and the tools behind the items
    assert short == [False, False, True, True, True, True] and reader.inputs.size > 0


def test_conversations_that_have_ended_make_room() -> None:
    reader = Reader(400_000)
    for number in range(5):
        found = [reader.short(dumped(conversation(turns, model=f"{number}"))) for turns in range(1, 20)]
        assert found == [False, False] + [True] * 17


def test_inputs_of_many_parts_are_not_remembered() -> None:
    reader = Reader()
    few, many = (
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}] * count}]
        for count in (past_input.MOST_PARTS - 1, past_input.MOST_PARTS)
    )
    for items, remembered in ((few, True), (many, False)):
        reader.remember(dumped(conversation(0) | {"input": items}))
        assert reader.short(dumped(conversation(0) | {"input": [*items, *turn(0)]})) == remembered
    assert reader.short(dumped(conversation(0) | {"input": [*few, *turn(0), *many]}))  # it is forgotten with these
    assert not reader.short(dumped(conversation(0) | {"input": [*few, *turn(0), *many, *turn(1)]}))


def test_hashes_are_bounded() -> None:
    reader = Reader()
    for number in range(past_inputs.MOST_SEEN):
        reader.inputs._seems_to_go_on("ann", b"%08d" % number + b"x" * 5000)
        assert len(reader.inputs._seen) <= past_inputs.MOST_SEEN


def test_one_that_outgrows_its_share_is_forgotten() -> None:
    reader = Reader(400_000)
    found = [reader.short(dumped(conversation(turns, model="long"))) for turns in range(1, 60)]
    assert found[2] and not found[-1]
    assert reader.inputs.size <= 200_000


def test_without_a_limit_nothing_is_remembered() -> None:
    reader = Reader(0)
    for turns in (1, 2, 3):
        assert not reader.short(dumped(conversation(turns)))
    assert reader.inputs.size == 0


def test_a_body_costs_as_much_as_it_is_large() -> None:
    """Neither what stands behind the items nor many inputs that differ at their beginning are gone through again and again."""

    def cost(size: int) -> float:
        reader = Reader(1_000_000_000)
        nested = '{"a":' * 60 + "1" + "}" * 60
        items = b'[{"type":"message","role":"user","content":"%b","x":%b}]' % (b"x" * 5000, nested.encode())
        bodies = [
            b'{"model":"m","input":%b,"metadata":{"x":"%b"}}' % (items, (b"}" * 47 + b"x") * (size // 48)),
            *(
                dumped({**conversation(0), "model": f"{number:06}", "input": turn(0, "x") * (size // 200)})
                for number in range(8)
            ),
        ]
        return cpu_time(lambda: [reader.read(body) for body in bodies])

    assert_linear(cost, 50_000)


def test_branches_of_a_conversation() -> None:
    """Two requests go on from one: the one that is remembered is the last, and both are understood."""
    reader = Reader()
    reader.remember(dumped(conversation(2)))
    one, other = conversation(3), conversation(3)
    other["input"][-1]["output"] = "Something else."
    for _ in range(3):
        reader.short(dumped(one))
        reader.short(dumped(other))
