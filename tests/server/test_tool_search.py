"""Searches of this server among deferred tools: on any chat model, in every mode, by both front ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from antiphon.core.request.tool_decoding import decode_tools
from antiphon.core.tools.deferred_tools import MOST_SEARCHED, deferred, ranked, searched_texts
from antiphon.tools.base import ToolServerError
from antiphon.tools.tool_search import _matching
from tests.golden.rules import check_stream
from tests.server.messages.planned import Planned, planned
from tests.server.messages.test_server_tools import both
from tests.server.test_matrix import MODES
from tests.server.whole import Client, Json, turn, upstream, whole_server

pytestmark = pytest.mark.slow


def function(name: str, about: str, **fields: Any) -> Json:
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": "Name of a town."}}}
    return {"type": "function", "name": name, "description": about, "parameters": schema, **fields}


LATE = {"defer_loading": True}
TOOLS = [
    {"type": "tool_search"},
    function("now", "Tells the time."),
    function("get_weatherForecast", "What the sky will be like.", **LATE),
    function("send_mail", "Sends a letter.", **LATE),
    {
        "type": "namespace",
        "name": "crm",
        "description": "Customers.",
        "tools": [
            {**function("list_orders", "Orders of a customer.", **LATE)},
            {**function("merge", "Makes one customer of two.", **LATE)},
        ],
    },
]


class Chat(Planned):
    """The same with the models that the modes ask for."""

    models = ("m", "text")


def plan(arguments: Json) -> str:
    """Return what a user says to have it searched."""
    content = planned(["tool_search", arguments])["content"]
    assert isinstance(content, str)
    return content


SEARCHING = plan({"query": "weather"})


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = tmp_path_factory.mktemp("store") / "antiphon.db"
    with upstream(Chat) as url, whole_server(url, store=str(store)) as client:
        yield client


def offered(request: Json) -> list[str]:
    return [tool["function"]["name"] for tool in request["tools"]]


@pytest.mark.parametrize("mode", MODES)
def test_a_search_in_every_mode(client: Client, mode: Callable[[Client, Json], Json]) -> None:
    response = mode(client, {"model": "m", "input": SEARCHING, "tools": TOOLS})
    call, output, message = response["output"]
    assert (call["type"], call["execution"], call["arguments"], call["status"]) == (
        "tool_search_call",
        "server",
        {"query": "weather"},
        "completed",
    )
    assert (output["type"], output["execution"], output["call_id"]) == ("tool_search_output", "server", call["call_id"])
    assert [tool["name"] for tool in output["tools"]] == ["get_weatherForecast"] and message["type"] == "message"


def test_what_is_found_is_offered_behind_all_others(client: Client) -> None:
    Planned.asked.clear()
    events = client.stream(model="m", input=SEARCHING, tools=TOOLS)
    check_stream(events)
    assert [offered(request) for request in Planned.asked] == [
        ["now", "tool_search"],
        ["now", "tool_search", "get_weatherForecast"],
    ]
    told = Planned.asked[0]["tools"][1]["function"]["description"]
    assert "Searches 4 further tools" in told and "- crm: Customers." in told
    said = [message["content"] for message in Planned.asked[1]["messages"] if message["role"] == "tool"]
    assert said == ["Found, and can be called now: get_weatherForecast"]
    # The next response has it, too, as long as the history does.
    client.create(model="m", input="And now?", tools=TOOLS, previous_response_id=events[-1]["response"]["id"])
    assert offered(Planned.asked[-1]) == ["now", "tool_search", "get_weatherForecast"]


def test_over_a_websocket_and_forced(client: Client) -> None:
    with client.websocket() as connection:
        events = turn(connection, model="m", input=SEARCHING, tools=TOOLS, tool_choice={"type": "tool_search"})
    check_stream(events)
    assert events[-1]["response"]["output"][1]["tools"][0]["name"] == "get_weatherForecast"


def test_a_namespace_comes_with_what_was_found_of_it(client: Client) -> None:
    Planned.asked.clear()
    response = client.create(model="m", input=plan({"query": "orders of customers"}), tools=TOOLS)
    (group,) = response["output"][1]["tools"]
    assert (group["name"], [tool["name"] for tool in group["tools"]]) == ("crm", ["list_orders", "merge"])
    assert offered(Planned.asked[1])[2:] == ["crm__list_orders", "crm__merge"]


FINDING: dict[str, tuple[Json, str, str, str]] = {
    "a function by itself": ({"query": "weather"}, "get_weatherForecast", "get_weatherForecast", "get_weatherForecast"),
    "one of a namespace": ({"query": "orders"}, "crm__list_orders", "crm", "list_orders"),
}
"""Searches, what the model then calls, and the call's `namespace` and `name`."""


@pytest.mark.parametrize("case", FINDING)
@pytest.mark.parametrize("replayed", [False, True], ids=["stored", "replayed"])
def test_a_call_of_what_was_found_names_its_namespace(client: Client, case: str, replayed: bool) -> None:
    """As OpenAI records it: a function that is in no namespace has its own name there, by which SDKs look for it."""
    query, offer, namespace, name = FINDING[case]
    asked = planned(["tool_search", query], [offer, {"city": "Rome"}])
    Planned.asked.clear()
    events = client.stream(model="m", input=[asked], tools=TOOLS, store=not replayed)
    check_stream(events)
    first = events[-1]["response"]
    call = first["output"][2]
    assert (call["type"], call["namespace"], call["name"]) == ("function_call", namespace, name)
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    given: Json = {"input": [asked, *first["output"], result], "store": False}
    if not replayed:
        given = {"input": [result], "previous_response_id": first["id"]}
    answer = client.create(model="m", tools=TOOLS, **given)
    assert answer["output"][0]["content"][0]["text"] == "Done."
    made = [
        each["function"]["name"] for message in Planned.asked[-1]["messages"] for each in message.get("tool_calls", ())
    ]
    assert made == ["tool_search", offer] and offer in offered(Planned.asked[-1])


