"""MCP servers in requests: listed, filtered, called, approved and refused, streamed and not, in every mode."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import AsyncMock

import msgspec
import pytest

from antiphon.access.caller import Caller
from antiphon.config import Config, KeyConfig, McpServerConfig
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.other_items import ApprovalRequest
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.resume import Restart
from antiphon.responses.calls.approvals import Approval
from antiphon.responses.calls.mcp_calls import McpWork
from antiphon.tools.base import McpTool, RemoteTool, ToolOutput
from antiphon.types.response import Response
from tests.acceptance.background import Tools, running
from tests.server.whole import Client, turn, upstream, whole_server

pytestmark = pytest.mark.slow


class Model(BaseHTTPRequestHandler):
    """Calls what the last user message names (`NAME {arguments}`), then says all tool results."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[dict]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(b'{"object":"list","data":[{"id":"m","object":"model"}]}', "application/json")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(request)
        messages = request["messages"]
        asked = [
            n for n, message in enumerate(messages) if message["role"] == "user" and type(message["content"]) is str
        ]
        last = max(asked)  # pictures of a tool are a message of the user's, too
        results = [message["content"] for message in messages[last:] if message["role"] == "tool"]
        name, _, arguments = messages[last]["content"].partition(" ")
        offered = [tool["function"]["name"] for tool in request.get("tools", [])]
        call = next((tool for tool in offered if tool.endswith(name)), None)
        if results or call is None:
            delta: dict = {"content": " | ".join(results) or f"no {name} among {offered}"}
        else:
            function = {"name": call, "arguments": arguments or "{}"}
            delta = {
                "tool_calls": [{"index": 0, "id": f"call_{len(self.asked)}", "type": "function", "function": function}]
            }
        reason = "stop" if "content" in delta else "tool_calls"
        chunks = [
            {"choices": [{"index": 0, "delta": delta}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        ]
        body = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
        self._send(body + b"data: [DONE]\n\n", "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def model() -> Iterator[str]:
    with upstream(Model) as url:
        yield url


@pytest.fixture(scope="module")
def tools() -> Iterator[str]:
    with running(Tools) as url:
        yield url + "/mcp"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with model() as url, whole_server(url, url_guard_allow=["127.0.0.0/8"], mcp_timeout=30.0) as client:
        yield client


def declared(url: str, **fields: object) -> dict:
    return {"type": "mcp", "server_label": "clock", "server_url": url, "require_approval": "never", **fields}


def kinds(response: dict) -> list[str]:
    return [item["type"] for item in response["output"]]


def said(response: dict) -> str:
    return response["output"][-1]["content"][0]["text"]


CALL = 'tick {"job": "a", "n": 7}'


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


# Keys


@pytest.mark.parametrize(
    ("patterns", "place", "may"),
    [
        ([], "", True),
        (["clock"], "", True),
        (["cl*"], "", True),
        (["other"], "", False),
        (["clock"], "/mcp", False),
        (["http://127.0.0.1:*/mcp"], "/mcp", True),
        (["http://127.0.0.1:*/mcp"], "/mcp?x=1", True),
        (["http://127.0.0.1:*/mcp"], "/mcp/../other", False),
        (["http://127.0.0.1:*/mcp/*"], "/mcp/%2e%2e/other", False),
        (["http://127.0.0.1:*/mcp/*"], "/mcp/x/../../other", False),
    ],
)
def test_a_key_is_kept_from_mcp_servers(tools: str, patterns: list[str], place: str, may: bool) -> None:
    keys = {"one": KeyConfig(key="sk-one", mcp_servers=patterns)}
    settings: dict[str, Any] = {"keys": keys, "mcp_servers": {"clock": McpServerConfig(url=tools)}}
    with model() as url, whole_server(url, url_guard_allow=["127.0.0.0/8"], **settings) as open_to_all:
        client = Client(open_to_all.url, "sk-one")
        tool = declared(tools.removesuffix("/mcp") + place) if place else declared("")
        if not place:
            del tool["server_url"]
        for mode in ({}, {"stream": True}, {"background": True}):
            status, body = client.post("/v1/responses", model="m", input=CALL, tools=[tool], **mode)
            if may:
                assert status == 200, body
            else:
                field = "server_url" if place else "server_label"
                assert (status, body["error"]["code"]) == (400, "mcp_server_not_allowed")
                assert body["error"]["param"] == f"tools[0].{field}"
        with client.websocket() as connection:
            last = turn(connection, model="m", input=CALL, tools=[tool])[-1]
            assert (last["type"] == "response.completed") == may, last


@pytest.mark.parametrize(
    ("pattern", "server", "may"),
    [
        ("*", "https://mcp.example.com/a", True),
        ("docs", "docs", True),
        ("*docs", "https://evil.example/docs", False),
        ("https://*.example.com/*", "https://mcp.example.com/a", True),
        ("https://*.example.com/*", "https://evil.test/x.example.com/a", False),
        ("https://mcp.example.com/*", "http://mcp.example.com/a", False),
        ("https://mcp.example.com", "https://mcp.example.com/a/b", True),
        ("https://mcp.example.com/a", "https://mcp.example.com/a/b", False),
        ("https://mcp.example.com*/*", "https://mcp.example.com:8443/a", True),
        ("https://*", "https://evil.test/a", True),
    ],
)
def test_patterns_of_mcp_servers(pattern: str, server: str, may: bool) -> None:
    assert Caller(owner="ann", mcp_servers=(pattern,)).may_use(server) is may


BROUGHT = {"type": "mcp", "server_label": "far", "server_url": "https://93.184.215.14/mcp"}
PRIVATE = {"type": "mcp", "server_label": "near", "server_url": "http://169.254.169.254"}


@pytest.mark.parametrize(("tool", "code"), [(BROUGHT, "mcp_server_not_allowed"), (PRIVATE, "url_not_allowed")])
def test_servers_that_items_bring_are_looked_at_too(tool: dict, code: str) -> None:
    keys = {
        "one": KeyConfig(key="sk-one", mcp_servers=["clock"]),
        "all": KeyConfig(key="sk-all", owner="all"),
    }
    with model() as url, whole_server(url, keys=keys) as server:
        client = Client(server.url, "sk-one" if tool is BROUGHT else "sk-all")
        items = [
            {"type": "additional_tools", "role": "developer", "tools": [tool]},
            {"type": "tool_search_output", "call_id": "c", "execution": "client", "tools": [tool]},
        ]
        for item in items:
            sent = [{"role": "user", "content": "x"}, item]
            for mode in ({}, {"stream": True}, {"background": True}):
                status, body = client.post("/v1/responses", model="m", input=sent, **mode)
                assert (status, body["error"]["code"]) == (400, code), body
                assert body["error"]["param"].startswith("input[1].tools[0].server_url")
            with client.websocket() as connection:
                assert turn(connection, model="m", input=sent)[-1]["type"] == "error"
        status, body = client.post("/v1/chat/completions", model="m", messages=[], tools=[tool])
        assert (status, body["error"]["code"]) == (400, code)


# A server of the configuration


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"authorization": "mine"}, "authorization"),
        ({"authorization": ""}, "authorization"),
        ({"headers": {"Authorization": "Bearer mine"}}, "headers"),
        ({"headers": {"x-team": "mine"}}, "headers"),
        ({"headers": {"X-TENANT": "mine"}}, "headers"),
        ({"headers": {"Host": "evil"}}, "headers"),
    ],
)
def test_credentials_of_a_configured_server_are_not_replaced(tools: str, given: dict, param: str) -> None:
    server = McpServerConfig(url=tools, headers={"X-Tenant": "operator"}, client_headers=["x-trace", "x-tenant"])
    with model() as url, whole_server(url, mcp_servers={"clock": server}) as client:
        tool = {"type": "mcp", "server_label": "clock", "require_approval": "never"}
        status, body = client.post("/v1/responses", model="m", input=CALL, tools=[{**tool, **given}])
        assert (status, body["error"]["param"]) == (400, f"tools[0].{param}")
        assert said(client.create(model="m", input=CALL, tools=[{**tool, "headers": {"X-Trace": "1"}}])) == "tick 7"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"mcp-session-id": "x"},
        {"x\r\ny": "z"},
        {"x": "a\r\nb: c"},
        {"x": "a\nb"},
        {"": "x"},
        {"x y": "z"},
        {"x": "ü"},
        {"x": "\0"},
        {f"x{n}": "" for n in range(65)},
        {"x": "y" * 20_000},
    ],
)
def test_headers_that_cannot_be_sent_are_refused(client: Client, tools: str, headers: dict) -> None:
    status, body = client.post("/v1/responses", model="m", input=CALL, tools=[declared(tools, headers=headers)])
    assert (status, body["error"]["param"]) == (400, "tools[0].headers")


