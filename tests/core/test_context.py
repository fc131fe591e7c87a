"""History, references and what is kept of an input."""

import json

import pytest
from msgspec import Raw

from antiphon.core import context
from antiphon.errors import NotFound
from antiphon.types.items import ItemReference, Message, Reasoning

BASE = "a" * 48


def items(*values):
    return context.input_items([Raw(json.dumps(value).encode()) for value in values])


def kept(*values):
    own = context.keep_input(items(*values), BASE)
    return json.loads(own.array), own.foreign_ids


def test_a_string_is_one_message_of_the_users():
    (message,) = context.input_items("Hi")
    assert isinstance(message, Message)
    assert (message.role, message.content) == ("user", "Hi")


def test_kept_items_have_ids_of_ours_a_status_and_parts():
    array, foreign = kept(
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"type": "reasoning", "summary": [], "content": None},
        {"type": "web_search_call", "status": "completed", "action": {"type": "search"}},
    )
    assert [item["id"] for item in array] == [
        f"msg_{BASE}i0000",
        f"msg_{BASE}i0001",
        f"fco_{BASE}i0002",
        f"rs_{BASE}i0003",
        f"web_search_{BASE}i0004",
    ]
    assert array[0]["content"] == [{"type": "input_text", "text": "Hi"}]
    assert array[1]["content"][0]["type"] == "output_text"
    assert array[0]["status"] == array[2]["status"] == "completed"
    assert "content" not in array[3]
    assert foreign == {}


def test_a_clients_ids_stay_and_can_be_found():
    array, foreign = kept({"role": "user", "content": "Hi", "id": "msg_theirs"}, {"role": "user", "content": "x"})
    assert array[0]["id"] == "msg_theirs"
    assert foreign == {"msg_theirs": 0}


def test_what_is_kept_can_be_read_back_as_history():
    values = (
        {"role": "user", "content": "Hi"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    )
    array = context.keep_input(items(*values), BASE).array
    again = context.decode_history([array], 100)
    assert [type(item).__name__ for item in again] == ["Message", "FunctionCall"]


def test_references_are_replaced_or_refused_with_their_place():
    given = items({"role": "user", "content": "x"}, {"type": "item_reference", "id": "msg_1"}, {"id": "msg_2"})
    assert context.references(given) == ["msg_1", "msg_2"]
    found = {"msg_1": b'{"type":"message","id":"msg_1","role":"user","content":"one"}'}
    with pytest.raises(NotFound) as missing:
        context.resolve_references(given, found)
    assert missing.value.param == "input[2].id"
    found["msg_2"] = b'{"type":"message","id":"msg_2","role":"assistant","content":"two"}'
    resolved = context.resolve_references(given, found)
    assert not any(isinstance(item, ItemReference) for item in resolved)
    assert [item.content for item in resolved] == ["x", "one", "two"]


def test_what_is_replayed_beside_its_history_stands_once():
    history = items({"role": "user", "content": "one", "id": "msg_1"})
    own = items({"role": "user", "content": "one", "id": "msg_1"}, {"role": "user", "content": "two"})
    assert [item.content for item in context.without_doubles(history, own)] == ["one", "two"]


def test_sealed_thoughts_are_restored_and_foreign_ones_left():
    given = items(
        {"type": "reasoning", "summary": [], "encrypted_content": "sealed"},
        {"type": "reasoning", "summary": [], "encrypted_content": "foreign"},
        {
            "type": "reasoning",
            "summary": [],
            "encrypted_content": "sealed",
            "content": [{"type": "reasoning_text", "text": "sent"}],
        },
    )
    opened = context.unsealed(given, lambda text: "thoughts" if text == "sealed" else None)
    texts = [item.content[0].text if item.content else None for item in opened if isinstance(item, Reasoning)]
    assert texts == ["thoughts", None, "sent"]


def test_thoughts_sent_back_by_their_id_alone_are_restored_where_they_are_kept():
    given = items(
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "own"}]},
        {"type": "reasoning", "id": "rs_3", "summary": []},
    )
    assert context.references(given) == ["rs_1", "rs_3"]
    stored = json.dumps({"type": "reasoning", "id": "rs_1", "content": [{"type": "reasoning_text", "text": "kept"}]})
    first, second, third = context.resolve_references(given, {"rs_1": stored.encode()})
    assert (first.content[0].text, second.content[0].text, third) == ("kept", "own", given[2])


def test_an_output_goes_with_its_own_call_where_ids_repeat():
    call = {"type": "function_call", "call_id": "x:0", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "x:0", "output": "o" * 500}
    user = {"role": "user", "content": "u"}
    history = items(call, output, call, output, user)
    left = context.truncated(history, 0.9)
    assert left == history[2:]