@pytest.mark.parametrize("arguments", [{}, {"query": 5}, {"query": " "}])
def test_a_search_for_nothing_fails(client: Client, arguments: Json) -> None:
    Planned.asked.clear()
    response = client.create(model="m", input=plan(arguments), tools=TOOLS)
    assert (response["output"][1]["status"], response["output"][1]["tools"]) == ("incomplete", [])
    (said,) = [message["content"] for message in Planned.asked[1]["messages"] if message["role"] == "tool"]
    assert said.startswith("Error: There is no query")


def test_without_deferred_tools_there_is_nothing_to_search(client: Client) -> None:
    Planned.asked.clear()
    client.create(model="m", input="Hello.", tools=TOOLS[:2])
    assert offered(Planned.asked[0]) == ["now"]


MESSAGES = [
    {"name": "now", "description": "Tells the time.", "input_schema": {"type": "object"}},
    {"name": "get_weather", "description": "What the sky will be like.", "input_schema": {"type": "object"}, **LATE},
    {"name": "send_mail", "description": "Sends a letter.", "input_schema": {"type": "object"}, **LATE},
]
FORMS = {"regex": "^get_.*", "bm25": "weather"}


@pytest.mark.parametrize("form", FORMS)
def test_a_search_in_messages(client: Client, form: str) -> None:
    name = f"tool_search_tool_{form}"
    tools = [{"type": f"{name}_20251119", "name": name}, *MESSAGES]
    said = {"role": "user", "content": plan({"query": FORMS[form]})}
    Planned.asked.clear()
    message = both(client, [said], tools=tools)
    assert [offered(request) for request in Planned.asked[:2]] == [
        ["now", "tool_search"],
        ["now", "tool_search", "get_weather"],
    ]
    use, found, text = message["content"]
    assert (use["type"], use["name"], use["input"]) == ("server_tool_use", name, {"query": FORMS[form]})
    assert found["type"] == "tool_search_tool_result" and found["tool_use_id"] == use["id"] and text["type"] == "text"
    assert found["content"] == {
        "type": "tool_search_tool_search_result",
        "tool_references": [{"type": "tool_reference", "tool_name": "get_weather"}],
    }
    # Sent back, the tool stays offered, and what the model has seen stays as it was.
    Planned.asked.clear()
    later = [said, {"role": "assistant", "content": message["content"]}, {"role": "user", "content": "And?"}]
    both(client, later, tools=tools)
    assert offered(Planned.asked[0]) == ["now", "get_weather", "tool_search"]
    told = [message["content"] for message in Planned.asked[0]["messages"] if message["role"] == "tool"]
    assert told == ["Found, and can be called now: get_weather"]


def test_an_invalid_pattern_in_messages(client: Client) -> None:
    tools = [{"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}, *MESSAGES]
    message = both(client, [{"role": "user", "content": plan({"query": "("})}], tools=tools)
    error = message["content"][1]["content"]
    assert (error["type"], error["error_code"]) == ("tool_search_tool_result_error", "invalid_tool_input")


def test_the_search_itself() -> None:
    tools = deferred(decode_tools([json.dumps(tool).encode() for tool in TOOLS], "tools"))  # type: ignore[arg-type]
    assert [one.tool.name for one in ranked(tools, "forecast of the weather")] == ["get_weatherForecast"]
    assert [one.tool.name for one in ranked(tools, "customers merging")] == ["merge", "list_orders"]
    assert ranked(tools, "") == [] and ranked(tools, "nothing such") == []
    assert len(ranked(tools, "town")) == 4
    assert [one.tool.name for one in _matching(tools, "LETTER|^merge")] == ["merge", "send_mail"]
    for pattern in ("(", "a" * 201, r"(?=a)"):
        with pytest.raises(ToolServerError):
            _matching(tools, pattern)
    assert _matching(tools, "(a+)+$ and a half") == []


@pytest.mark.parametrize("count", [1, 300, 20_000])
@pytest.mark.parametrize("place", ["namespace", "tool", "schema"])
def test_no_declarations_make_a_search_read_more_than_its_share(place: str, count: int) -> None:
    long = "sky " * (1_000_000 if place == "namespace" or count == 1 else 200)
    tool = function("get_it", long if place == "tool" else "It.", **LATE)
    if place == "schema":
        tool["parameters"]["description"] = long
    named = [{**tool, "name": f"get_it_{number}"} for number in range(count)]
    group = {"type": "namespace", "name": "g", "description": long if place == "namespace" else "G.", "tools": named}
    tools = deferred(decode_tools([json.dumps(group).encode()]))  # type: ignore[list-item]
    texts = searched_texts(tools)
    assert len(texts) == count and sum(map(len, texts)) <= MOST_SEARCHED
    assert all(text.startswith(f"get_it_{number}") for number, text in enumerate(texts))
    assert len(_matching(tools, "SKY|it_")) == count == len(ranked(tools, "get"))