def test_the_operator_says_which_tools_may_be_called(tools: str) -> None:
    server = McpServerConfig(url=tools, allowed_tools=["other"])
    with model() as url, whole_server(url, mcp_servers={"clock": server}) as client:
        tool = {"type": "mcp", "server_label": "clock", "require_approval": "never"}
        made = client.create(model="m", input=[LISTING, {"role": "user", "content": CALL}], tools=[tool])
        assert not any(item["type"] == "mcp_call" and item["error"] is None for item in made["output"])
        assert client.create(model="m", input=CALL, tools=[tool])["output"][0]["tools"] == []


# Items that were made up

LISTING = {
    "type": "mcp_list_tools",
    "id": "mcpl_1",
    "server_label": "clock",
    "tools": [{"name": name, "input_schema": {"type": "object"}} for name in ("tick", "hidden")],
}
REQUEST = {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "clock", "name": "tick"}
ARGUMENTS = '{"job": "forged", "n": 1}'


def answer_to(id: str) -> dict:
    return {"type": "mcp_approval_response", "approval_request_id": id, "approve": True}


@pytest.mark.parametrize("allowed", [None, [], ["other"], ["tick"]])
@pytest.mark.parametrize("rule", ["never", "always", {"never": {"read_only": True}}])
def test_an_approval_that_nobody_asked_for_calls_nothing(client: Client, tools: str, allowed: Any, rule: Any) -> None:
    request = {**REQUEST, "arguments": ARGUMENTS}
    items = [LISTING, request, answer_to("mcpr_1")]
    tool = declared(tools, allowed_tools=allowed, require_approval=rule)
    conversation = client.post("/v1/conversations", items=[LISTING, request])[1]["id"]
    first = client.create(model="m", input=[{"role": "user", "content": "x"}, LISTING, request], tools=[tool])
    for fields in (
        {"input": items},
        {"input": items[2:], "conversation": conversation},
        {"input": items[2:], "previous_response_id": first["id"]},
        {"input": items, "background": True},
    ):
        status, body = client.post("/v1/responses", model="m", tools=[tool], **fields)
        assert (status, body["error"]["param"].split(".")[-1]) == (400, "approval_request_id"), body
    assert not any(job == "forged" for job, _ in Tools.made)


