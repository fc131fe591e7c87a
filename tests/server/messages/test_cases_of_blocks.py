"""What clients of the Messages API rely on: calls, results, blocks, choices among tools."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.messages.case_requests import PNG, SHAPES, TOOL, asking, both, call, post, sent
from tests.server.messages.planned import Planned, planned
from tests.server.whole import Client, Json

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("error", [None, False, True])
def test_calls_and_results(client: Client, error: bool | None) -> None:
    use = {"type": "tool_use", "id": "call_1", "name": "f", "input": {"b": 1, "a": 2}}
    result: Json = {"type": "tool_result", "tool_use_id": "call_1", "content": "Exit code 3"}
    if error is not None:
        result["is_error"] = error
    history = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": [use]}]
    post(client, asking([*history, {"role": "user", "content": [result]}]))
    call, output = sent()[-2:]
    assert call["tool_calls"][0]["id"] == "call_1" == output["tool_call_id"] and output["role"] == "tool"
    assert call["tool_calls"][0]["function"]["arguments"].replace(" ", "") == '{"b":1,"a":2}'
    assert output["content"] == ("Error:\nExit code 3" if error else "Exit code 3")


def test_pictures_in_a_result(client: Client) -> None:
    use = {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": [image]}
    history = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": [use]}]
    assert post(client, asking([*history, {"role": "user", "content": [result]}])).status_code == 200
    assert f"data:image/png;base64,{PNG}" in json.dumps(sent())
    image["source"] = {**image["source"], "data": "???"}  # type: ignore[dict-item]  # a source is an object
    answer = post(client, asking([{"role": "user", "content": [image]}]))
    assert answer.json()["error"]["message"].startswith("messages.0.content.0.source.data: ")


def test_results_come_before_what_is_said(client: Client) -> None:
    uses = [{"type": "tool_use", "id": f"c{n}", "name": "f", "input": {}} for n in (1, 2)]
    results = [{"type": "tool_result", "tool_use_id": f"c{n}", "content": f"r{n}"} for n in (1, 2)]
    said = {"type": "text", "text": "And?"}
    for content in ([*results, said], [said, *results], [results[0], said, results[1]]):
        turns = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": uses}]
        post(client, asking([*turns, {"role": "user", "content": content}]))
        assert [message["content"] for message in sent()[-3:]] == ["r1", "r2", "And?"]


@pytest.mark.parametrize("shape", SHAPES)
def test_blocks(client: Client, shape: str) -> None:
    deltas, finish, blocks, reason = SHAPES[shape]
    message = both(
        client, [planned(deltas=deltas, finish=finish)], tools=[TOOL], thinking={"type": "adaptive"}, max_tokens=4000
    )
    told = [block.get("input", block.get("text", f"({block.get('thinking')})")) for block in message["content"]]
    assert told == blocks and message["stop_reason"] == reason


@pytest.mark.parametrize("id", ["functions.Bash:0", "call-1_2", "chatcmpl.tool/é"])
def test_ids_of_any_backend_come_back(client: Client, id: str) -> None:
    user = planned(deltas=[call(0, id, arguments="{}")])
    block = both(client, [user], tools=[TOOL])["content"][0]
    assert block["id"].replace("_", "").replace("-", "").isalnum() and block["id"].isascii()
    result = {"type": "tool_result", "tool_use_id": block["id"], "content": "r"}
    history = [user, {"role": "assistant", "content": [block]}, {"role": "user", "content": [result]}]
    assert post(client, asking(history, tools=[TOOL])).status_code == 200
    made, output = sent()[-2:]
    assert made["tool_calls"][0]["id"] == output["tool_call_id"]


@pytest.mark.parametrize(
    ("choice", "there"),
    [
        ({"type": "auto"}, None),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_choices_among_tools(client: Client, choice: Json, there: Any, alone: bool) -> None:
    body = asking([planned(deltas=[call(0, "a", arguments="{}")])], tools=[TOOL])
    post(client, {**body, "tool_choice": {**choice, "disable_parallel_tool_use": alone}})
    assert Planned.asked[-1].get("tool_choice") == there
    assert Planned.asked[-1].get("parallel_tool_calls", True) is not alone


def test_a_long_name_comes_back(client: Client) -> None:
    name = "a" * 128
    tools = [{"name": name, "input_schema": {"type": "object"}}]
    post(client, asking([planned()], tools=tools))
    short = Planned.asked[-1]["tools"][0]["function"]["name"]
    assert len(short) <= 64
    message = both(client, [planned([short, {}])], tools=tools)
    assert message["content"][0]["name"] == name
