"""The hosted shell with a real sandbox, through the whole server: events, output, state, files, containers, owners, ends."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.config import CodeInterpreterConfig, ToolsConfig
from tests.golden.rules import check_stream
from tests.server.coder import Coder, coding
from tests.server.test_code_interpreter import content, upload
from tests.server.test_hosted_tools import process, wait_for
from tests.server.test_matrix import MODES
from tests.server.whole import Client, Json, upstream, whole_server

pytestmark = [pytest.mark.slow, pytest.mark.needs("bwrap")]

TOOL = {"type": "shell", "environment": {"type": "container_auto"}}


class Operator(Coder):
    """Runs what the last user message says: calls apart by `---`, commands of one by lines; JSON is the arguments."""

    function = "shell"

    def arguments(self, cell: str) -> Json:
        """Return the arguments of a call."""
        return json.loads(cell) if cell.startswith("{") else {"commands": cell.splitlines()}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with upstream(Operator) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with coding(url, tmp_path_factory.mktemp("store")) as client:
        yield client


@pytest.fixture
def bob(client: Client) -> Client:
    return Client(client.url, "sk-bob")


def run(client: Client, commands: str, **fields: Any) -> Json:
    return client.create(**{"model": "m", "input": commands, "tools": [TOOL], **fields})


def calls(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] == "shell_call"]


def outputs(response: Json) -> list[list[Json]]:
    return [item["output"] for item in response["output"] if item["type"] == "shell_call_output"]


def exited(stdout: str = "", stderr: str = "", code: int = 0) -> Json:
    return {"stdout": stdout, "stderr": stderr, "outcome": {"type": "exit", "exit_code": code}}


def test_the_events_of_a_call(client: Client) -> None:
    events = client.stream(
        model="m", input="echo é; echo bad >&2; exit 3\necho a,b > out.csv", tools=[TOOL], max_tool_calls=1
    )
    check_stream(events)
    kinds = [
        event["type"].removeprefix("response.")
        for event in events
        if event.get("output_index") in (0, 1) and not event["type"].endswith("content.delta")
    ]
    assert kinds == [
        "output_item.added",
        *["shell_call_command.added", "shell_call_command.delta", "shell_call_command.done"] * 2,
        "output_item.done",
        "output_item.added",
        "shell_call_output_content.done",
        "shell_call_output_content.done",
        "output_item.done",
    ]
    added = events[2]["item"]
    assert added["action"] == {"commands": [], "timeout_ms": None, "max_output_length": None}
    assert added["environment"]["type"] == "container_reference"
    assert added["environment"]["container_id"].startswith("cntr_")
    call, output, message = events[-1]["response"]["output"]
    assert (call["status"], call["environment"], call["id"][:3]) == ("completed", added["environment"], "sh_")
    assert call["action"]["commands"] == ["echo é; echo bad >&2; exit 3", "echo a,b > out.csv"]
    assert (output["status"], output["call_id"], output["id"][:4]) == ("completed", call["call_id"], "sho_")
    assert output["output"] == [exited("é\n", "bad\n", 3), exited()]
    (annotation,) = message["content"][0]["annotations"]
    assert (annotation["type"], annotation["filename"]) == ("container_file_citation", "out.csv")
    where = f"/v1/containers/{annotation['container_id']}/files/{annotation['file_id']}"
    assert content(client, where) == b"a,b\n"


def test_output_streams_while_the_command_runs(client: Client) -> None:
    """What was printed comes before the command has ended: the file that it waits for is made when the first line was seen."""
    made = client.post("/v1/containers", name="mine")[1]
    tool = {"type": "shell", "environment": {"type": "container_reference", "container_id": made["id"]}}
    fields = {"model": "m", "input": "echo first; sleep 3; echo second", "tools": [tool], "stream": True}
    request = urllib.request.Request(f"{client.url}/v1/responses", json.dumps(fields).encode(), client.headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        events = [json.loads(line[6:]) for line in reply if line.startswith(b"data: {")]
    deltas = [event["delta"] for event in events if event["type"] == "response.shell_call_output_content.delta"]
    assert deltas == [{"stdout": "first\n"}, {"stdout": "second\n"}]


@pytest.mark.parametrize("mode", MODES)
def test_commands_run_in_every_mode(client: Client, mode: Callable[[Client, Json], Json]) -> None:
    response = mode(client, {"model": "m", "input": "echo a > a.txt---cat a.txt; pwd", "tools": [TOOL]})
    assert outputs(response) == [[exited()], [exited("a\n/mnt/data\n")]]
    assert len({call["environment"]["container_id"] for call in calls(response)}) == 1
    assert '"stdout":"a\\n/mnt/data\\n"' in response["output"][-1]["content"][0]["text"]


def test_bounds_of_a_call(client: Client) -> None:
    late = json.dumps({"commands": ["echo begun; sleep 60", "echo next"], "timeout_ms": 500})
    much = json.dumps({"commands": ["printf 12345678901234567890; printf no >&2"], "max_output_length": 12})
    none = json.dumps({"commands": []})
    many = json.dumps({"commands": ["true"] * 33})
    response = run(client, "---".join((late, much, none, many, "kill -9 $$")))
    assert outputs(response)[0] == [
        {"stdout": "begun\n", "stderr": "", "outcome": {"type": "timeout"}},
        exited("next\n"),
    ]
    ((cut,),) = outputs(response)[1:2]
    assert (cut["stdout"], cut["stderr"]) == ("123456789012", "[10 more characters of output are left out.]\n")
    assert [call["action"]["max_output_length"] for call in calls(response)] == [None, 12, None, None, None]
    assert "no commands to run" in outputs(response)[2][0]["stderr"]
    assert "At most 32 commands" in outputs(response)[3][0]["stderr"]
    assert outputs(response)[4] == [exited(code=137)]
    statuses = [item["status"] for item in response["output"] if item["type"] == "shell_call_output"]
    assert statuses == ["completed", "completed", "incomplete", "incomplete", "completed"]


def test_the_container_of_an_earlier_call_is_used_again(client: Client) -> None:
    first = run(client, "echo 5 > n")
    second = run(client, "cat n", previous_response_id=first["id"])
    assert outputs(second) == [[exited("5\n")]]
    replayed = [{"role": "user", "content": "echo 5 > n"}, *first["output"], {"role": "user", "content": "cat n"}]
    Operator.asked.clear()
    third = run(client, "", input=replayed, store=False)
    assert outputs(third) == [[exited("5\n")]]
    # The model sees the earlier call and what it gave under the function's own name.
    messages = Operator.asked[0]["messages"]
    assert [call["function"]["name"] for one in messages for call in one.get("tool_calls", [])] == ["shell"]
    assert json.loads(next(one["content"] for one in messages if one["role"] == "tool")) == [exited()]
    used = {call["environment"]["container_id"] for one in (first, second, third) for call in calls(one)}
    (id,) = used
    reference = {"type": "shell", "environment": {"type": "container_reference", "container_id": id}}
    assert outputs(run(client, "ls", tools=[reference])) == [[exited("n\n")]]
    # A client may keep nothing of the environment, and not say how the call ended.
    bare = [{k: v for k, v in item.items() if k not in ("environment", "status")} for item in first["output"]]
    fourth = run(client, "", input=[replayed[0], *bare, replayed[-1]], store=False)
    assert outputs(fourth) == [[exited("5\n")]] and calls(fourth)[0]["environment"]["container_id"] == id
    # One that is gone begins anew where it was chosen by the server, and is told where the request names it.
    assert client.send("DELETE", f"/v1/containers/{id}")[0] == 200
    fourth = run(client, "", input=[*replayed[:-1], {"role": "user", "content": "ls"}])
    assert outputs(fourth) == [[exited()]]
    status, error = client.post("/v1/responses", model="m", input="ls", tools=[reference])
    assert (status, error["error"]["code"]) == (404, "container_not_found")


def test_files_of_a_request_and_of_other_owners(client: Client, bob: Client) -> None:
    _, file = upload(client, "/v1/files", "data.csv", b"1,2\n", purpose="user_data")
    tool = {"type": "shell", "environment": {"type": "container_auto", "file_ids": [file["id"]]}}
    Operator.asked.clear()
    response = run(client, "cat data.csv", tools=[tool])
    assert outputs(response) == [[exited("1,2\n")]]
    assert "/mnt/data/data.csv" in json.dumps(Operator.asked[0]["messages"])
    id = calls(response)[0]["environment"]["container_id"]
    reference = {"type": "shell", "environment": {"type": "container_reference", "container_id": id}}
    for declared, param in ((tool, "file_ids[0]"), (reference, "container_id")):
        status, error = bob.post("/v1/responses", model="m", input="ls", tools=[declared])
        assert (status, error["error"]["param"]) == (404, f"tools[0].environment.{param}")
    # Another owner who names the container in the history gets a new one.
    replayed = [{"role": "user", "content": "x"}, *response["output"], {"role": "user", "content": "ls"}]
    other = run(bob, "", input=replayed)
    assert outputs(other) == [[exited()]] and calls(other)[0]["environment"]["container_id"] != id


REFUSED: dict[str, tuple[Json, str]] = {
    "network": ({"network_policy": {"type": "allowlist", "allowed_domains": ["a.org"]}}, ".network_policy"),
    "memory": ({"memory_limit": "4g"}, ".memory_limit"),
    "many files": ({"file_ids": ["file-1"] * 51}, ".file_ids"),
    "no reference": ({"type": "container_reference"}, ".container_id"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_before_anything_streams(client: Client, case: str) -> None:
    fields, param = REFUSED[case]
    tool = {"type": "shell", "environment": {"type": "container_auto", **fields}}
    status, error = client.post("/v1/responses", model="m", input="1", tools=[tool], stream=True)
    assert (status, error["error"]["param"]) == (400, f"tools[0].environment{param}")


@pytest.mark.parametrize("environment", [None, {"type": "local"}])
def test_the_client_runs_its_own_shell(client: Client, environment: Json | None) -> None:
    response = run(client, "ls", tools=[{"type": "shell", "environment": environment}])
    (call,) = response["output"]
    assert (call["type"], call["environment"], call["action"]["commands"]) == ("shell_call", {"type": "local"}, ["ls"])


@pytest.mark.parametrize(
    "choice", [{"type": "shell"}, {"type": "allowed_tools", "mode": "required", "tools": [{"type": "shell"}]}]
)
def test_a_forced_shell_is_forced_once(client: Client, choice: Json) -> None:
    Operator.asked.clear()
    response = run(
        client, "echo 1", tools=[{"type": "function", "name": "f", "parameters": {}}, TOOL], tool_choice=choice
    )
    assert outputs(response) == [[exited("1\n")]]
    assert [tool["function"]["name"] for tool in Operator.asked[0]["tools"]] == ["shell"]


def test_calls_of_one_turn_and_the_limit_of_calls(client: Client) -> None:
    events = client.stream(
        model="m", input="parallel sleep 0.3; echo 1 >> n---cat n---echo no", tools=[TOOL], max_tool_calls=2
    )
    check_stream(events)
    response = events[-1]["response"]
    given = {call["call_id"]: call["action"]["commands"][0] for call in calls(response)}
    by_command = {
        given[item["call_id"]]: item["output"] for item in response["output"] if item["type"] == "shell_call_output"
    }
    assert by_command["cat n"] == [exited("1\n")]
    assert "max_tool_calls" in by_command["echo no"][0]["stderr"]


def test_a_response_that_is_cancelled_ends_its_commands(client: Client) -> None:
    response = client.create(model="m", input="echo 1; sleep 60", tools=[TOOL], background=True)
    where = f"/v1/responses/{response['id']}"

    def running() -> bool:
        return any(item["type"] == "shell_call" for item in client.get(where)[1]["output"])

    wait_for(running)
    client.post(f"{where}/cancel")
    ended = client.finished(response["id"])
    assert ended["status"] == "cancelled"
    call, output = ended["output"]
    assert (call["status"], output["status"], output["call_id"]) == ("completed", "incomplete", call["call_id"])
    again = run(client, "echo next", previous_response_id=ended["id"])
    assert outputs(again) == [[exited("next\n")]] or "anew" in outputs(again)[0][0]["stderr"]


def test_a_shell_that_is_off_is_told(url: str) -> None:
    tools = ToolsConfig(code_interpreter=CodeInterpreterConfig(sandbox="off"))
    with whole_server(url, tools=tools) as client:
        body = json.dumps({"model": "m", "input": "ls", "tools": [TOOL]}).encode()
        with urllib.request.urlopen(
            urllib.request.Request(f"{client.url}/v1/responses", data=body), timeout=20
        ) as reply:
            assert reply.headers["x-antiphon-ignored"] == "shell"
        status, error = client.post("/v1/responses", model="m", input="1", tools=[TOOL], tool_choice={"type": "shell"})
        assert (status, error["error"]["code"]) == (400, "tool_not_available")


def test_commands_are_not_run_again_where_the_server_is_killed(url: str, tmp_path: Path) -> None:
    """The server dies while a command runs: another one ends the response with both items, and what was told of the output."""
    store = tmp_path / "antiphon.db"
    Operator.asked.clear()
    fields = {"model": "m", "input": "echo 1\nsleep 60", "tools": [TOOL], "background": True, "stream": True}
    with process(store, url) as (client, running):
        request = urllib.request.Request(f"{client.url}/v1/responses", data=json.dumps(fields).encode())
        with urllib.request.urlopen(request, timeout=30) as reply:
            created = json.loads(next(line for line in reply if line.startswith(b"data: "))[6:])
            next(line for line in reply if b"shell_call_output_content.done" in line)
            running.kill()
            running.wait()
    with process(store, url) as (client, _):
        made = client.finished(created["response"]["id"])
        assert (made["status"], made["error"]["code"]) == ("failed", "server_interrupted")
        call, output = made["output"]
        assert (call["status"], output["status"], output["output"]) == ("completed", "incomplete", [exited("1\n")])
    assert len(Operator.asked) == 1
