"""Histories of tools in chat completions: rarer tools, and outputs that are paired with their calls."""

from __future__ import annotations

from json import dumps, loads

import pytest

from antiphon.errors import InvalidRequest
from tests.backends.chat.chats import USER, ask, sent
from tests.backends.chat.codec_requests import HISTORY, Json, call, messages, output


@pytest.mark.parametrize(("item", "answer", "name", "arguments", "result"), HISTORY)
def test_history_of_rarer_tools(item: Json, answer: Json | None, name: str, arguments: Json, result: str) -> None:
    found = messages(USER, item, *([answer] if answer else []))
    (made,) = found[1]["tool_calls"]
    assert (made["function"]["name"], loads(made["function"]["arguments"])) == (name, arguments)
    assert found[2] == {"role": "tool", "tool_call_id": made["id"], "content": result}


def test_items_that_say_nothing_to_a_chat_model() -> None:
    others: list[Json] = [
        {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "AA=="},
        {"type": "mcp_list_tools", "id": "l", "server_label": "s", "tools": []},
        {"type": "mcp_approval_request", "id": "a", "server_label": "s", "name": "t", "arguments": "{}"},
        {"type": "mcp_approval_response", "approval_request_id": "a", "approve": True},
        {"type": "compaction_trigger"},
    ]
    assert messages(USER, *others) == [{"role": "user", "content": "Hi"}]


def test_short_call_ids() -> None:
    found = messages(call("call_with_a_long_id"), output("call_with_a_long_id"), profile="mistral")
    id = found[0]["tool_calls"][0]["id"]
    assert len(id) == 9 and id.isalnum() and found[1]["tool_call_id"] == id


# Ids that repeat


def _read(id: str, path: str) -> Json:
    return {"type": "function_call", "call_id": id, "name": "read", "arguments": dumps({"path": path})}


def _gave(id: str, output: str) -> Json:
    return {"type": "function_call_output", "call_id": id, "output": output}


def _told(body: Json) -> list[tuple[str, str]]:
    """Return what the model is told of each call: its arguments and its output, paired by the ids that are sent."""
    outputs: dict[str, str] = {}
    calls: list[tuple[str, str]] = []
    for message in body["messages"]:
        calls += [(call["id"], call["function"]["arguments"]) for call in message.get("tool_calls", ())]
        if message["role"] == "tool":
            assert message["tool_call_id"] not in outputs
            outputs[message["tool_call_id"]] = message["content"]
    assert len({id for id, _ in calls}) == len(calls)
    return [(arguments, outputs[id]) for id, arguments in calls]


@pytest.mark.parametrize("profile", ["generic", "mistral"])
@pytest.mark.parametrize("id", ["read:0", "call_0", "functions.read:7"])
def test_each_call_has_its_own_output_where_ids_repeat(profile: str, id: str) -> None:
    history = [USER, _read(id, "a"), _gave(id, "A"), _read(id, "b"), _gave(id, "B"), USER]
    history += [_read(id, "c"), _read(id, "d"), _gave(id, "C"), _gave(id, "D")]
    assert _told(sent(ask(*history), profile)) == [(dumps({"path": name}), name.upper()) for name in "abcd"]


PAIRED = [
    (
        {"type": "custom_tool_call", "name": "apply_patch", "input": "x"},
        {"type": "custom_tool_call_output"},
    ),
    ({"type": "shell_call", "action": {"commands": ["ls"]}}, {"type": "shell_call_output"}),
    ({"type": "local_shell_call", "id": "l", "action": {"command": ["ls"]}}, {"type": "local_shell_call_output"}),
    (
        {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "x"}},
        {"type": "apply_patch_call_output"},
    ),
]


@pytest.mark.parametrize(("call", "output"), PAIRED)
def test_every_kind_of_call_is_paired_so(call: Json, output: Json) -> None:
    history = []
    for turn in range(3):
        history += [_read("x", f"f{turn}"), call | {"call_id": "x"}]
        history += [output | {"call_id": "x", "output": f"other {turn}"}, _gave("x", f"read {turn}")]
    told = [found for _, found in _told(sent(ask(USER, *history)))]
    assert told == [word for turn in range(3) for word in (f"read {turn}", f"other {turn}")]


def test_a_second_output_for_a_call_is_refused_unless_it_says_the_same() -> None:
    history = [USER, _read("x", "a"), _gave("x", "A")]
    with pytest.raises(InvalidRequest, match=r"Duplicate tool output for call_id x") as caught:
        sent(ask(*history, _gave("x", "B")))
    assert (caught.value.status, caught.value.param) == (400, "input")
    assert _told(sent(ask(*history, _gave("x", "A")))) == [(dumps({"path": "a"}), "A")]


def test_an_interrupted_call_does_not_get_a_later_ones_output() -> None:
    history = [_read("x", "a"), USER, _read("x", "b"), _gave("x", "B")]
    assert [output for _, output in _told(sent(ask(*history)))] == ["(no output)", "B"]


# Messages between calls and their outputs


ASKED: list[Json] = [
    {"role": "user", "content": "Again."},
    {"role": "developer", "content": "Be short."},
]
SAID: list[Json] = [{"role": "assistant", "content": "Wait."}, {"type": "reasoning", "summary": []}]


@pytest.mark.parametrize("said", [[], SAID[:1], SAID])
@pytest.mark.parametrize("asked", [ASKED[:1], ASKED])
def test_messages_between_an_answers_calls_and_all_outputs_stand_before_the_answer(asked: Json, said: Json) -> None:
    calls, outputs = [_read("a", "A"), _read("b", "B")], [_gave("b", "of B"), _gave("a", "of A")]
    expected = messages(USER, *asked, *said, *calls, *outputs)
    assert expected[-1] == {"role": "tool", "tool_call_id": "b", "content": "of B"}
    assert messages(USER, *said, *calls, *asked, *outputs) == expected
    earlier = [USER, _read("x", "X"), _gave("x", "of X"), {"role": "assistant", "content": "Done."}]
    later = {"role": "user", "content": "And?"}
    whole = [*earlier, USER, *said, *calls, *asked, *outputs, later]
    assert messages(*whole) == messages(*earlier, USER, *asked, *said, *calls, *outputs, later)


def test_messages_between_outputs_stand_behind_them() -> None:
    calls, outputs = [_read("a", "A"), _read("b", "B")], [_gave("a", "of A"), _gave("b", "of B")]
    behind = messages(USER, *calls, *outputs, ASKED[0])
    assert messages(USER, *calls, outputs[0], ASKED[0], outputs[1]) == behind
    # The call was given up, and answered later: what the model was told before stays as it was.
    given_up = messages(USER, calls[0], ASKED[0], {"role": "assistant", "content": "Well."})
    assert [message["role"] for message in given_up] == ["user", "assistant", "tool", "user", "assistant"]
    late = messages(USER, calls[0], ASKED[0], {"role": "assistant", "content": "Well."}, ASKED[0], outputs[0])
    assert [message["role"] for message in late][:5] == [message["role"] for message in given_up]
