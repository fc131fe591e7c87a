"""Fields of requests to Responses backends: ids, statuses, agents, programs; what a server takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Raw

from antiphon.backends.responses.items import RequestForm, sent_items
from antiphon.core.context import keep_input
from antiphon.core.json_encoding import to_json
from antiphon.core.relay.shapes import NEEDS_ID, NEEDS_STATUS
from antiphon.core.request.decoding import decode_items
from tests.backends.responses.codec_requests import Json, asked, sent
from tests.oracle.documents import OPENAI


def test_the_id_of_a_call_is_no_longer_than_servers_take() -> None:
    long = "call_65OReGAIB0M4612fiyF6YMbI|fc_0feebbbc39e113d4016969ff3539208191914ede46e71d5d06"
    kinds = {"function_call": {"name": "f", "arguments": "{}"}, "custom_tool_call": {"name": "f", "input": ""}}
    kinds["shell_call"] = {"action": {"commands": []}}
    for kind, fields in kinds.items():
        outputs: Any = {"output": [] if kind == "shell_call" else "x"}
        for id in (long, "functions.Bash:0", "x" * 40):
            items = [{"type": kind, "call_id": id, **fields}, {"type": f"{kind}_output", "call_id": id, **outputs}]
            first, second = (item["call_id"] for item in asked(items)["input"])
            assert first == second and 0 < len(first) <= 64
            assert first != id or len(id) <= 64


def test_what_a_server_that_keeps_nothing_is_asked() -> None:
    body = asked([], include=["file_search_call.results", "reasoning.encrypted_content"], parallel_tool_calls=False)
    assert body["include"] == ["file_search_call.results", "reasoning.encrypted_content"]
    assert (body["store"], body["stream"]) == (False, True)
    assert not {"parallel_tool_calls", "tools", "tool_choice", "previous_response_id"} & body.keys()
    assert asked([])["include"] == ["reasoning.encrypted_content"]
    assert "include" not in asked([], RequestForm(asks_seals=False))
    tools = [{"type": "function", "name": "f"}]
    assert asked([], tools=tools, parallel_tool_calls=False)["parallel_tool_calls"] is False


def test_thoughts_for_servers_that_take_only_some() -> None:
    both = {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "hm"}],
        "encrypted_content": "gAAA",
    }
    assert (sent(both, thoughts=False) or {}).keys() == {"type", "summary", "encrypted_content"}
    assert (sent(both, seals=False) or {}).keys() == {"type", "summary", "content"}
    assert sent(both, seals=False, thoughts=False) is None


def _alternatives(schema: Json) -> Iterator[Json]:
    for entry in schema.get("anyOf") or schema.get("oneOf") or ():
        found = OPENAI.schemas[entry["$ref"].rsplit("/", 1)[1]] if "$ref" in entry else entry
        if "type" in found.get("properties", {}):
            yield found
        else:
            yield from _alternatives(found)


def test_ids_and_statuses_stand_where_the_document_requires_them() -> None:
    own = {"message", "reasoning"}  # of these servers take what has no id
    later = {"agent_message", "multi_agent_call", "multi_agent_call_output"}  # in the package's types, with an id
    for name, ours in (("id", NEEDS_ID), ("status", NEEDS_STATUS)):
        required = {
            type
            for schema in _alternatives(OPENAI.schemas["InputItem"])
            if name in schema.get("required", ())
            for type in schema["properties"]["type"].get("enum", ())
        }
        assert required - own == ours - later


def test_fields_that_only_such_servers_follow_reach_them() -> None:
    fields: Json = {
        "multi_agent": {"enabled": True},
        "access_programs": {"cyber": "standard"},
        "image": {"context_compression": "auto"},
        "reasoning": {"mode": "m", "context": "all_turns", "effort": "low"},
    }
    agents = [
        {"type": "agent_message", "id": "amsg_1", "author": "a", "recipient": "b", "content": []},
        {"type": "multi_agent_call", "id": "mac_1", "call_id": "c", "action": "wait_agent", "arguments": "{}"},
    ]
    body = asked(agents, **fields)
    assert body["input"] == agents
    thinking = fields.pop("reasoning")
    assert {name: body[name] for name in fields} == fields
    assert {name: body["reasoning"][name] for name in ("mode", "context")} == {"mode": "m", "context": "all_turns"}
    assert set(thinking) >= set(body["reasoning"])


def test_ids_of_calls_are_ones_that_every_server_takes() -> None:
    def call(id: str) -> Json:
        return {"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"}

    def output(id: str, text: str) -> Json:
        return {"type": "function_call_output", "call_id": id, "output": text}

    plain = [call("call_1"), output("call_1", "a")]
    assert asked(plain)["input"] == plain
    long = f"functions.read:0|{'x' * 80}"
    sent = asked(
        [*plain, call("f:0"), output("f:0", "b"), call(long), output(long, "c"), call("call_1"), output("call_1", "d")]
    )
    pairs = [
        (one["call_id"], other["call_id"], other["output"])
        for one, other in zip(*[iter(sent["input"])] * 2, strict=True)
    ]
    assert [text for _, _, text in pairs] == ["a", "b", "c", "d"]
    assert all(one == other and re.fullmatch("[A-Za-z0-9_-]{1,40}", one) for one, other, _ in pairs)
    assert len({one for one, _, _ in pairs}) == 4 and pairs[0][0] == "call_1"


AGENT = {"agent_name": "planner"}


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "user", "content": "Hello."},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "a"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "1"},
    ],
    ids=lambda item: item["type"],
)
def test_the_agent_of_an_item_is_kept_and_sent(item: dict[str, Any]) -> None:
    """It is stored as it came and goes to backends that run several agents; what is no object goes to none."""
    for agent, wanted in ((AGENT, AGENT), (None, None), ("planner", None)):
        (decoded,) = decode_items([Raw(json.dumps({**item, "agent": agent}).encode())])
        (kept,) = json.loads(keep_input([decoded], "0").array)
        assert kept["agent"] == agent
        (found,) = json.loads(to_json(sent_items([decoded], RequestForm())))
        assert found.get("agent") == wanted
    (decoded,) = decode_items([Raw(json.dumps(item).encode())])
    assert "agent" not in json.loads(keep_input([decoded], "0").array)[0]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "mcp_call", "id": "mcp_1", "server_label": "s", "name": "f", "arguments": "{}", "output": "1"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "a"}},
    ],
    ids=lambda item: item["type"],
)
def test_a_program_is_named_where_the_document_has_a_field_for_it(item: dict[str, Any]) -> None:
    called = {"call_id": "call_1", "caller": {"type": "program", "caller_id": "p"}}
    assert sent({**item, **called}) == sent(item)
    shell = {"type": "shell_call", "status": "completed", "action": {"commands": ["ls"]}, **called}
    made = sent(shell)
    assert made is not None and made["caller"] == called["caller"] and made["call_id"] == "call_1"
