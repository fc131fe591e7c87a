"""code_interpreter with a real sandbox, through the whole server: events, outputs, state, files, containers, owners, ends."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.config import CodeInterpreterConfig, KeyConfig, ToolsConfig
from tests.golden.rules import check_stream
from tests.server.coder import Coder, coding
from tests.server.test_hosted_tools import process
from tests.server.test_matrix import MODES
from tests.server.whole import Client, Json, upstream, whole_server

pytestmark = [pytest.mark.slow, pytest.mark.needs("bwrap")]

TOOL = {"type": "code_interpreter", "container": {"type": "auto"}}
OUTPUTS = "code_interpreter_call.outputs"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with upstream(Coder) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with coding(url, tmp_path_factory.mktemp("store")) as client:
        yield client


@pytest.fixture
def bob(client: Client) -> Client:
    return Client(client.url, "sk-bob")


def run(client: Client, code: str, **fields: Any) -> Json:
    return client.create(**{"model": "m", "input": code, "tools": [TOOL], "include": [OUTPUTS], **fields})


def calls(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] == "code_interpreter_call"]


def logs(response: Json) -> list[str]:
    return ["".join(one.get("logs", "") for one in call["outputs"]) for call in calls(response)]


def test_the_events_of_a_call(client: Client) -> None:
    code = "open('out.csv', 'w').write('a,b')\n(2, 'é')"
    events = client.stream(model="m", input=code, tools=[TOOL], include=[OUTPUTS])
    check_stream(events)
    about = [event for event in events if event.get("output_index") == 0]
    kinds = [event["type"].removeprefix("response.") for event in about]
    deltas = kinds.count("code_interpreter_call_code.delta")
    assert deltas > 2
    assert kinds == [
        "output_item.added",
        "code_interpreter_call.in_progress",
        *["code_interpreter_call_code.delta"] * deltas,
        "code_interpreter_call_code.done",
        "code_interpreter_call.interpreting",
        "code_interpreter_call.completed",
        "output_item.done",
    ]
    added, done = about[0]["item"], about[-1]["item"]
    assert added["container_id"].startswith("cntr_") and added["outputs"] == [] and added["code"] == ""
    assert "".join(event["delta"] for event in about if event["type"].endswith("code.delta")) == code
    assert done == {
        "id": added["id"],
        "type": "code_interpreter_call",
        "status": "completed",
        "code": code,
        "container_id": added["container_id"],
        "outputs": [{"type": "logs", "logs": "(2, 'é')"}],
    }
    (annotation,) = events[-1]["response"]["output"][1]["content"][0]["annotations"]
    text = events[-1]["response"]["output"][1]["content"][0]["text"]
    assert text[annotation["start_index"] : annotation["end_index"]] == "sandbox:/mnt/data/out.csv"
    assert annotation["type"] == "container_file_citation" and annotation["filename"] == "out.csv"
    where = f"/v1/containers/{annotation['container_id']}/files/{annotation['file_id']}"
    status, file = client.get(where)
    assert (status, file["path"], file["bytes"], file["source"]) == (200, "/mnt/data/out.csv", 3, "assistant")
    assert content(client, where) == b"a,b"


def content(client: Client, where: str) -> bytes:
    request = urllib.request.Request(f"{client.url}{where}/content", headers=client.headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert reply.headers["x-content-type-options"] == "nosniff"
        return reply.read()


@pytest.mark.parametrize("mode", MODES)
def test_code_runs_in_every_mode(client: Client, mode: Callable[[Client, Json], Json]) -> None:
    fields = {"model": "m", "input": "x = 20\n---x + 1", "tools": [TOOL], "include": [OUTPUTS]}
    response = mode(client, fields)
    assert logs(response) == ["", "21"]
    assert len({call["container_id"] for call in calls(response)}) == 1
    assert response["output"][-1]["content"][0]["text"].startswith("It says 21.")


def test_outputs_are_shown_on_request_only(client: Client) -> None:
    response = run(client, "7 * 6", include=[])
    assert [call["outputs"] for call in calls(response)] == [None]
    assert response["output"][-1]["content"][0]["text"].startswith("It says 42.")


def test_what_python_raises_is_output_and_what_ends_it_is_a_failure(client: Client) -> None:
    response = run(client, "1/0---import os; os._exit(3)---'x' in dir()")
    assert [call["status"] for call in calls(response)] == ["completed", "failed", "completed"]
    first, second, third = logs(response)
    assert "ZeroDivisionError" in first and "antiphon" not in first
    assert "the interpreter ended: status 3" in second
    assert third.startswith("False") and "variables of earlier calls are lost" in third


def test_code_that_takes_too_long_fails_and_files_stay(client: Client) -> None:
    code = "print('begun')\nopen('kept.txt', 'w').write('a')\nwhile True: pass---open('kept.txt').read()"
    response = run(client, code)
    assert [call["status"] for call in calls(response)] == ["failed", "completed"]
    assert logs(response)[0] == "begun\ntimed out after 10 s"
    assert logs(response)[1].startswith("'a'")


def test_calls_of_one_turn_run_one_after_the_other(client: Client) -> None:
    response = run(client, "parallel import time; n = 1; time.sleep(0.3); n---n += 1; n---n += 1; n")
    assert logs(response) == ["1", "2", "3"]


def test_the_container_of_an_earlier_call_is_used_again(client: Client) -> None:
    first = run(client, "x = 5")
    second = run(client, "x", previous_response_id=first["id"])
    assert logs(second) == ["5"]
    replayed = [{"role": "user", "content": "x = 5"}, *first["output"], {"role": "user", "content": "x + 1"}]
    third = run(client, "", input=replayed, store=False)
    assert logs(third) == ["6"]
    used = {call["container_id"] for response in (first, second, third) for call in calls(response)}
    assert len(used) == 1
    # One that is gone begins anew, instead of a refusal.
    status, _ = client.send("DELETE", f"/v1/containers/{used.pop()}")
    assert status == 200
    fourth = run(client, "", input=[*replayed[:-1], {"role": "user", "content": "'x' in dir()"}])
    assert logs(fourth) == ["False"]


def test_pictures_are_outputs(client: Client) -> None:
    response = run(client, "class P:\n  def _repr_png_(self): return b'\\x89PNG'\nP()")
    assert calls(response)[0]["outputs"] == [{"type": "image", "url": "data:image/png;base64,iVBORw=="}]
    assert "1 pictures are shown" in response["output"][-1]["content"][0]["text"]


def upload(client: Client, path: str, name: str, data: bytes, **fields: str) -> tuple[int, Json]:
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    body = b"".join([*parts, head, data, f"\r\n--{boundary}--\r\n".encode()])
    headers = {**client.headers, "content-type": f"multipart/form-data; boundary={boundary}"}
    request = urllib.request.Request(client.url + path, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_files_of_a_request_are_there(client: Client) -> None:
    _, file = upload(client, "/v1/files", "data.csv", b"1,2\n", purpose="user_data")
    tool = {"type": "code_interpreter", "container": {"type": "auto", "file_ids": [file["id"]]}}
    Coder.asked.clear()
    response = run(client, "open('data.csv').read()", tools=[tool])
    assert logs(response) == ["'1,2\\n'"]
    assert "/mnt/data/data.csv" in json.dumps(Coder.asked[0]["messages"])


def test_containers_by_their_routes(client: Client, bob: Client) -> None:
    status, made = client.post(
        "/v1/containers", name="mine", memory_limit="1g", expires_after={"anchor": "last_active_at", "minutes": 5}
    )
    assert (status, made["object"], made["status"], made["name"]) == (200, "container", "running", "mine")
    assert made["expires_after"] == {"anchor": "last_active_at", "minutes": 5}
    where = f"/v1/containers/{made['id']}"
    assert client.get(where) == (200, made)
    status, listed = client.get("/v1/containers?name=mine")
    assert listed["data"] == [made] and listed["first_id"] == made["id"]
    status, file = upload(client, f"{where}/files", "../a b.txt", b"hello")
    assert (status, file["path"], file["source"], file["object"]) == (
        200,
        "/mnt/data/a b.txt",
        "user",
        "container.file",
    )
    _, kept = upload(client, "/v1/files", "up.txt", b"up", purpose="user_data")
    status, copied = client.post(f"{where}/files", file_id=kept["id"])
    assert (status, copied["bytes"]) == (200, 2)
    tool = {"type": "code_interpreter", "container": made["id"]}
    response = run(client, "import os; x = 1; sorted(os.listdir())", tools=[tool])
    assert logs(response) == ["['a b.txt', 'up.txt']"]
    assert calls(response)[0]["container_id"] == made["id"]
    status, _ = client.send("DELETE", f"{where}/files/{file['id']}")
    assert status == 200
    upload(client, f"{where}/files", "up.txt", b"new")
    assert logs(run(client, "x, os.listdir(), open('up.txt').read()", tools=[tool])) == ["(1, ['up.txt'], 'new')"]
    status, files = client.get(f"{where}/files")
    assert [one["id"] for one in files["data"]] == [copied["id"]]
    # Another owner sees nothing of it.
    of_file = f"{where}/files/{copied['id']}"
    for path in (where, f"{where}/files", of_file, f"{of_file}/content"):
        assert bob.get(path)[0] == 404, path
    for path in (where, of_file):
        assert bob.send("DELETE", path)[0] == 404, path
    assert bob.post(f"{where}/files", file_id=kept["id"])[0] == 404
    assert upload(bob, f"{where}/files", "x", b"x")[0] == 404
    assert bob.get("/v1/containers")[1]["data"] == []
    status, error = bob.post("/v1/responses", model="m", input="1", tools=[tool])
    assert (status, error["error"]["param"], error["error"]["code"]) == (
        404,
        "tools[0].container",
        "container_not_found",
    )
    status, error = bob.post(
        "/v1/responses", model="m", input="1", tools=[{**TOOL, "container": {"type": "auto", "file_ids": [kept["id"]]}}]
    )
    assert (status, error["error"]["param"]) == (404, "tools[0].container.file_ids[0]")
    assert client.send("DELETE", where) == (200, {"id": made["id"], "object": "container.deleted", "deleted": True})
    assert client.get(where)[0] == 404
    assert client.get(f"{where}/files/{copied['id']}")[0] == 404


REFUSED: dict[str, tuple[Json, str]] = {
    "no container": ({"type": "code_interpreter"}, "tools[0].container"),
    "network": (
        {**TOOL, "container": {"type": "auto", "network_policy": {"type": "allowlist", "allowed_domains": ["a.org"]}}},
        "tools[0].container.network_policy",
    ),
    "memory": ({**TOOL, "container": {"type": "auto", "memory_limit": "4g"}}, "tools[0].container.memory_limit"),
    "no memory": ({**TOOL, "container": {"type": "auto", "memory_limit": "3g"}}, "tools[0].container.memory_limit"),
    "many files": ({**TOOL, "container": {"type": "auto", "file_ids": ["file-1"] * 51}}, "tools[0].container.file_ids"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_before_anything_streams(client: Client, case: str) -> None:
    tool, param = REFUSED[case]
    status, error = client.post("/v1/responses", model="m", input="1", tools=[tool], stream=True)
    assert (status, error["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "name"),
        ({"name": "a", "network_policy": {"type": "allowlist"}}, "network_policy"),
        ({"name": "a", "memory_limit": "64g"}, "memory_limit"),
        ({"name": "a", "skills": [{"type": "skill_reference"}]}, "skills[0].skill_id"),
        ({"name": "a", "file_ids": ["file-404"]}, "file_ids[0]"),
        ({"name": "a" * 300}, "name"),
    ],
)
def test_a_container_that_cannot_be_is_refused(client: Client, fields: Json, param: str) -> None:
    status, error = client.post("/v1/containers", **fields)
    assert status in (400, 404) and error["error"]["param"] == param


def test_a_tool_that_is_off_is_told(url: str) -> None:
    tools = ToolsConfig(code_interpreter=CodeInterpreterConfig(sandbox="off"))
    with whole_server(url, tools=tools) as client:
        request = urllib.request.Request(
            f"{client.url}/v1/responses", data=json.dumps({"model": "m", "input": "1+1", "tools": [TOOL]}).encode()
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            assert reply.headers["x-antiphon-ignored"] == "code_interpreter"
        status, error = client.post(
            "/v1/responses", model="m", input="1", tools=[TOOL], tool_choice={"type": "code_interpreter"}
        )
        assert (status, error["error"]["code"]) == (400, "tool_not_available")
        status, ready = client.get("/ready")
        assert (status, ready["code_interpreter"]) == (200, 'off: tools.code_interpreter.sandbox is "off"')
        status, error = client.post("/v1/containers", name="a")
        assert (status, error["error"]["code"]) == (501, "code_interpreter_off")


def test_files_outlive_the_server_and_variables_do_not(url: str, tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    with whole_server(url, store=store) as client:
        first = run(client, "open('a.txt', 'w').write('kept'); x = 1")
    with whole_server(url, store=store) as client:
        second = run(client, "open('a.txt').read(), 'x' in dir()", previous_response_id=first["id"])
        assert logs(second)[0].startswith("('kept', False)\n[The container was started anew")


def test_code_is_not_run_again_where_the_server_is_killed(url: str, tmp_path: Path) -> None:
    """The server dies while code runs: another one ends the response, and asks neither the model nor the sandbox again."""
    store = tmp_path / "antiphon.db"
    Coder.asked.clear()
    fields = {"model": "m", "input": "import time; time.sleep(60)", "tools": [TOOL], "background": True, "stream": True}
    with process(store, url) as (client, running):
        request = urllib.request.Request(f"{client.url}/v1/responses", data=json.dumps(fields).encode())
        with urllib.request.urlopen(request, timeout=30) as reply:
            created = json.loads(next(line for line in reply if line.startswith(b"data: "))[6:])
            next(line for line in reply if b"code_interpreter_call.interpreting" in line)
            running.kill()
            running.wait()
    with process(store, url) as (client, _):
        made = client.finished(created["response"]["id"])
    assert (made["status"], made["error"]["code"]) == ("failed", "server_interrupted")
    assert len(Coder.asked) == 1


def test_seconds_and_files_count_against_a_keys_limits(url: str, tmp_path: Path) -> None:
    limits = ["100 code_seconds/day", "5 stored_bytes/day"]
    keys = {"ann": KeyConfig(key="sk-ann", limits=limits)}
    with whole_server(url, store=str(tmp_path / "antiphon.db"), keys=keys) as served:
        ann = Client(served.url, "sk-ann")
        slow = "import time\ntime.sleep(1.2)\nopen('out.csv', 'w').write('a,b,c,d')"
        assert calls(run(ann, slow))[0]["status"] == "completed"
        assert calls(run(ann, "1"))[0]["status"] == "failed"  # the file was larger than what was left
        assert "5 stored_bytes/day is spent" in str(Coder.asked[-1]["messages"][-1]["content"])
        request = urllib.request.Request(
            f"{served.url}/v1/responses",
            json.dumps({"model": "m", "input": "2", "tools": [TOOL]}).encode(),
            ann.headers,
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            assert 90 <= int(reply.headers["x-ratelimit-remaining-code-seconds"]) <= 98
            assert reply.headers["x-ratelimit-remaining-stored-bytes"] == "0"
        status, body = ann.post("/v1/containers", name="c", memory_limit="1g")
        assert status == 200, body
