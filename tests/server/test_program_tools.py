"""Programs that call tools of every kind: the server's, MCP servers', the client's; limits, approvals, a killed server."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from antiphon.config import CodeInterpreterConfig, KeyConfig, ToolsConfig
from antiphon.core.programs import program_call_id
from tests.acceptance.background import Tools, running
from tests.acceptance.command import serving
from tests.golden.rules import check_stream
from tests.server.test_hosted_tools import wait_for
from tests.server.test_matrix import MODES
from tests.server.test_programs import PROGRAMS, Programmer, calls, result
from tests.server.whole import Client, Json, turn, upstream, whole_server
from tests.tools.lookup import Lookup, LookupUse

pytestmark = [pytest.mark.slow, pytest.mark.needs("bwrap")]

CALLERS = {"allowed_callers": ["programmatic"]}
LOOKUP = {"type": "lookup", "shelf": "a", **CALLERS}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with upstream(Programmer) as url:
        yield url


@pytest.fixture(scope="module")
def mcp() -> Iterator[str]:
    with running(Tools) as url:
        yield url + "/mcp"


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    tools = ToolsConfig(code_interpreter=CodeInterpreterConfig(call_seconds=10.0))
    store = tmp_path_factory.mktemp("store") / "antiphon.db"
    keys = {
        "ann": KeyConfig(key="sk-ann", owner="ann"),
        "few": KeyConfig(key="sk-few", owner="few", limits=("2 searches/day",)),
    }
    with whole_server(
        url,
        hosted=[Lookup()],
        store=str(store),
        tools=tools,
        keys=keys,
        url_guard_allow=["127.0.0.0/8"],
        mcp_timeout=30.0,
    ) as client:
        yield Client(client.url, "sk-ann")


def clock(url: str, approval: str = "never") -> Json:
    return {"type": "mcp", "server_label": "clock", "server_url": url, "require_approval": approval, **CALLERS}


def run(client: Client, code: str, *tools: Json, **fields: Any) -> Json:
    return client.create(**{"model": "m", "input": code, "tools": [PROGRAMS, *tools], **fields})


class Called(NamedTuple):
    """A call of a program: the tool, the code, the types of the items between the program and its output, what it says."""

    tool: Json
    code: str
    items: tuple[str, ...]
    says: str


SERVED = {
    "hosted": Called(LOOKUP, "print(await tools.lookup(query='moth'))", ("lookup_call",), "SECRET of moth"),
    "code_interpreter": Called(
        {"type": "code_interpreter", "container": {"type": "auto"}, **CALLERS},
        "print(await tools.python(code='6 * 7'))",
        ("code_interpreter_call",),
        "42",
    ),
    "shell": Called(
        {"type": "shell", "environment": {"type": "container_auto"}, **CALLERS},
        "print(await tools.shell(commands=['echo $((6 * 7))']))",
        ("shell_call", "shell_call_output"),
        "42",
    ),
}


@pytest.mark.parametrize("kind", SERVED)
@pytest.mark.parametrize("mode", MODES)
def test_a_tool_of_this_server_is_called_within_the_response(
    client: Client, kind: str, mode: Callable[[Client, Json], Json]
) -> None:
    tool, code, items, says = SERVED[kind]
    response = mode(client, {"model": "m", "input": code, "tools": [PROGRAMS, tool]})
    assert [item["type"] for item in response["output"]] == ["program", *items, "program_output", "message"], response
    program, *inner = response["output"][:-2]
    for item in inner:
        assert item["caller"] == {"type": "program", "caller_id": program["call_id"]}
        assert item["call_id"] == program_call_id(program["call_id"], 0)
    assert says in result(response)["result"] and result(response)["status"] == "completed"


def test_it_works_over_a_websocket(client: Client) -> None:
    with client.websocket() as connection:
        events = turn(connection, model="m", input=SERVED["hosted"].code, tools=[PROGRAMS, LOOKUP])
    check_stream(events)
    assert "SECRET of moth" in result(events[-1]["response"])["result"]


def test_the_model_is_not_offered_what_programs_alone_may_call(client: Client, mcp: str) -> None:
    Programmer.asked.clear()
    both = {**LOOKUP, "allowed_callers": ["direct", "programmatic"]}
    for tools, offered in (((LOOKUP,), ["program"]), ((both,), ["lookup", "program"]), ((clock(mcp),), ["program"])):
        run(client, "print(1)", *tools)
        asked = Programmer.asked[-1]["tools"]
        assert sorted(tool["function"]["name"] for tool in asked) == offered
        (program,) = [tool for tool in asked if tool["function"]["name"] == "program"]
        assert (
            f"- {'clock__tick' if tools == (clock(mcp),) else 'lookup'}: arguments"
            in program["function"]["description"]
        )


def test_tools_of_an_mcp_server(client: Client, mcp: str) -> None:
    job = uuid.uuid4().hex
    code = f"import asyncio\nprint(await asyncio.gather(*(tools.clock__tick(job='{job}', n=n) for n in range(40))))"
    events = client.stream(model="m", input=code, tools=[PROGRAMS, clock(mcp)])
    check_stream(events)
    response = events[-1]["response"]
    made = [item for item in response["output"] if item["type"] == "mcp_call"]
    assert [Tools.made[job, n] for n in range(40)] == [1] * 40 and len(made) == 40
    assert result(response)["result"] == str([f"tick {n}" for n in range(40)])
    # In the next response the model sees the program and what came of it, and not the calls within.
    Programmer.asked.clear()
    run(client, "print(2)", clock(mcp), previous_response_id=response["id"])
    asked = [
        one["function"]["name"] for message in Programmer.asked[0]["messages"] for one in message.get("tool_calls", [])
    ]
    assert asked == ["program"]


def test_the_model_does_not_see_results_within_a_program(client: Client) -> None:
    Programmer.asked.clear()
    run(client, "a = await tools.lookup(query='moth')\nprint('no more')", LOOKUP)
    assert len(Programmer.asked) == 2 and "SECRET of moth" not in json.dumps(Programmer.asked[1]["messages"])


CLIENTS = {
    "custom": (
        {"type": "custom", "name": "grep", **CALLERS},
        "print(await tools.grep('a b'), await tools.grep(input='c'))",
        ["a b", "c"],
        lambda call: call["input"],
        "custom_tool_call_output",
    ),
    "shell": (
        {"type": "shell", **CALLERS},
        "print(await tools.shell(commands=['ls']), await tools.shell(commands=['pwd']))",
        [["ls"], ["pwd"]],
        lambda call: call["action"]["commands"],
        "shell_call_output",
    ),
    "apply_patch": (
        {"type": "apply_patch", **CALLERS},
        "for path in 'ab': print(await tools.apply_patch(type='delete_file', path=path))",
        ["a", "b"],
        lambda call: call["operation"]["path"],
        "apply_patch_call_output",
    ),
}


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("stored", [True, False])
def test_tools_of_the_client_beside_functions(client: Client, kind: str, stored: bool) -> None:
    """Each call ends a response; the program goes on with its output, and ends in the third."""
    tool, code, wanted, seen, output = CLIENTS[kind]
    items: list[Json] = [{"role": "user", "content": code}]
    fields: Json = {"input": items}
    for number, one in enumerate(wanted):
        response = run(client, "", tool, store=stored, **fields)
        call = response["output"][-1]
        assert (seen(call), call["caller"]["type"], call["status"]) == (one, "program", "completed")
        text = f"out {number}"
        given = (
            [{"stdout": text, "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}] if kind == "shell" else text
        )
        answered = {"type": output, "call_id": call["call_id"], "output": given, "status": "completed"}
        if kind != "apply_patch":
            del answered["status"]
        items += [*response["output"], answered]
        fields = {"input": [answered], "previous_response_id": response["id"]} if stored else {"input": items}
    response = run(client, "", tool, store=stored, **fields)
    said = result(response)["result"]
    assert "out 0" in said and "out 1" in said and result(response)["status"] == "completed", said


def test_results_of_this_server_stand_in_a_later_response(client: Client) -> None:
    """A program that has called this server and then the client: what the first call gave is not asked for again."""
    own = {"type": "function", "name": "own", "parameters": {"type": "object", "properties": {}}, **CALLERS}
    code = "a = await tools.lookup(query='moth')\nb = await tools.own()\nprint(a, b)"
    LookupUse.calls.clear()
    first = run(client, code, LOOKUP, own)
    assert [item["type"] for item in first["output"]] == ["program", "lookup_call", "function_call"]
    answer = {"type": "function_call_output", "call_id": calls(first)[0]["call_id"], "output": "mine"}
    second = run(client, "", LOOKUP, own, input=[answer], previous_response_id=first["id"])
    assert "SECRET of moth" in result(second)["result"] and result(second)["result"].endswith("mine")
    assert LookupUse.calls == ["moth"]
    # What is stored nowhere, and what the item does not say, is not there.
    first = run(client, code, LOOKUP, own, store=False)
    items = [{"role": "user", "content": code}, *first["output"], {**answer, "call_id": calls(first)[0]["call_id"]}]
    second = run(client, "", LOOKUP, own, input=items, store=False)
    assert "a call of 'lookup' has no output" in result(second)["result"]


@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("stored", [True, False])
def test_a_call_that_a_person_agrees_to(client: Client, mcp: str, stored: bool, approve: bool) -> None:
    job, tool = uuid.uuid4().hex, clock(mcp, "always")
    code = f"try:\n    print(await tools.clock__tick(job='{job}', n=3))\nexcept ToolError as error:\n    print('no:', error)"
    first = run(client, code, tool, store=stored)
    assert [item["type"] for item in first["output"]] == ["mcp_list_tools", "program", "mcp_approval_request"]
    asked = first["output"][-1]
    assert Tools.made[job, 3] == 0 and asked["caller"]["caller_id"] == first["output"][1]["call_id"]
    answer = {"type": "mcp_approval_response", "approval_request_id": asked["id"], "approve": approve}
    fields: Json = {"input": [answer], "previous_response_id": first["id"]}
    if not stored:
        fields = {"input": [{"role": "user", "content": code}, *first["output"], answer], "store": False}
    second = run(client, "", tool, **fields)
    assert [item["type"] for item in second["output"]] == ["mcp_call", "program_output", "message"]
    assert result(second)["result"].startswith("tick 3" if approve else "no: The user did not agree")
    assert Tools.made[job, 3] == int(approve)


def test_what_fails_is_raised_in_the_program(client: Client) -> None:
    code = "try:\n    await tools.lookup(query='bad')\nexcept ToolError as error:\n    print('failed:', error)"
    response = run(client, code, LOOKUP)
    assert result(response)["result"].startswith("failed: ") and response["output"][1]["status"] == "failed"
    assert "ToolError" in result(run(client, "await tools.lookup(query='bad')", LOOKUP))["result"]


FOUR = "for n in range(4): print(await tools.lookup(query=f'moth {n}'))"


def test_max_tool_calls_counts_calls_of_programs(client: Client) -> None:
    response = run(client, FOUR, LOOKUP, max_tool_calls=3)
    assert [item["type"] for item in response["output"]].count("lookup_call") == 2  # the program is one of three
    assert result(response)["status"] == "incomplete" and "max_tool_calls" in result(response)["result"]
    many = FOUR.replace("4", "30")
    response = run(client, many, LOOKUP)
    assert [item["type"] for item in response["output"]].count("lookup_call") == 19
    assert "at most 20" in result(response)["result"]


def test_limits_of_keys_count_calls_of_programs(client: Client) -> None:
    few = Client(client.url, "sk-few")
    code = (
        "for n in range(3):\n    try: print(len(await tools.lookup(query='moth')) > 0)\n"
        "    except ToolError as error: print(error)"
    )
    lines = result(run(few, code, LOOKUP))["result"].splitlines()
    assert lines[:2] == ["True", "True"] and "searches" in lines[2]


def test_rounds_are_bounded(client: Client, mcp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.tools.programs.MOST_ROUNDS", 3)
    job = uuid.uuid4().hex
    code = f"for n in range(9): await tools.clock__tick(job='{job}', n=n)"
    said = result(run(client, code, clock(mcp)))["result"]
    assert "waited 3 times" in said and sum(Tools.made[job, n] for n in range(9)) == 3


@pytest.mark.parametrize("type", ["local_shell", "computer"])
def test_tools_that_programs_cannot_call_are_refused(client: Client, type: str) -> None:
    tool = {"type": type, "allowed_callers": ["programmatic"]}
    status, error = client.post("/v1/responses", model="m", input="x", tools=[PROGRAMS, tool])
    assert (status, error["error"]["param"], error["error"]["code"]) == (
        400,
        "tools[1].allowed_callers",
        "unsupported_value",
    )


@pytest.mark.parametrize("type", ["web_search", "shell"])
def test_callers_of_a_wrong_type_are_refused(client: Client, type: str) -> None:
    tool = {"type": type, "allowed_callers": 5}
    status, error = client.post("/v1/responses", model="m", input="x", tools=[tool])
    assert (status, error["error"]["param"]) == (400, "tools[0].allowed_callers")


CONFIG = """
store = "antiphon.db"
background_lease = 1.5
url_guard_allow = ["127.0.0.0/8"]
[backends.model]
url = "{url}"
"""


def test_a_killed_server_makes_no_call_of_a_program_again(url: str, mcp: str, tmp_path: Path) -> None:
    """It is killed while the program works on what its call gave: another one runs it again, with the same result."""
    job = uuid.uuid4().hex
    code = f"import time\na = await tools.clock__tick(job='{job}', n=1)\ntime.sleep(3)\nprint(a)"
    (tmp_path / "antiphon.toml").write_text(CONFIG.format(url=url))
    with serving(tmp_path, "--config", "antiphon.toml") as first:
        client = Client(first.url)
        id = run(client, code, clock(mcp), background=True)["id"]
        wait_for(lambda: Tools.made[job, 1] == 1)
        threading.Event().wait(1.0)  # its result is committed, and the program sleeps
        first.process.kill()
        first.process.wait()
    with serving(tmp_path, "--config", "antiphon.toml") as second:
        client = Client(second.url)
        wait_for(lambda: client.get(f"/v1/responses/{id}")[1]["status"] not in ("queued", "in_progress"))
        _, response = client.get(f"/v1/responses/{id}")
    assert response["status"] == "completed", response["error"]
    kinds = [item["type"] for item in response["output"]]
    assert kinds == ["mcp_list_tools", "program", "mcp_call", "program_output", "message"]
    assert result(response)["result"] == "tick 1" and Tools.made[job, 1] == 1
