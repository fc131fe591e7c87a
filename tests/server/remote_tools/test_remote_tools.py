"""MCP servers in requests: listed, filtered, called, approved and refused, streamed and not, in every mode."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import msgspec
import pytest

from antiphon.config import Config
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.other_items import ApprovalRequest
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.resume import Restart
from antiphon.responses.calls.approvals import Approval
from antiphon.responses.calls.mcp_calls import McpWork
from antiphon.tools.base import McpTool, RemoteTool, ToolOutput
from antiphon.types.response import Response
from tests.server.remote_tools.model import CALL, Model, declared, kinds, said
from tests.server.whole import Client, turn

pytestmark = pytest.mark.slow


def test_a_tool_is_listed_called_and_told_of(client: Client, tools: str) -> None:
    made = client.create(model="m", input=CALL, tools=[declared(tools)])
    assert kinds(made) == ["mcp_list_tools", "mcp_call", "message"]
    assert said(made) == "tick 7"
    call = made["output"][1]
    assert (call["name"], call["server_label"], call["output"], call["error"]) == ("tick", "clock", "tick 7", None)
    assert json.loads(call["arguments"]) == {"job": "a", "n": 7}


def test_the_events_of_listing_and_call(client: Client, tools: str) -> None:
    events = client.stream(model="m", input=CALL, tools=[declared(tools)])
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    seen = [event["type"].removeprefix("response.") for event in events]
    assert seen[:13] == [
        "created",
        "in_progress",
        "output_item.added",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "output_item.done",
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.completed",
        "output_item.done",
        "output_item.added",
    ]


def test_what_is_listed_already_is_not_listed_again(client: Client, tools: str) -> None:
    first = client.create(model="m", input=CALL, tools=[declared(tools)])
    again = client.create(model="m", input=CALL, tools=[declared(tools)], previous_response_id=first["id"])
    assert kinds(again) == ["mcp_call", "message"]


def test_allowed_tools_hold(client: Client, tools: str) -> None:
    made = client.create(model="m", input=CALL, tools=[declared(tools, allowed_tools=["other"])])
    assert kinds(made) == ["mcp_list_tools", "message"]
    assert said(made) == "no tick among []"


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("approve", [True, False])
def test_an_approval_is_asked_for_and_answered(client: Client, tools: str, stored: bool, approve: bool) -> None:
    for rule in ("always", None, {"always": {"tool_names": ["tick"]}}, {"never": {"tool_names": ["other"]}}):
        tool = declared(tools, require_approval=rule)
        asked = client.create(model="m", input=CALL, tools=[tool], store=stored)
        assert kinds(asked) == ["mcp_list_tools", "mcp_approval_request"]
        request = asked["output"][1]
        answer = {
            "type": "mcp_approval_response",
            "approval_request_id": request["id"],
            "approve": approve,
            "reason": "so",
        }
        if stored:
            fields: dict = {"input": [answer], "previous_response_id": asked["id"]}
        else:
            fields = {"input": [{"role": "user", "content": CALL}, *asked["output"], answer], "store": False}
        made = client.create(model="m", tools=[tool], **fields)
        assert kinds(made) == ["mcp_call", "message"]
        assert made["output"][0]["approval_request_id"] == request["id"]
        assert ("tick 7" in said(made)) == approve


def test_a_compacted_context_stays_compacted_with_tools(client: Client, tools: str) -> None:
    Model.asked.clear()
    past = [{"role": "user", "content": "ANCIENT " * 200}, {"role": "assistant", "content": "ok"}]
    made = client.create(
        model="m",
        input=[*past, {"role": "user", "content": CALL}],
        tools=[declared(tools)],
        context_management=[{"type": "compaction", "compact_threshold": 100}],
    )
    assert kinds(made) == ["compaction", "mcp_list_tools", "mcp_call", "message"]
    assert said(made) == "tick 7"
    assert ["ANCIENT" in json.dumps(request["messages"]) for request in Model.asked] == [True, False, False]


async def test_a_run_taken_over_makes_no_approved_call_again() -> None:
    done = {
        "type": "mcp_call",
        "id": "mcp_1",
        "server_label": "clock",
        "name": "tick",
        "arguments": "{}",
        "output": "1",
    }
    encode = msgspec.json.encode
    approvals = [Approval(ApprovalRequest(f"mcpr_{n}", "clock", "tick"), approve=True) for n in (1, 2)]
    stream = ResponseStream(Response(id="resp_1", created_at=1, model="m"), "0")
    stream.restore(
        Restart(
            sequence_number=9,
            announced=True,
            begun=False,
            ended=False,
            output=[encode({**done, "approval_request_id": "mcpr_1"})],
            usage=None,
        )
    )
    stream.start()
    server = AsyncMock()
    server.list.return_value = [RemoteTool(server_label="clock", name="tick")]
    server.call.return_value = ToolOutput("2")
    services: Any = SimpleNamespace(tool_servers=SimpleNamespace(connect=lambda tool: server), config=Config())
    work = McpWork([McpTool(server_label="clock")], approvals, "ann", stream, services, lambda: None)
    await work.prepare([], decode_items([msgspec.Raw(item) for item in stream.output]))
    assert server.call.await_count == 1
    items = [json.loads(item) for item in stream.output if item]
    calls = [item["approval_request_id"] for item in items if item["type"] == "mcp_call"]
    assert calls == ["mcpr_1", "mcpr_2"]


def test_tools_that_need_none_are_called_at_once(client: Client, tools: str) -> None:
    tool = declared(tools, require_approval={"never": {"tool_names": ["tick"]}})
    assert kinds(client.create(model="m", input=CALL, tools=[tool])) == ["mcp_list_tools", "mcp_call", "message"]


def test_a_forced_call_is_forced_once(client: Client, tools: str) -> None:
    Model.asked.clear()
    made = client.create(model="m", input=CALL, tools=[declared(tools)], tool_choice="required")
    assert said(made) == "tick 7"
    assert [request.get("tool_choice") for request in Model.asked] == ["required", None]


def test_max_tool_calls_ends_the_calling(client: Client, tools: str) -> None:
    made = client.create(model="m", input=CALL, tools=[declared(tools)], max_tool_calls=1)
    assert kinds(made) == ["mcp_list_tools", "mcp_call", "message"]


def test_calls_of_the_client_end_the_response(client: Client, tools: str) -> None:
    own = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
    made = client.create(model="m", input="look {}", tools=[declared(tools), own])
    assert kinds(made) == ["mcp_list_tools", "function_call"]


def test_a_server_that_cannot_be_reached_is_a_clear_error(client: Client) -> None:
    status, body = client.post("/v1/responses", model="m", input=CALL, tools=[declared("http://127.0.0.1:9/mcp")])
    assert (status, body["error"]["code"]) == (424, "mcp_server_error")
    events = client.stream(model="m", input=CALL, tools=[declared("http://127.0.0.1:9/mcp")])
    assert [event["type"] for event in events][-2:] == ["error", "response.failed"]
    assert "response.mcp_list_tools.failed" in [event["type"] for event in events]


def test_private_addresses_are_refused_before_anything_streams(client: Client) -> None:
    for url in ("http://10.0.0.1/mcp", "http://[fd00::1]/mcp", "file:///etc/passwd"):
        status, body = client.post("/v1/responses", model="m", input="x", stream=True, tools=[declared(url)])
        assert (status, body["error"]["param"]) == (400, "tools[0].server_url")


def test_in_the_background_and_over_websocket(client: Client, tools: str) -> None:
    queued = client.create(model="m", input=CALL, tools=[declared(tools)], background=True)
    assert said(client.finished(queued["id"])) == "tick 7"
    with client.websocket() as connection:
        assert said(turn(connection, model="m", input=CALL, tools=[declared(tools)])[-1]["response"]) == "tick 7"
