"""Which prompts have one key: those of one conversation, whatever API it comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from antiphon.backends.routing.prefix_keys import WORTH_A_KEY, key_of_messages, key_of_turn
from antiphon.core.turn import Turn
from antiphon.types.items import FunctionCall, InputText, Item, Message
from tests.backends.turns import turn

LONG = "x" * WORTH_A_KEY
HI = Message(role="user", content="Hi.")
HO = Message(role="assistant", content="Ho.")
CALL = FunctionCall(call_id="c", name="f", arguments="{}")


def of(*items: Item, instructions: str | None = None) -> Turn:
    return replace(turn("x"), items=items, instructions=instructions)


@pytest.mark.parametrize("answer", [HO, CALL])
def test_a_conversation_keeps_its_key(answer: Item) -> None:
    key = key_of_turn(of(HI, answer, instructions="Be brief."))
    assert key and key == key_of_turn(
        of(HI, answer, Message(role="user", content="And?"), HO, instructions="Be brief.")
    )
    parts = Message(role="user", content=[InputText(text="Hi.")])
    assert key == key_of_turn(of(parts, answer, instructions="Be brief."))
    assert key != key_of_turn(of(HI, answer, instructions="Be long."))
    assert key != key_of_turn(of(HI, HI, answer, instructions="Be brief."))


def test_a_first_request_has_one_where_it_is_long() -> None:
    assert key_of_turn(of(HI)) == ""
    key = key_of_turn(of(HI, instructions=LONG))
    assert key and key == key_of_turn(of(HI, HO, HI, instructions=LONG))
    assert key != key_of_turn(of(HI, instructions=LONG + "x")), "its length counts, also behind what is looked at"
    assert key_of_turn(of(*[HI] * 5000, instructions="\ud800")) == "", "a few of many messages are looked at"


@pytest.mark.parametrize("system", [None, "Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_requests_that_are_passed_on_have_keys_too(system: Any) -> None:
    def key(*messages: Any) -> str:
        fields = {"messages": messages, **({"system": system} if system else {})}
        return key_of_messages({name: Raw(json.dumps(value).encode()) for name, value in fields.items()})

    hi, ho = {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Ho."}
    assert key(hi) == "" and key(hi, ho)
    cached = {"role": "user", "content": [{"type": "text", "text": "Hi.", "cache_control": {"type": "ephemeral"}}]}
    assert key(hi, ho) == key(hi, ho, hi) == key(cached, ho)
    assert key(hi, ho) != key({"role": "user", "content": "Hello."}, ho)


@pytest.mark.parametrize("messages", [b"1", b"{", b'[{"role":1}]', b'[{"role":"user","content":{}}]', b"null", None])
def test_what_is_odd_has_none(messages: bytes | None) -> None:
    assert key_of_messages({"messages": Raw(messages)} if messages is not None else {}) == ""
