"""Which MCP servers and tools a key and a request may use; credentials, headers."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.access.caller import Caller
from antiphon.config import KeyConfig, McpServerConfig
from tests.server.remote_tools.model import CALL, LISTING, declared, model, said
from tests.server.whole import Client, turn, whole_server

pytestmark = pytest.mark.slow


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