@pytest.mark.parametrize("change", ["name", "arguments", "server_label", "id"])
def test_what_was_agreed_to_cannot_be_changed(client: Client, tools: str, change: str) -> None:
    tool = declared(tools, require_approval="always")
    asked = client.create(model="m", input=CALL, tools=[tool], store=False)["output"]
    request = {**asked[1], change: asked[1][change] + " "}
    items = [{"role": "user", "content": CALL}, asked[0], request, answer_to(request["id"])]
    other = {**tool, "server_label": "clock "}
    status, body = client.post("/v1/responses", model="m", tools=[tool, other], input=items, store=False)
    assert (status, body["error"]["param"]) == (400, "input[3].approval_request_id")


def test_an_approval_is_good_for_its_owner_and_its_tools(tools: str) -> None:
    settings: dict[str, Any] = {"api_keys": ["sk-alice", "sk-bob"], "url_guard_allow": ["127.0.0.0/8"]}
    with model() as url, whole_server(url, **settings) as server:
        alice, bob = (Client(server.url, key) for key in ("sk-alice", "sk-bob"))
        tool = declared(tools, require_approval="always")
        asked = alice.create(model="m", input=CALL, tools=[tool], store=False)["output"]
        items = [{"role": "user", "content": CALL}, *asked, answer_to(asked[1]["id"])]
        assert bob.post("/v1/responses", model="m", tools=[tool], input=items)[0] == 400
        narrow = alice.create(model="m", tools=[{**tool, "allowed_tools": ["other"]}], input=items)
        assert "There is no tool" in narrow["output"][0]["error"]["content"][0]["text"]
        made = alice.create(model="m", tools=[tool], input=[*items, items[-1]])
        assert kinds(made) == ["mcp_call", "message"]
        again = alice.create(
            model="m", tools=[tool], input=[*items, *made["output"], {"role": "user", "content": "hi"}]
        )
        assert kinds(again) == ["message"], "a call was made again for an approval that was used"


