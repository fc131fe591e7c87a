"""Conversations that are edited, compacted, or held by the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.config import KeyConfig
from antiphon.server.messages.decoder import MessagesRequestDecoder
from antiphon.types.items import FunctionCall, FunctionCallOutput, Reasoning
from tests.server.messages.planned import Planned, planned
from tests.server.messages.test_server_tools import both
from tests.server.whole import Client, Json, upstream, whole_server

TURNS = 5


def conversation(turns: int = TURNS) -> list[Json]:
    """Return a conversation in which each turn has a thought, a call and its result."""
    messages: list[Json] = []
    for turn in range(turns):
        messages += [
            {"role": "user", "content": f"Question {turn}."},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": f"Thought {turn}. " * 20, "signature": "foreign"},
                    {"type": "tool_use", "id": f"c{turn}", "name": f"f{turn % 2}", "input": {"number": turn}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": f"c{turn}", "content": "result " * 100}],
            },
            {"role": "assistant", "content": f"Answer {turn}."},
        ]
    return [*messages, {"role": "user", "content": "And now?"}]


async def edited(*edits: Json) -> tuple[list[Any], list[Any]]:
    """Return the items that come of the conversation, and the edits that were applied."""
    body = {"model": "m", "max_tokens": 9, "messages": conversation(), "context_management": {"edits": edits}}
    decoder = MessagesRequestDecoder(lambda name: name)
    asked = await decoder.decode(json.dumps(body).encode())
    return list(asked.items), decoder.told.edits or []


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("all", TURNS),
        ({"type": "all"}, TURNS),
        ({"type": "thinking_turns", "value": 1}, 1),
        ({"type": "thinking_turns", "value": 3}, 3),
        (None, 1),
        ({"type": "thinking_turns", "value": 9}, TURNS),
    ],
)
async def test_thoughts_of_older_turns_are_left_out(keep: Any, left: int) -> None:
    """Whether the request thinks or not: a conversation is edited all the same."""
    edit = {"type": "clear_thinking_20251015", **({"keep": keep} if keep is not None else {})}
    items, applied = await edited(edit)
    thoughts = [item.content[0].text for item in items if isinstance(item, Reasoning)]
    assert [text.split(". ")[0] for text in thoughts] == [f"Thought {turn}" for turn in range(TURNS - left, TURNS)]
    assert [edit["cleared_thinking_turns"] for edit in applied] == ([TURNS - left] if left < TURNS else [])


@pytest.mark.parametrize(
    ("fields", "cleared"),
    [
        ({"trigger": {"type": "input_tokens", "value": 100_000}}, []),
        ({}, []),  # 100,000 tokens
        ({"trigger": {"type": "input_tokens", "value": 200}}, [0, 1]),
        ({"trigger": {"type": "tool_uses", "value": 4}}, [0, 1]),
        ({"trigger": {"type": "tool_uses", "value": 5}}, []),
        ({"trigger": {"type": "tool_uses", "value": 1}, "keep": {"type": "tool_uses", "value": 1}}, [0, 1, 2, 3]),
        ({"trigger": {"type": "tool_uses", "value": 1}, "keep": {"type": "tool_uses", "value": 0}}, [0, 1, 2, 3, 4]),
        ({"trigger": {"type": "tool_uses", "value": 1}, "exclude_tools": ["f0"]}, [1]),
        ({"trigger": {"type": "tool_uses", "value": 1}, "clear_at_least": {"type": "input_tokens", "value": 9999}}, []),
    ],
)
async def test_results_of_older_calls_are_cleared(fields: Json, cleared: list[int]) -> None:
    items, applied = await edited({"type": "clear_tool_uses_20250919", **fields})
    outputs = [item.output for item in items if isinstance(item, FunctionCallOutput)]
    assert [index for index, output in enumerate(outputs) if output == "[cleared]"] == cleared
    assert [edit["cleared_tool_uses"] for edit in applied] == ([len(cleared)] if cleared else [])
    assert all(edit["cleared_input_tokens"] == 175 * len(cleared) for edit in applied)


@pytest.mark.parametrize(("inputs", "wiped"), [(True, [0, 1]), (["f1"], [1]), (False, []), (None, [])])
async def test_arguments_are_cleared_where_that_is_asked_for(inputs: Any, wiped: list[int]) -> None:
    trigger = {"type": "tool_uses", "value": 1}
    items, _ = await edited({"type": "clear_tool_uses_20250919", "trigger": trigger, "clear_tool_inputs": inputs})
    arguments = [item.arguments for item in items if isinstance(item, FunctionCall)]
    assert [index for index, text in enumerate(arguments) if text == "{}"] == wiped


async def test_edits_together_and_unknown_ones() -> None:
    items, applied = await edited(
        {"type": "clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 2}},
        {"type": "clear_tool_uses_20250919", "trigger": {"type": "tool_uses", "value": 1}},
        {"type": "clear_something_20990101"},
    )
    assert [edit["type"] for edit in applied] == ["clear_thinking_20251015", "clear_tool_uses_20250919"]
    assert sum(isinstance(item, Reasoning) for item in items) == 2


# Over a real socket


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    keys = {name: KeyConfig(key=f"sk-{name}", owner=name) for name in ("ann", "bob")}
    store = str(tmp_path_factory.mktemp("store") / "antiphon.db")
    with upstream(Planned) as url, whole_server(url, store=store, keys=keys) as served:
        yield Client(served.url, "sk-ann")


@pytest.mark.slow
def test_a_conversation_is_compacted_and_goes_on(client: Client) -> None:
    edit = {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 200}, "instructions": "Be loud."}
    messages = [*conversation()[:-1], planned(say="On we go.")]
    fields: Json = {"context_management": {"edits": [edit]}}
    message = both(client, messages, **fields)
    block, text = message["content"]
    assert block["type"] == "compaction" and block["content"] == "Hm." and text["text"] == "On we go."
    assert message["stop_reason"] == "end_turn"
    assert Planned.asked[-2]["messages"][-1]["content"].endswith("Be loud.")  # so the summary was asked for
    again = [*messages, {"role": "assistant", "content": message["content"]}, planned(say="Yes.")]
    both(client, again)
    seen = json.dumps(Planned.asked[-1]["messages"])
    assert "Hm." in seen and "Question 0" not in seen and "On we go." in seen
    # What another server has made stands for what came before it, too, by its text.
    foreign = {**block, "encrypted_content": None}
    both(client, [*messages, {"role": "assistant", "content": [foreign, text]}, planned(say="Yes.")])
    assert "Question 0" not in json.dumps(Planned.asked[-1]["messages"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"context_management": {"edits": [{"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 200},
                                           "pause_after_compaction": True}]}},
        {"compaction": {"type": "summarize"}},
    ],
)  # fmt: skip
def test_an_answer_that_is_a_compaction_alone(client: Client, fields: Json) -> None:
    messages = [*conversation()[:-1], planned(say="Never said.")]
    message = both(client, messages, **fields)
    assert [block["type"] for block in message["content"]] == ["compaction"] and message["stop_reason"] == "compaction"
    both(client, [{"role": "assistant", "content": message["content"]}, planned(say="Yes.")])
    seen = json.dumps(Planned.asked[-1]["messages"])
    assert "Hm." in seen and "Answer 0" not in seen


@pytest.mark.slow
def test_a_thread_is_held_by_the_server(client: Client) -> None:
    body: Json = {"model": "m", "max_tokens": 99}
    function = {"name": "f", "input_schema": {"type": "object"}}
    first = both(client, [planned(["f", {"a": 1}], say="Four.")], tools=[function], thread={"type": "create"})
    call = first["content"][0]
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "four"}
    thread = {"type": "continue", "previous_message_id": first["id"]}
    second = both(client, [{"role": "user", "content": [result]}], tools=[function], thread=thread)
    assert second["content"][0]["text"] == "Four." and second["id"] != first["id"]
    third = both(client, [planned(say="Yes.")], thread={**thread, "previous_message_id": second["id"]})
    said = [message["content"] for message in Planned.asked[-1]["messages"]]
    assert third["content"][0]["text"] == "Yes." and said[-3:-1] == ["four", "Four."]
    # A branch of the conversation, and what others may see of it: nothing.
    both(client, [{"role": "user", "content": [result]}], tools=[function], thread=thread)
    bob = Client(client.url, "sk-bob")
    for who, id in ((bob, first["id"]), (client, "msg_none")):
        missing = {"type": "continue", "previous_message_id": id}
        status, error = who.post("/v1/messages", **body, messages=[planned()], thread=missing)
        assert status == 404 and error["error"]["message"].startswith("thread.previous_message_id: "), error
    status, error = client.post(
        "/v1/messages", **body, messages=[planned()], thread={"type": "continue", "previous_message_id": "x"}
    )
    assert status == 400
    # What is kept is a response, and is deleted as such.
    id = first["id"].replace("msg_", "resp_")
    status, kept = client.get(f"/v1/responses/{id}")
    assert status == 200 and kept["output"][0]["type"] == "function_call" and kept["status"] == "completed"
    assert client.send("DELETE", f"/v1/responses/{id}")[0] == 200
    assert client.post("/v1/messages", **body, messages=[planned()], thread=thread)[0] == 404


@pytest.mark.slow
def test_a_thread_goes_on_after_a_restart(tmp_path: Path) -> None:
    store = str(tmp_path / "antiphon.db")
    with upstream(Planned) as url:
        with whole_server(url, store=store) as client:
            first = both(client, [planned(say="Remember me.")], thread={"type": "create"})
        with whole_server(url, store=store) as client:
            both(client, [planned()], thread={"type": "continue", "previous_message_id": first["id"]})
    assert Planned.asked[-1]["messages"][-2]["content"] == "Remember me."
