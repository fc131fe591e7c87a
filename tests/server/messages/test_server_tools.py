"""Tools that the server runs, as blocks of the Messages API: web search and pages, code, MCP servers; streamed and not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from pydantic import TypeAdapter

from antiphon.config.tools import ToolsConfig
from antiphon.config.web_search import WebSearchConfig
from tests.acceptance.background import Tools, running
from tests.server.messages.planned import Planned, planned
from tests.server.test_messages import EVENT, folded
from tests.server.whole import Client, Json, upstream, whole_server
from tests.tools.web.site import web
from tests.tools.web.test_web_search import settings

pytestmark = pytest.mark.slow

_event: TypeAdapter[Any] = TypeAdapter(BetaRawMessageStreamEvent)

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
FETCH = {"type": "web_fetch_20260309", "name": "web_fetch"}
CODE = {"type": "code_execution_20250825", "name": "code_execution"}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with web() as url:
        yield url


@pytest.fixture(scope="module")
def mcp() -> Iterator[str]:
    with running(Tools) as url:
        yield url + "/mcp"


@pytest.fixture(scope="module")
def client(base: str) -> Iterator[Client]:
    with (
        upstream(Planned) as url,
        whole_server(url, tools=settings(base), url_guard_allow=["127.0.0.0/8"], mcp_timeout=30.0) as served,
    ):
        yield served


def both(client: Client, messages: list[Json], **fields: Any) -> Json:
    """Return a Message, which is the same streamed and not."""
    body = {"model": "m", "max_tokens": 500, "messages": messages, **fields}
    status, message = client.post("/v1/messages", **body)
    assert status == 200, message
    text = httpx.post(f"{client.url}/v1/messages", json={**body, "stream": True}, headers=client.headers).text
    streamed = folded(text)
    check_types(message, text)
    assert bare(streamed["content"]) == bare(message["content"])
    assert streamed["usage"]["server_tool_use"] == message["usage"]["server_tool_use"]
    return message


def check_types(message: Json, stream: str) -> None:
    """Hold a Message and its events against the types of Anthropic's SDK: nothing is missing, nothing is unknown."""
    found: list[Any] = [BetaMessage.model_validate(message)]
    found += [_event.validate_python(json.loads(data)) for kind, data in EVENT.findall(stream) if kind != "ping"]
    assert not [extra for one in found for extra in extras(one)]


def extras(value: Any) -> Iterator[str]:
    """Yield fields that the types do not have."""
    yield from getattr(value, "model_extra", None) or ()
    fields = vars(value).values() if hasattr(value, "model_fields_set") else value if isinstance(value, list) else ()
    for inner in fields:
        yield from extras(inner)