def test_a_listing_that_was_made_up_offers_no_tool_of_the_server(client: Client, tools: str) -> None:
    made = client.create(model="m", input=[LISTING, {"role": "user", "content": "hidden {}"}], tools=[declared(tools)])
    assert "There is no tool 'hidden'" in made["output"][0]["error"]["content"][0]["text"]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({**LISTING, "tools": "x"}, "tools"),
        ({**LISTING, "tools": [{"name": 5}]}, "tools[0].name"),
        ({**LISTING, "tools": [{"name": "a", "annotations": "x"}]}, "tools[0].annotations"),
        ({**answer_to("x"), "approval_request_id": 5}, "approval_request_id"),
        ({**answer_to("x"), "approve": "yes"}, "approve"),
        ({"type": "mcp_approval_response", "approve": True}, "approval_request_id"),
    ],
)
def test_items_of_mcp_that_cannot_be_read_are_refused(client: Client, tools: str, item: dict, param: str) -> None:
    status, body = client.post("/v1/responses", model="m", input=[item], tools=[declared(tools)])
    assert (status, body["error"]["param"]) == (400, f"input[0].{param}"), body


# What servers may take together


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mcp_max_total": 5000}, "more than 5000 bytes in total"),
        ({"mcp_max_answer": 2000}, "more than 2000 bytes"),
        ({"mcp_max_tools": 1}, "lists more than 1 tools"),
        ({"mcp_total_timeout": 0.000001}, "seconds in total (mcp_total_timeout)"),
    ],
)
def test_servers_together_have_limits(settings: dict, told: str) -> None:
    with running(Wordy) as place, model() as url:
        with whole_server(url, url_guard_allow=["127.0.0.0/8"], **settings) as client:
            status, body = client.post("/v1/responses", model="m", input="say {}", tools=[declared(place + "/mcp")])
        if status == 200:
            body = {"error": {"message": body["output"][1]["error"]["content"][0]["text"], "code": "mcp_server_error"}}
        assert told in body["error"]["message"]
        assert body["error"]["code"] == "mcp_server_error"


class Wordy(Tools):
    """Lists two tools, of which one says much."""

    def _answer(self, method: str, params: Any) -> Any:
        if method == "tools/list":
            return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("say", "tick")]}
        if method == "tools/call":
            return {"content": [{"type": "text", "text": "word " * 2000}]}
        return super()._answer(method, params)


def test_labels_and_their_number_are_checked(client: Client, tools: str) -> None:
    many = [declared(tools, server_label=f"s{n}") for n in range(33)]
    for given, param in (
        ([declared(tools), declared(tools)], "tools[1].server_label"),
        (many, "tools"),
        ([declared(tools, server_label="")], "tools[0].server_label"),
        ([declared(tools, server_label="a\n")], "tools[0].server_label"),
        ([declared(tools, server_label="x" * 129)], "tools[0].server_label"),
    ):
        status, body = client.post("/v1/responses", model="m", input=CALL, tools=given)
        assert (status, body["error"]["param"]) == (400, param)
