"""What a server that speaks Responses is asked: the document's own form, whatever a history holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from openai.types.responses import ResponseInputItemParam
from pydantic import TypeAdapter

from antiphon.backends.responses.codec import request
from antiphon.backends.responses.items import RequestForm, sent_items
from antiphon.core.context import keep_input
from antiphon.core.json_encoding import to_json
from antiphon.core.relay.shapes import NEEDS_ID, NEEDS_STATUS
from antiphon.core.request.decoding import decode_items, decode_request, decode_tools
from tests.backends.turns import turn
from tests.oracle.documents import OPENAI

Json = dict[str, Any]

_their_item: TypeAdapter[ResponseInputItemParam] = TypeAdapter(ResponseInputItemParam)
TEXT = {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}


def asked(items: list[Json], form: RequestForm | None = None, **fields: Any) -> Json:
    """Return the body that a server gets for a history and a request's fields."""
    made, extra = decode_request(msgspec.json.encode({"model": "m", "input": "x", **fields}))
    call = turn(items=items, request=made, extra=extra, tools=decode_tools(made.tools))
    return json.loads(request(call, form) if form is not None else request(call))


def sent(item: Json, **form: bool) -> Json | None:
    items = asked([item], RequestForm(**form))["input"]
    assert len(items) <= 1
    return items[0] if items else None


ITEMS: dict[str, tuple[Json, Json | None]] = {
    "a user's message": (
        {"id": "msg_1", "type": "message", "role": "user", "status": "completed", "content": "Hi"},
        {"type": "message", "role": "user", "content": "Hi"},
    ),
    "its parts": (
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "input_text", "text": "b"},
                {"type": "output_text", "text": "c"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "file_id": None, "detail": None},
                {"type": "input_file", "file_id": "file_1", "filename": None, "file_data": None},
            ],
        },
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a"},
                {"type": "input_text", "text": "b"},
                {"type": "input_text", "text": "c"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
                {"type": "input_file", "file_id": "file_1"},
            ],
        },
    ),
    "an answer as text": (
        {"role": "assistant", "content": "Hi"},
        {"type": "message", "role": "assistant", "status": "completed", "content": [TEXT]},
    ),
    "an answer of another server": (
        {
            "id": "chatcmpl-1",
            "type": "message",
            "role": "assistant",
            "status": "done",
            "phase": None,
            "content": [{"type": "input_text", "text": "Hi"}],
        },
        {"type": "message", "role": "assistant", "status": "completed", "content": [TEXT]},
    ),
    "an answer with nulls and a phase": (
        {
            "id": None,
            "type": "message",
            "role": "assistant",
            "status": None,
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "Hi", "annotations": None, "logprobs": None}],
        },
        {"type": "message", "role": "assistant", "status": "completed", "phase": "commentary", "content": [TEXT]},
    ),
    "sealed thoughts": (
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [],
            "content": None,
            "status": None,
            "encrypted_content": "gAAA",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
    ),
    "thoughts as text": (
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "text", "text": "hm"}],
            "encrypted_content": "",
        },
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
    ),
    "thoughts with this server's own seal": (
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "encrypted_content": "ANT2.0.reasoning.2.x",
        },
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
    ),
    "a summary alone (oMLX)": (
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "s"}],
            "content": None,
            "encrypted_content": None,
        },
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "s"}],
            "content": [{"type": "reasoning_text", "text": "s"}],
        },
    ),
    "thoughts of which nothing is left": (
        {"id": "rs_1", "type": "reasoning", "summary": [], "content": [], "encrypted_content": ""},
        None,
    ),
    "thoughts with a signature (OpenRouter)": (
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "signature": "sig",
            "format": "f",
        },
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "signature": "sig",
            "format": "f",
        },
    ),
    "a call": (
        {
            "id": "fc_1",
            "type": "function_call",
            "call_id": "c",
            "name": "f",
            "arguments": "",
            "namespace": None,
            "status": "failed",
        },
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ),
    "a call that was cut": (
        {
            "type": "custom_tool_call",
            "call_id": "c",
            "name": "f",
            "input": "",
            "namespace": "n",
            "status": "incomplete",
        },
        {
            "type": "custom_tool_call",
            "call_id": "c",
            "name": "f",
            "input": "",
            "namespace": "n",
            "status": "incomplete",
        },
    ),
    "a search": (
        {
            "id": "ws_1",
            "type": "web_search_call",
            "status": "open",
            "caller": None,
            "action": {"type": "search", "query": "x"},
        },
        {
            "id": "ws_1",
            "type": "web_search_call",
            "status": "completed",
            "action": {"type": "search", "query": "x"},
        },
    ),
    "a shell call": (
        {
            "id": "sh_1",
            "type": "shell_call",
            "call_id": "c",
            "status": None,
            "action": {"commands": ["ls"]},
            "environment": None,
        },
        {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}, "environment": None},
    ),
}


@pytest.mark.parametrize(("item", "expected"), ITEMS.values(), ids=ITEMS)
def test_an_item(item: Json, expected: Json | None) -> None:
    assert sent(item) == expected


@pytest.mark.parametrize(("item", "expected"), ITEMS.values(), ids=ITEMS)
def test_with_ids_it_is_an_item_to_the_letter(item: Json, expected: Json | None) -> None:
    """For servers that check each item against the types of the `openai` package (vLLM before 0.20)."""
    made = sent(item, ids=True)
    if made is None:
        assert expected is None
        return
    _their_item.validate_python(made)
    id = made.get("id", "")
    assert made == ({**(expected or {}), "id": id} if id else expected)


def test_an_output_of_parts() -> None:
    item = {
        "id": "fco_1",
        "type": "function_call_output",
        "call_id": "c",
        "status": "completed",
        "output": [
            {"type": "text", "text": "a"},
            {"type": "input_image", "image_url": "https://a/b", "file_id": None, "detail": None},
        ],
    }
    assert sent(item) == {
        "type": "function_call_output",
        "call_id": "c",
        "output": [
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": "https://a/b", "detail": "auto"},
        ],
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None},
            {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}},
        ),
        (
            {"type": "function", "name": "f", "parameters": {"type": "object", "default": None}, "strict": False},
            {
                "type": "function",
                "name": "f",
                "parameters": {"type": "object", "default": None, "properties": {}},
                "strict": False,
            },
        ),
        (
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": {"type": "object", "properties": {}},
                "strict": True,
            },
        ),
        ({"type": "custom", "name": "f", "format": None}, {"type": "custom", "name": "f"}),
        (
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f", "strict": None}]},
            {
                "type": "namespace",
                "name": "n",
                "description": "",
                "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
            },
        ),
        (
            {"type": "web_search", "filters": None, "user_location": {"city": None}},
            {"type": "web_search", "user_location": {"city": None}},
        ),
    ],
)
def test_a_tool(given: Json, expected: Json) -> None:
    assert asked([], tools=[given])["tools"] == [expected]


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