def bare(content: list[Json]) -> Json:
    """Return blocks without what differs from answer to answer: ids and seals."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: without(one)
                for name, one in value.items()
                if name not in ("id", "tool_use_id", "encrypted_content")
            }
        return [without(one) for one in value] if isinstance(value, list) else value

    return without(content)


def test_a_search_and_what_cites_it(client: Client, base: str) -> None:
    user = planned(["web_search", {"queries": ["fund"]}], say="It did lapse【1】 on Monday【2】. Really.")
    message = both(client, [user], tools=[SEARCH])
    use, result, first, second, rest = message["content"]
    assert (use["type"], use["name"], use["input"]) == ("server_tool_use", "web_search", {"query": "fund"})
    assert use["id"].startswith("srvtoolu_") and result["tool_use_id"] == use["id"]
    assert [(hit["type"], hit["url"], hit["title"]) for hit in result["content"]] == [
        ("web_search_result", f"{base}/article", "Lapse & relapse"),
        ("web_search_result", f"{base}/more.html", "More"),
    ]
    assert [block["text"] for block in (first, second, rest)] == ["It did lapse", " on Monday", ". Really."]
    (place,) = first["citations"]
    assert place == {
        "type": "web_search_result_location",
        "url": f"{base}/article",
        "title": "Lapse & relapse",
        "encrypted_index": "",
        "cited_text": "The fund lapsed.",
    }
    assert second["citations"][0]["url"] == f"{base}/more.html" and rest["citations"] == []
    assert message["usage"]["server_tool_use"] == {"web_search_requests": 1, "web_fetch_requests": 0}
    assert message["stop_reason"] == "end_turn"
    assert [tool["function"]["name"] for tool in Planned.asked[-1]["tools"]] == ["web_search"]


def test_what_a_search_found_comes_back_sealed(client: Client, base: str) -> None:
    """The model sees in the next request what it saw then, under the same numbers; nothing of it is kept here."""
    user = planned(["web_search", {"queries": ["fund"]}], say="It did lapse【1】 on Monday.")
    message = both(client, [user], tools=[SEARCH])
    seen = Planned.told()
    again = planned(say="As I said【1】.")
    later = both(client, [user, {"role": "assistant", "content": message["content"]}, again], tools=[SEARCH])
    assert Planned.told() == seen and seen[0].startswith(f"【1†{base}/article】")
    assert later["content"][0]["citations"][0]["url"] == f"{base}/article"
    said = [
        one["content"] for one in Planned.asked[-1]["messages"] if one["role"] == "assistant" and one.get("content")
    ]
    assert said == ["It did lapse on Monday."]
    call = next(one for one in Planned.asked[-1]["messages"] if one.get("tool_calls"))["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])) == ("web_search", {"queries": ["fund"]})
    # Another server's seals are not opened: titles and addresses are left of what it has found.
    for block in message["content"][1]["content"]:
        block["encrypted_content"] = "EqgfCioIARgBIiQ3"
    both(client, [user, {"role": "assistant", "content": message["content"]}, again], tools=[SEARCH])
    assert Planned.told() == [f"Lapse & relapse\n{base}/article\n\nMore\n{base}/more.html"]


def test_pages(client: Client, base: str) -> None:
    user = planned(
        ["open_page", {"url": f"{base}/article"}],
        ["find_in_page", {"url": f"{base}/article", "pattern": "monday"}],
        ["open_page", {"url": f"{base}/gone"}],
        ["open_page", {"url": "http://elsewhere.test/"}],
        before=f"{base}/article {base}/gone",
    )
    message = both(client, [user], tools=[{**FETCH, "max_uses": 3}])
    uses = [block for block in message["content"] if block["type"] == "server_tool_use"]
    results = [block["content"] for block in message["content"] if block["type"] == "web_fetch_tool_result"]
    assert [use["name"] for use in uses] == ["web_fetch"] * 4 and uses[0]["input"] == {"url": f"{base}/article"}
    document = results[0]["content"]
    assert results[0]["type"] == "web_fetch_result" and document["title"] == "Lapse & relapse"
    assert "The fund did lapse on Monday at noon." in document["source"]["data"]
    assert [result["error_code"] for result in results[2:]] == ["url_not_accessible", "max_uses_exceeded"]
    assert message["usage"]["server_tool_use"] == {"web_search_requests": 0, "web_fetch_requests": 2}
    assert {tool["function"]["name"] for tool in Planned.asked[-1]["tools"]} == {"open_page", "find_in_page"}
    both(client, [user, {"role": "assistant", "content": message["content"]}, planned()], tools=[FETCH])
    told = Planned.told()
    assert "lapse on Monday at noon" in told[0] and told[2:] == [
        "Error: url_not_accessible",
        "Error: max_uses_exceeded",
    ]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"max_uses": 1}, ["results", "max_uses_exceeded"]),
        ({"blocked_domains": ["127.0.0.1"]}, ["nothing", "nothing"]),
        ({"allowed_domains": ["example.org"]}, ["nothing", "nothing"]),
        ({"user_location": {"type": "approximate", "city": "Oslo"}}, ["results", "results"]),
    ],
)
def test_bounds_of_searches(client: Client, fields: Json, found: list[str]) -> None:
    call = ["web_search", {"queries": ["fund"]}]
    message = both(client, [planned(call, call)], tools=[{**SEARCH, **fields}])
    results = [block["content"] for block in message["content"] if block["type"] == "web_search_tool_result"]
    told = [("results" if one else "nothing") if isinstance(one, list) else one["error_code"] for one in results]
    assert told == found
    assert ("Oslo" in json.dumps(Planned.asked[-1]["messages"])) is ("user_location" in fields)


@pytest.mark.parametrize("version", ["20250305", "20260209", "20260318"])
def test_without_an_engine(version: str) -> None:
    """A search that is all that was asked for is told as unavailable, without the model; beside others it has no effect."""
    tool = {**SEARCH, "type": f"web_search_{version}"}
    off = ToolsConfig(web_search=WebSearchConfig(provider="off"))
    with upstream(Planned) as url, whole_server(url, tools=off) as client:
        Planned.asked.clear()
        message = both(client, [{"role": "user", "content": "Search for cats"}], tools=[tool])
        use, result = message["content"]
        assert use["input"] == {"query": "Search for cats"} and message["stop_reason"] == "end_turn"
        assert result["content"] == {"type": "web_search_tool_result_error", "error_code": "unavailable"}
        assert not Planned.asked
        function = {"name": "f", "input_schema": {"type": "object"}}
        body = {"model": "m", "max_tokens": 9, "messages": [planned()], "tools": [tool, function]}
        answer = httpx.post(f"{client.url}/v1/messages", json=body)
        assert answer.headers["x-antiphon-ignored"] == "web_search"
        assert [one["function"]["name"] for one in Planned.asked[-1]["tools"]] == ["f"]


def test_a_search_that_is_forced(client: Client) -> None:
    choice = {"type": "tool", "name": "web_search"}
    message = both(client, [planned(["web_search", {"queries": ["x"]}])], tools=[SEARCH], tool_choice=choice)
    assert message["content"][0]["name"] == "web_search"


def test_code(client: Client) -> None:
    user = planned(["python", {"code": "print(6 * 7)"}], ["python", {"code": "1 / 0"}], say="42.")
    message = both(client, [user], tools=[CODE])
    use, result, _, failed, text = message["content"]
    assert (use["name"], use["input"]) == ("code_execution", {"code": "print(6 * 7)"})
    if result["content"].get("error_code") == "unavailable":
        pytest.skip("no sandbox on this machine")
    assert result["content"] == {
        "type": "code_execution_result",
        "stdout": "42",
        "stderr": "",
        "return_code": 0,
        "content": [],
    }
    assert "ZeroDivisionError" in failed["content"]["stdout"] and text["text"] == "42."
    assert message["container"]["id"].startswith("cntr_") and message["container"]["expires_at"].endswith("Z")
    again = planned(["python", {"code": "print(6 * 8)"}])
    history = [user, {"role": "assistant", "content": message["content"]}, again]
    later = both(client, history, tools=[CODE], container=message["container"]["id"])
    assert later["container"]["id"] == message["container"]["id"]
    assert Planned.told()[0] == "42"


def server(url: str, **fields: Any) -> Json:
    return {"type": "url", "name": "clock", "url": url, **fields}


CALL = ["clock__tick", {"job": "a", "n": 7}]


def test_a_tool_of_an_mcp_server(client: Client, mcp: str) -> None:
    toolset = {"type": "mcp_toolset", "mcp_server_name": "clock"}
    user = planned(CALL, say="Seven.")
    message = both(client, [user], mcp_servers=[server(mcp)], tools=[toolset])
    use, result, text = message["content"]
    assert (use["type"], use["name"], use["server_name"]) == ("mcp_tool_use", "tick", "clock")
    assert use["input"] == {"job": "a", "n": 7} and use["id"].startswith("mcptoolu_")
    assert result["content"] == [{"type": "text", "text": "tick 7", "citations": None}]
    assert result["tool_use_id"] == use["id"] and result["is_error"] is False and text["text"] == "Seven."
    assert message["stop_reason"] == "end_turn"
    both(client, [user, {"role": "assistant", "content": message["content"]}, planned()], mcp_servers=[server(mcp)])
    assert Planned.told() == ["tick 7"]


@pytest.mark.parametrize(
    ("old", "toolset", "there"),
    [
        (None, {}, True),
        (None, {"default_config": {"enabled": False}}, False),
        (None, {"default_config": {"enabled": False}, "configs": {"tick": {"enabled": True}}}, True),
        (None, {"configs": {"tick": {"enabled": False}}}, False),
        ({"allowed_tools": ["other"]}, None, False),
        ({"enabled": False}, None, False),
        ({"allowed_tools": ["tick"]}, None, True),
    ],
)
def test_which_tools_of_a_server_are_allowed(
    client: Client, mcp: str, old: Json | None, toolset: Json | None, there: bool
) -> None:
    tools = [{"type": "mcp_toolset", "mcp_server_name": "clock", **toolset}] if toolset is not None else []
    servers = [server(mcp, tool_configuration=old)]
    both(client, [planned(say="No.")], mcp_servers=servers, tools=tools)
    offered = [tool["function"]["name"] for tool in Planned.asked[-1].get("tools", [])]
    assert ("clock__tick" in offered) is there


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mcp_servers": [{"type": "url", "name": "x", "url": "http://169.254.169.254/mcp"}]}, "mcp_servers.0.url: "),
        ({"tools": [{"type": "mcp_toolset", "mcp_server_name": "none"}]}, "tools.0.mcp_server_name: "),
        ({"tools": [{**SEARCH, "allowed_domains": ["a"], "blocked_domains": ["b"]}]}, "tools.0.allowed_domains: "),
        ({"tools": [CODE], "container": "cntr_none"}, "tools.0"),
    ],
)
def test_what_is_refused(client: Client, fields: Json, words: str) -> None:
    status, error = client.post("/v1/messages", model="m", max_tokens=9, messages=[planned()], **fields)
    assert status in (400, 404), error
    assert error["error"]["message"].startswith(words), error
