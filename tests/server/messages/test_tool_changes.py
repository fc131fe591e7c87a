"""Tools that come and go in a conversation, and listings of MCP servers that a client carries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import httpx2 as httpx
import pytest

from antiphon.errors import InvalidRequest
from antiphon.server.messages.decoder import MessagesRequestDecoder
from antiphon.types.items import Message
from antiphon.types.tools import FunctionTool
from tests.acceptance.background import Tools, running
from tests.server.messages.planned import Planned, planned
from tests.server.messages.test_server_tools import CALL, bare, check_types, server
from tests.server.test_messages import folded
from tests.server.whole import Client, Json, upstream, whole_server

SCHEMA = {"type": "object"}
TOOLS = [
    {"name": "late", "input_schema": SCHEMA, "defer_loading": True},
    {"name": "f", "input_schema": SCHEMA},
    {"name": "later", "input_schema": SCHEMA, "defer_loading": True},
]
FRESH = {"name": "fresh", "description": "New.", "input_schema": SCHEMA}


def system(*blocks: Json, **fields: Any) -> Json:
    return {"role": "system", "content": list(blocks), **fields}


def added(**tool: Any) -> Json:
    return {"type": "tool_addition", "tool": tool}


def removed(**tool: Any) -> Json:
    return {"type": "tool_removal", "tool": tool}


def named(name: str) -> Json:
    return {"type": "tool_reference", "name": name}


def defined(definition: Json) -> Json:
    return {"type": "tool_definition", "definition": definition}


async def decoded(*messages: Json, **fields: Any) -> Any:
    said = {"role": "user", "content": "Hi."}
    body = {"model": "m", "max_tokens": 9, "messages": [said, *messages, said], "tools": TOOLS, **fields}
    return await MessagesRequestDecoder(lambda name: name).decode(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ([], ["f"]),
        ([added(**named("later")), added(**named("late"))], ["f", "later", "late"]),
        ([removed(**named("f")), added(**named("late"))], ["late"]),
        ([added(**named("late")), removed(**named("late"))], ["f"]),
        ([removed(**named("f")), added(**named("f"))], ["f"]),
        ([added(**named("late")), added(**defined(FRESH))], ["f", "late", "fresh"]),
        ([added(**defined(FRESH)), added(**named("late")), removed(**named("fresh"))], ["f", "late"]),
        ([added(**defined({**FRESH, "name": "f"}))], ["f"]),
        ([added(**named("unknown"))], ["f"]),
    ],
)
async def test_tools_come_and_go(changes: list[Json], names: list[str]) -> None:
    for parts in ([system(*changes)], [system(change) for change in changes]):
        asked = await decoded(*parts)
        assert [tool.name for tool in asked.tools] == names and not asked.ignored
    last = [tool for tool in asked.tools if tool.name == "f" and tool.description]
    assert bool(last) is (changes[:1] == [added(**defined({**FRESH, "name": "f"}))])


async def test_a_definition_is_any_tool() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    asked = await decoded(system(added(**defined(search)), added(**defined({"type": "bash_20250124", "name": "bash"}))))
    assert [tool.name if isinstance(tool, FunctionTool) else tool.type for tool in asked.tools] == [
        "f",
        "bash",
        "web_search",
    ]


@pytest.mark.parametrize(
    ("block", "path"),
    [
        ({"type": "tool_addition"}, "messages.1.content.0.tool"),
        ({"type": "tool_removal", "tool": {"name": "f"}}, "messages.1.content.0.tool"),
        (added(**defined({"name": 7})), "messages.1.content.0.tool.definition"),
    ],
)
async def test_what_is_malformed_is_named(block: Json, path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await decoded(system(block))
    assert (refused.value.param or "").startswith(path), refused.value.param


async def test_what_is_not_known_is_named() -> None:
    asked = await decoded(system(added(type="new_reference", name="f"), removed(**defined(FRESH))))
    assert asked.ignored == ["tool_addition", "tool_removal"]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, True),
        ({"clear_at": None}, True),
        ({"clear_at": "never"}, True),
        ({"clear_at": "next_user_message"}, False),
    ],
)
async def test_a_text_is_cleared_and_the_tools_of_its_message_stay(fields: Json, shown: bool) -> None:
    asked = await decoded(system({"type": "text", "text": "Note."}, added(**named("late")), **fields))
    texts = [item for item in asked.items if isinstance(item, Message) and item.role == "system"]
    assert bool(texts) is shown and [tool.name for tool in asked.tools] == ["f", "late"]


async def test_a_message_that_only_sets_the_effort() -> None:
    alone = {"role": "system", "output_config": {"effort": "low"}}
    asked = await decoded(alone, thinking={"type": "adaptive"})
    assert asked.request.reasoning.effort == "low"
    for message in ({"role": "system"}, {"role": "user"}, {"role": "assistant", "content": None}):
        with pytest.raises(InvalidRequest) as refused:
            await decoded(message)
        assert (refused.value.param or "").startswith("messages.1.content")


# MCP servers


class Listing(Tools):
    """Counts how often it is asked for its tools."""

    listed: ClassVar[list[str]] = []

    def _answer(self, method: str, params: Json) -> Json | None:
        if method == "tools/list":
            self.listed.append(method)
        return super()._answer(method, params)


@pytest.fixture(scope="module")
def mcp() -> Iterator[str]:
    with running(Listing) as url:
        yield url + "/mcp"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with upstream(Planned) as url, whole_server(url, url_guard_allow=["127.0.0.0/8"], mcp_timeout=30.0) as served:
        yield served


BETAS = {"anthropic-beta": "mcp-client-2026-09-15"}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "clock"}


def asked(client: Client, mcp: str, messages: list[Json], headers: Any = BETAS, **fields: Any) -> Json:
    """Return a Message, which is the same streamed and not; what was listed is counted for the last."""
    body = {"model": "m", "max_tokens": 500, "messages": messages, "mcp_servers": [server(mcp)], "tools": [TOOLSET]}
    sent = {**body, **fields}
    text = httpx.post(f"{client.url}/v1/messages?beta=true", json={**sent, "stream": True}, headers=headers).text
    Listing.listed.clear()
    answer = httpx.post(f"{client.url}/v1/messages?beta=true", json=sent, headers=headers)
    message: Json = answer.json()
    assert answer.status_code == 200, message
    check_types(message, text)
    assert bare(folded(text)["content"]) == bare(message["content"])
    return message


def offered() -> list[str]:
    return [tool["function"]["name"] for tool in Planned.asked[-1].get("tools", [])]


@pytest.mark.slow
def test_a_listing_is_told_and_comes_back(client: Client, mcp: str) -> None:
    user = planned(CALL, say="Seven.")
    message = asked(client, mcp, [user])
    listing, use, result, text = message["content"]
    (tool,) = listing["tools"]
    assert (listing["type"], listing["mcp_server_name"], tool["name"]) == ("mcp_tool_listing", "clock", "tick")
    assert set(tool) == {"name", "description", "input_schema"} and tool["input_schema"]["type"] == "object"
    assert (use["type"], result["type"], text["text"]) == ("mcp_tool_use", "mcp_tool_result", "Seven.")
    assert len(Listing.listed) == 1
    first = offered()
    history = [user, {"role": "assistant", "content": message["content"]}]
    later = asked(client, mcp, [*history, planned(say="Well.")])
    assert [block["type"] for block in later["content"]] == ["text"] and not Listing.listed and offered() == first
    asked(client, mcp, [*history, planned(CALL)])
    assert len(Listing.listed) == 1  # a listing that comes from a client is looked at before a call


@pytest.mark.slow
@pytest.mark.parametrize("headers", [{}, {"anthropic-beta": "mcp-client-2025-11-20"}])
def test_clients_that_do_not_know_listings_get_none(client: Client, mcp: str, headers: Json) -> None:
    assert [block["type"] for block in asked(client, mcp, [planned()], headers)["content"]] == ["text"]


@pytest.mark.slow
def test_betas_in_several_headers(client: Client, mcp: str) -> None:
    headers = [("anthropic-beta", "a-2026-01-01"), ("anthropic-beta", "b-2026-01-01, mcp-client-2026-11-01")]
    assert asked(client, mcp, [planned()], headers)["content"][0]["type"] == "mcp_tool_listing"


@pytest.mark.slow
def test_a_toolset_that_lists_its_tools(client: Client, mcp: str) -> None:
    """The server is not asked before the model is; what it does not have is not called."""
    pinned = [{"name": "tick", "input_schema": SCHEMA}, {"name": "none", "input_schema": SCHEMA}]
    tools = [{**TOOLSET, "tools": pinned, "configs": {"other": {"enabled": False}}}]
    message = asked(client, mcp, [planned(say="Well.")], tools=tools)
    assert not Listing.listed and offered() == ["clock__tick", "clock__none"]
    assert [block["type"] for block in message["content"]] == ["text"]
    message = asked(client, mcp, [planned(["clock__none", {}])], tools=tools)
    assert message["content"][1]["is_error"] is True and len(Listing.listed) == 1
    tools = [{**TOOLSET, "tools": pinned, "configs": {"none": {"enabled": False}}}]
    asked(client, mcp, [planned()], tools=tools)
    assert offered() == ["clock__tick"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "there"),
    [
        (removed(type="mcp_tool_reference", server_name="clock", name="tick"), False),
        (removed(type="mcp_tool_reference", server_name="other", name="tick"), True),
        (removed(type="mcp_toolset_reference", server_name="clock"), False),
    ],
)
def test_tools_of_servers_are_withdrawn_and_come_back(client: Client, mcp: str, change: Json, there: bool) -> None:
    user = {"role": "user", "content": "Hi."}
    asked(client, mcp, [user, system(change), planned()])
    assert ("clock__tick" in offered()) is there
    back = {**change, "type": "tool_addition"}
    asked(client, mcp, [user, system(change), system(back), planned()])
    assert "clock__tick" in offered()


@pytest.mark.slow
def test_a_toolset_that_the_conversation_defines(client: Client, mcp: str) -> None:
    toolset = {**TOOLSET, "default_config": {"enabled": False}, "configs": {"tick": {"enabled": True}}}
    asked(client, mcp, [{"role": "user", "content": "Hi."}, system(added(**defined(toolset))), planned()], tools=[])
    assert offered() == ["clock__tick"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tools": [{**TOOLSET, "tools": [{"name": 1}]}]}, "tools.0"),
        (
            {
                "messages": [
                    planned(),
                    {
                        "role": "assistant",
                        "content": [{"type": "mcp_tool_listing", "mcp_server_name": "x", "tools": 3}],
                    },
                ]
            },
            "messages.1.content.0",
        ),
    ],
)
def test_listings_that_are_none(client: Client, mcp: str, fields: Json, words: str) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [planned()], "mcp_servers": [server(mcp)], **fields}
    answer = httpx.post(f"{client.url}/v1/messages", json=body)
    assert answer.status_code == 400 and answer.json()["error"]["message"].startswith(words), answer.text


@pytest.mark.slow
def test_what_has_no_effect(client: Client, mcp: str) -> None:
    toolset = {**TOOLSET, "default_config": {"defer_loading": True}}
    body = {"model": "m", "max_tokens": 9, "messages": [planned()], "mcp_servers": [server(mcp)], "tools": [toolset]}
    answer = httpx.post(f"{client.url}/v1/messages", json=body)
    assert answer.headers["x-antiphon-ignored"] == "mcp_toolset.defer_loading"
