"""Programmatic tool calling with a real sandbox, through the whole server: items, callers, results in later responses, ends."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.config import CodeInterpreterConfig, ToolsConfig
from tests.golden.rules import check_stream
from tests.server.coder import Coder
from tests.server.test_matrix import MODES
from tests.server.whole import Client, Json, turn, upstream, whole_server

pytestmark = [pytest.mark.slow, pytest.mark.needs("bwrap")]

PROGRAMS = {"type": "programmatic_tool_calling"}
NUMBER = {"type": "object", "properties": {"units": {"type": "number"}}}


def function(name: str, callers: list[str] | None = None, **fields: Any) -> Json:
    parameters = {"type": "object", "properties": {"sku": {"type": "string"}}}
    callers = ["programmatic"] if callers is None else callers
    return {"type": "function", "name": name, "parameters": parameters, "allowed_callers": callers, **fields}


TOOLS = [
    PROGRAMS,
    function("get_inventory", output_schema=NUMBER),
    function("get_demand", output_schema=NUMBER),
    function("get_text", ["direct", "programmatic"]),
    function("own", ["direct"]),
]
SEQUENTIAL = (
    "inventory = await tools.get_inventory(sku='a')\n"
    "demand = await tools.get_demand(sku='a')\n"
    "print(inventory['units'] - demand['units'])"
)
PARALLEL = (
    "import asyncio\n"
    "a, b = await asyncio.gather(tools.get_inventory(sku='a'), tools.get_text({'sku': 'é'}))\n"
    "text([a, b])"
)


class Programmer(Coder):
    """Runs what the last user message says as a program."""

    function = "program"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with upstream(Programmer) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    tools = ToolsConfig(code_interpreter=CodeInterpreterConfig(call_seconds=10.0))
    store = tmp_path_factory.mktemp("store") / "antiphon.db"
    with whole_server(url, store=str(store), tools=tools) as client:
        yield client


def run(client: Client, code: str, **fields: Any) -> Json:
    return client.create(**{"model": "m", "input": code, "tools": TOOLS, **fields})


def calls(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] == "function_call"]


def answer(response: Json, *outputs: str) -> list[Json]:
    return [
        {"type": "function_call_output", "call_id": call["call_id"], "output": output, "caller": call["caller"]}
        for call, output in zip(calls(response), outputs, strict=True)
    ]


def result(response: Json) -> Json:
    (found,) = [item for item in response["output"] if item["type"] == "program_output"]
    return found


def test_a_program_calls_functions_over_several_responses(client: Client) -> None:
    Programmer.asked.clear()
    events = client.stream(model="m", input=SEQUENTIAL, tools=TOOLS)
    check_stream(events)
    kinds = [(event["type"].removeprefix("response."), event.get("output_index")) for event in events[2:-1]]
    assert kinds == [
        ("output_item.added", 0),
        ("output_item.done", 0),
        ("output_item.added", 1),
        ("function_call_arguments.delta", 1),
        ("function_call_arguments.done", 1),
        ("output_item.done", 1),
    ]
    first = events[-1]["response"]
    program, call = first["output"]
    assert events[2]["item"]["code"] == "" and program["code"] == SEQUENTIAL and program["fingerprint"]
    assert (program["type"], program["id"][:3]) == ("program", "cm_")
    assert call["caller"] == {"type": "program", "caller_id": program["call_id"]}
    assert (call["name"], json.loads(call["arguments"]), call["call_id"][:5]) == (
        "get_inventory",
        {"sku": "a"},
        "call_",
    )
    # The next response begins with the program, before the model is asked.
    events = client.stream(
        model="m", input=answer(first, '{"units": 42}'), previous_response_id=first["id"], tools=TOOLS
    )
    check_stream(events)
    second = events[-1]["response"]
    (call,) = second["output"]
    assert call["type"] == "function_call", call
    assert call["name"] == "get_demand" and call["caller"]["caller_id"] == program["call_id"]
    assert len(Programmer.asked) == 1
    events = client.stream(
        model="m", input=answer(second, '{"units": 31}'), previous_response_id=second["id"], tools=TOOLS
    )
    check_stream(events)
    third = events[-1]["response"]
    output, message = third["output"]
    assert output == {
        "type": "program_output",
        "id": output["id"],
        "call_id": program["call_id"],
        "status": "completed",
        "result": "11",
    }
    assert events[2]["item"]["result"] == "" and output["id"].startswith("cmo_")
    assert message["content"][0]["text"].startswith("It says 11.")
    # The model sees the program and what came of it, and not the calls within.
    messages = Programmer.asked[-1]["messages"]
    asked = [one["function"] for message in messages for one in message.get("tool_calls", [])]
    assert [(one["name"], json.loads(one["arguments"])) for one in asked] == [("program", {"code": SEQUENTIAL})]
    assert [message["content"] for message in messages if message["role"] == "tool"] == ["11"]


def test_what_the_model_is_offered(client: Client) -> None:
    Programmer.asked.clear()
    response = run(client, "print(1)")
    assert result(response)["result"] == "1"
    offered = {tool["function"]["name"]: tool["function"] for tool in Programmer.asked[0]["tools"]}
    assert sorted(offered) == ["get_text", "own", "program"]
    for name in ("get_inventory", "get_demand", "get_text"):
        assert f"- {name}: arguments" in offered["program"]["description"]
    assert '"units"' in offered["program"]["description"] and "- own:" not in offered["program"]["description"]
    echoed = {tool.get("name"): tool for tool in response["tools"]}
    assert echoed["get_inventory"]["allowed_callers"] == ["programmatic"]
    assert echoed["get_inventory"]["output_schema"] == NUMBER


@pytest.mark.parametrize("mode", MODES)
def test_a_program_in_every_mode(client: Client, mode: Callable[[Client, Json], Json]) -> None:
    response = mode(client, {"model": "m", "input": PARALLEL, "tools": TOOLS})
    assert [(call["name"], json.loads(call["arguments"])) for call in calls(response)] == [
        ("get_inventory", {"sku": "a"}),
        ("get_text", {"sku": "é"}),
    ]
    replayed = [{"role": "user", "content": PARALLEL}, *response["output"], *answer(response, '{"units": 1}', "[1]")]
    ended = mode(client, {"model": "m", "input": replayed, "tools": TOOLS})
    assert result(ended)["result"] == '[{"units": 1}, "[1]"]', "text without a schema stays text"


def test_a_program_over_a_websocket(client: Client) -> None:
    with client.websocket() as connection:
        first = turn(connection, model="m", input=PARALLEL, tools=TOOLS)[-1]["response"]
        outputs = answer(first, '{"units": 1}', "x")
        last = turn(connection, model="m", input=outputs, tools=TOOLS, previous_response_id=first["id"])
    assert result(last[-1]["response"])["result"] == '[{"units": 1}, "x"]'


ENDS = {
    "it raises": ("1/0", "ZeroDivisionError"),
    "a tool that there is not": ("await tools.own(sku='a')", "There is no tool 'own'"),
    "arguments without names": ("await tools.get_text('a')", "takes its arguments by name"),
    "it waits for nothing": ("import asyncio\nawait asyncio.Event().wait()", "waits for something that never comes"),
    "no Python": ("const a = await tools.get_text();", "SyntaxError"),
    "it dies": ("import os; os._exit(3)", "The program ended"),
    "it leaves nonsense": (
        "import atexit, os, threading\n"
        'open(\'/mnt/data/.left.json\', \'w\').write(\'{"asked": [{"name": "own"}], "text": ""}\'); os._exit(0)',
        "which it may not",
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_a_program_that_fails_says_why(client: Client, case: str) -> None:
    code, said = ENDS[case]
    response = run(client, code)
    found = result(response)
    assert found["status"] == "incomplete" and said in found["result"], found
    assert not calls(response) and response["status"] == "completed"


def test_what_a_program_says_is_bounded_and_ends_with_it(client: Client) -> None:
    response = run(client, "import sys\nprint('a' * 200_000)\nsys.exit(0)")
    assert result(response)["status"] == "completed"
    assert result(response)["result"].endswith("[100001 more characters are left out.]")


def test_a_program_that_takes_another_way_is_told(client: Client) -> None:
    first = run(client, "import time\nawait tools.get_text(sku=str(time.time_ns()))")
    second = run(client, "", input=answer(first, "x"), previous_response_id=first["id"])
    assert result(second)["status"] == "incomplete" and "was run again" in result(second)["result"]


CHANCE = """
import os, random, secrets, tempfile, uuid
made = [uuid.uuid4().hex, secrets.token_hex(8), str(random.random()), str(secrets.randbelow(10**9))]
made += [str(random.SystemRandom().random()), str(random.Random().random()), os.getrandom(8).hex()]
made.append(os.path.basename(tempfile.mkdtemp()))
random.seed()
made.append(str(random.random()))
made.append("".join(sorted({str(n) for n in range(20)}, key=hash)))
for one in made[:2]: print(await tools.get_text(sku=one))
open("note", "a").write("written")
print(await tools.get_text(sku=" ".join(made)), open("note").read())
"""


class Counting(Programmer):
    """Gives the calls of each conversation the same ids, as engines do that count them."""

    def deltas(self, request: Json) -> list[Json]:
        made = super().deltas(request)
        for index, delta in enumerate(delta for delta in made if "id" in delta.get("tool_calls", [{}])[0]):
            delta["tool_calls"][0]["id"] = f"functions.program:{index}"
        return made


def test_chance_is_the_same_in_each_run_of_a_program_and_another_in_others(tmp_path: Path) -> None:
    """Whatever the model calls it by, also where the client sends all of it back. Nor is anything printed, or written, twice."""
    seen = []
    with upstream(Counting) as url, whole_server(url, store=str(tmp_path / "antiphon.db")) as client:
        for stored in (True, True, False):
            fields = {"store": stored}
            response, asked, history = run(client, CHANCE, **fields), list[str](), [{"role": "user", "content": CHANCE}]
            assert response["output"][0]["call_id"] == "functions.program:0"
            while calls(response):
                asked += [json.loads(call["arguments"])["sku"] for call in calls(response)]
                outputs = answer(response, f"r{len(asked)}")
                history += [*response["output"], *outputs]
                before = {"previous_response_id": response["id"]} if stored else {}
                response = run(client, "", **fields, input=outputs if stored else history, **before)
            assert result(response)["result"] == "r1\nr2\nr3 written"
            assert len(asked) == 3 and asked[2].split()[:2] == asked[:2]
            seen.append(asked[2].split())
    assert len(seen[0]) == 10
    assert all(len(set(drawn)) == 3 for drawn in zip(*(made[:9] for made in seen), strict=True))


def test_a_program_that_is_not_continued(client: Client) -> None:
    first = run(client, PARALLEL)
    one = [answer(first, "1", "2")[0], {"role": "user", "content": "print(2)"}]
    second = run(client, "", input=one, previous_response_id=first["id"])
    results = [item["result"] for item in second["output"] if item["type"] == "program_output"]
    assert "'get_text' has no output" in results[0] and results[1] == "2"


def test_a_program_goes_on_after_a_restart(url: str, tmp_path: Path) -> None:
    store = str(tmp_path / "antiphon.db")
    with whole_server(url, store=store) as client:
        first = run(client, SEQUENTIAL, background=True)
        first = client.finished(first["id"])
    with whole_server(url, store=store) as client:
        second = run(client, "", input=answer(first, '{"units": 1}'), previous_response_id=first["id"])
        assert [call["name"] for call in calls(second)] == ["get_demand"]


def test_a_forced_program_is_forced_once(client: Client) -> None:
    Programmer.asked.clear()
    run(client, "print(1)", tool_choice=PROGRAMS)
    assert [[tool["function"]["name"] for tool in asked["tools"]] for asked in Programmer.asked] == [
        ["program"],
        ["get_text", "own", "program"],
    ]


def test_programs_that_are_off_are_told(url: str) -> None:
    tools = ToolsConfig(code_interpreter=CodeInterpreterConfig(sandbox="off"))
    with whole_server(url, tools=tools) as client:
        Programmer.asked.clear()
        body = json.dumps({"model": "m", "input": "1", "tools": TOOLS}).encode()
        with urllib.request.urlopen(
            urllib.request.Request(f"{client.url}/v1/responses", data=body), timeout=20
        ) as reply:
            assert reply.headers["x-antiphon-ignored"] == "programmatic_tool_calling"
        assert [tool["function"]["name"] for tool in Programmer.asked[0]["tools"]] == ["get_text", "own"]
        status, error = client.post("/v1/responses", model="m", input="1", tools=TOOLS, tool_choice=PROGRAMS)
        assert (status, error["error"]["code"]) == (400, "tool_not_available")
