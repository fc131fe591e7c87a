"""KeptMessages: a request that goes on from an earlier one is written as if it were the first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from antiphon.backends.chat import kept_messages
from antiphon.backends.chat.message_order import RULES
from antiphon.backends.chat.messages import Messages
from antiphon.backends.chat.opaque.sending import Carried
from antiphon.backends.chat.profiles import PROFILES, Profile
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.tool_decoding import decode_tools
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.core.tools.mcp_content import ALL, Senses
from antiphon.core.tools.tool_map import ToolMap
from antiphon.errors import InvalidRequest
from antiphon.types.items import Item

Json = dict[str, Any]
LONG = 'A text of "some" length.\n' * 30
TOOLS = [{"type": "function", "name": "read"}, {"type": "custom", "name": "patch"}]
PLAIN = PROFILES["generic"]


def tool_map(tools: Sequence[Json] = TOOLS) -> ToolMap:
    return ToolMap(decode_tools([Raw(to_json(tool)) for tool in tools]))


def written(
    items: Sequence[Item],
    profile: Profile = PLAIN,
    encoded: EncodedTexts | None = None,
    instructions: str | None = "Be brief.",
    senses: Senses = ALL,
    tools: Sequence[Json] = TOOLS,
) -> bytes | tuple[str, str]:
    """Return the messages of items, or the error."""
    messages = Messages(tool_map(tools), profile, senses, Carried(_field=profile.reasoning_out), encoded)
    try:
        messages.add(instructions, items)
        return b"".join(messages.pieces())
    except InvalidRequest as error:
        return error.param, error.message


def decoded(items: Sequence[Json]) -> list[Item]:
    return decode_items([Raw(to_json(item)) for item in items])


def history(seed: int, length: int = 40) -> list[Json]:
    """Return items in many orders: calls together and apart, ids that repeat, outputs that lack or come twice."""
    chance = random.Random(seed)
    items: list[Json] = []
    ids = [f"call_{n}" for n in range(chance.choice((3, 200)))] + ["functions.read:0", "an id in no form"]
    open_calls: list[str] = []
    odd = chance.random() < 0.3
    while len(items) < length:
        match chance.choice(("user", "assistant", "system", "thoughts", "turn", "turn", "turn", "calls", "odd")):
            case "user":
                image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
                parts = [{"type": "input_text", "text": LONG}, *([image] if chance.random() < 0.3 else [])]
                items.append({"type": "message", "role": "user", "content": chance.choice((LONG, "Hi", parts))})
            case "assistant":
                items.append({"type": "message", "role": "assistant", "content": chance.choice((LONG, "Yes."))})
            case "system":
                role = chance.choice(("system", "developer"))
                items.append({"type": "message", "role": role, "content": "Mind this."})
            case "thoughts":
                items.append(
                    {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
                )
            case "turn" | "calls":
                for _ in range(chance.randint(1, 3)):
                    id = chance.choice(ids)
                    items.append(called(id, chance.random() < 0.3))
                    open_calls.append(id)
                chance.shuffle(open_calls)
                for id in open_calls if chance.random() < 0.9 or not odd else ():
                    image = [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]
                    items.append(output(id, chance.choice((LONG, "ok", "", image))))
                open_calls.clear()
            case "odd" if odd:
                items.append(output(chance.choice(ids), "late"))
    return items


def called(id: str, custom: bool) -> Json:
    if custom:
        return {"type": "custom_tool_call", "call_id": id, "name": "patch", "input": LONG}
    return {"type": "function_call", "call_id": id, "name": "read", "arguments": '{"path":"a"}'}


def output(id: str, value: Any) -> Json:
    return {"type": "function_call_output", "call_id": id, "output": value}


@pytest.mark.parametrize("roles", list(RULES))
@pytest.mark.parametrize("form", ["plain", "short", "counted", "keep"])
def test_a_history_that_grows_is_written_as_one_that_is_new(roles: Any, form: Any) -> None:
    profile = replace(PLAIN, roles=roles, call_ids=form)
    for seed in range(25):
        items = decoded(history(seed))
        encoded, end = EncodedTexts(), 0
        chance = random.Random(seed)
        while end < len(items):
            end += chance.randint(1, 5)
            assert written(items[:end], profile, encoded) == written(items[:end], profile), (seed, end)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_for_each_kind_of_server(name: str) -> None:
    items = decoded(history(3))
    encoded = EncodedTexts()
    for end in range(8, len(items)):
        assert written(items[:end], PROFILES[name], encoded) == written(items[:end], PROFILES[name])


TURNS = [one for number in range(6) for one in (called(f"call_{number}", False), output(f"call_{number}", LONG))]


def goes_on(encoded: EncodedTexts, items: Sequence[Item], **other: Any) -> bool:
    """Write items, which has to give what it gives alone; tell whether it went on from what was kept."""
    before = encoded.messages
    assert written(items, encoded=encoded, **other) == written(items, **other)
    first = before.list._done[0] if isinstance(before, kept_messages.KeptMessages) else None
    after = encoded.messages
    return isinstance(after, kept_messages.KeptMessages) and after is not before and after.list._done[0] is first


def test_an_agents_turns_are_written_once() -> None:
    items, encoded = decoded(TURNS), EncodedTexts()
    assert [goes_on(encoded, items[:end]) for end in range(8, 13, 2)] == [False, True, True]


@pytest.mark.parametrize(
    "other",
    [
        {"instructions": "Be long."},
        {"instructions": None},
        {"senses": Senses(images=False)},
        {"profile": replace(PLAIN, roles="merge-first")},
        {
            "tools": [
                {"type": "function", "name": "read", "description": "x"},
                {"type": "namespace", "name": "n", "tools": TOOLS[:1]},
            ]
        },
        {"tools": [{"type": "namespace", "name": "read", "tools": TOOLS[:1]}]},
    ],
    ids=["instructions", "no instructions", "no pictures", "roles", "further tools", "a namespace"],
)
def test_other_settings_begin_anew(other: Any) -> None:
    items, encoded = decoded(TURNS), EncodedTexts()
    goes_on(encoded, items[:10])
    goes_on(encoded, items, **other)


@pytest.mark.parametrize(
    "rest",
    [
        [output("call_1", "x")],
        [output("call_1", LONG)],
        [output("unknown", "x")],
        [output("call_1", "x"), called("call_1", False)],
        [called("call_1", False), output("call_1", "another")],
        [called("a", False), called("b", True), output("b", "x"), output("a", "x")],
        [called("a", False)],
        [{"type": "function_call", "call_id": "a", "name": "read", "arguments": "{}", "async": True}, output("a", "x")],
        [{"type": "shell_call", "call_id": "s", "action": {"commands": ["ls"]}}],
        [{"type": "program", "id": "pr_1", "call_id": "p", "code": "x"}, output("call_1", "x")],
        [{"type": "message", "role": "assistant", "content": "Yes."}],
        [{"type": "message", "role": "developer", "content": "Mind this."}],
    ],
    ids=str,
)
def test_whatever_comes_behind_is_written_as_it_is_alone(rest: list[Json]) -> None:
    encoded = EncodedTexts()
    goes_on(encoded, decoded(TURNS))
    items = decoded([*TURNS, *rest])
    goes_on(encoded, items)
    goes_on(encoded, decoded([*TURNS, *rest, called("z", False), output("z", LONG)]))
    goes_on(encoded, decoded(TURNS))


def test_what_does_not_go_back_is_told_each_time() -> None:
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "another server's"}
    items, encoded = decoded([sealed, *TURNS]), EncodedTexts()
    for end in (9, 11, 13):
        carried = Carried(_field="reasoning_content")
        messages = Messages(tool_map(), PLAIN, ALL, carried, encoded)
        messages.add(None, items[:end])
        assert len(carried.removed) == 1


def test_what_is_kept_does_not_change_with_the_request() -> None:
    """A request's own note, and the mark of a message that the answer continues, are not the next one's."""
    items, encoded = decoded(TURNS), EncodedTexts()
    for end in (8, 10, 12):
        profile = replace(PLAIN, roles="merge-first")
        messages = Messages(tool_map(), profile, ALL, Carried(), encoded)
        messages.add("Be brief.", items[:end])
        messages.note("Answer with JSON.")
        assert b"".join(messages.pieces()).count(b"Answer with JSON.") == 1
