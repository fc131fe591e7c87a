"""`antiphon serve` with an MCP server in place of a sandbox, both as processes of their own: stdio and streamable HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import free_port, serving
from tests.bounds import bound
from tests.golden.rules import check_stream
from tests.server.coder import Coder
from tests.server.whole import Client, Json, upstream

pytestmark = [pytest.mark.slow, pytest.mark.needs("bwrap", "mcp")]

PROGRAM = Path(__file__).parents[1] / "tools" / "sandbox" / "code_server.py"
CONFIG = """
store = "memory"
log_level = "error"
[backends.m]
url = "{url}/v1"
[tools.code_interpreter]
sandbox = "mcp"
tool = "code/python"
call_seconds = 2
[mcp_servers.code]
"""
TOOL = {"type": "code_interpreter", "container": {"type": "auto"}}
OUTPUTS = "code_interpreter_call.outputs"


class Program:
    """The MCP server: over HTTP a process of the test's, else one that the server starts for each connection."""

    def __init__(self, folder: Path, transport: str) -> None:
        self._control = folder / "control"
        self._control.touch()
        self._port = free_port() if transport == "http" else 0
        self._process: subprocess.Popen[bytes] | None = None
        self._parent = 0

    def settings(self) -> str:
        """Return its entry in the settings."""
        if self._port:
            return f'url = "http://127.0.0.1:{self._port}/mcp"'
        return f'command = "{sys.executable}"\nargs = {json.dumps([str(PROGRAM), "stdio", str(self._control)])}'

    def misbehave(self, mode: str) -> None:
        """Say what it does from now on; "" for what it should."""
        self._control.write_text(mode)

    def begin(self, parent: int = 0) -> None:
        """Start it, where it speaks HTTP."""
        self._parent = parent or self._parent
        if not self._port or (self._process is not None and self._process.poll() is None):
            return
        arguments = [sys.executable, str(PROGRAM), str(self._port), str(self._control)]
        self._process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + bound(30)
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("the program does not start")

    def kill(self) -> None:
        """Kill it: over stdio all that the server has started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for pid in children(self._parent) if self._parent and not self._port else ():
            if str(PROGRAM) in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)


class Served:
    """The server's client, and the program that runs code for it."""

    def __init__(self, client: Client, program: Program) -> None:
        self.client = client
        self.program = program

    def run(self, code: str, **fields: Any) -> Json:
        return self.client.create(**{"model": "m", "input": code, "tools": [TOOL], "include": [OUTPUTS], **fields})


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def calls(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] == "code_interpreter_call"]


def logs(response: Json) -> list[str]:
    return ["".join(one.get("logs", "") for one in call["outputs"]) for call in calls(response)]


def statuses(response: Json) -> list[str]:
    return [call["status"] for call in calls(response)]


both = pytest.mark.parametrize("served", ["stdio", "http"], indirect=True, scope="module")
http = pytest.mark.parametrize("served", ["http"], indirect=True, scope="module")
"""What does not depend on the transport: a program starts in seconds, over stdio for each connection."""


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    program = Program(folder, request.param)
    program.begin()
    try:
        with upstream(Coder) as url:
            (folder / "antiphon.toml").write_text(CONFIG.format(url=url) + program.settings() + "\n")
            with serving(folder, "--config", "antiphon.toml") as command:
                program.begin(command.process.pid)
                client = Client(command.url, timeout=bound(60))
                end = time.monotonic() + bound(60)
                while "being tried" in (ready := json.dumps(client.get("/ready")[1])) and time.monotonic() < end:
                    time.sleep(0.1)
                assert "mcp:code, Python 3." in ready
                yield Served(client, program)
    finally:
        program.kill()


@pytest.fixture
def program(served: Served) -> Iterator[Program]:
    """The program, which behaves again after the test."""
    yield served.program
    served.program.misbehave("")
    served.program.begin()


@both
def test_a_call_streamed_and_not(served: Served) -> None:
    code = "open('out.csv', 'w').write('a,b')\nprint('said')\n(2, 'é')"
    whole = served.run(code)
    assert (statuses(whole), logs(whole)) == (["completed"], ["said\n(2, 'é')"])
    fields = {"tools": [TOOL], "include": [OUTPUTS], "previous_response_id": whole["id"]}
    events = served.client.stream(model="m", input=code, **fields)
    check_stream(events)
    kinds = [
        event["type"].removeprefix("response.code_interpreter_call")
        for event in events
        if "code_inter" in event["type"]
    ]
    deltas = kinds.count("_code.delta")
    assert (
        kinds == [".in_progress", *["_code.delta"] * deltas, "_code.done", ".interpreting", ".completed"] and deltas > 2
    )
    (done,) = calls(events[-1]["response"])
    assert done["outputs"] == calls(whole)[0]["outputs"]
    (annotation,) = events[-1]["response"]["output"][1]["content"][0]["annotations"]
    assert (annotation["type"], annotation["filename"]) == ("container_file_citation", "out.csv")


@http
def test_state_files_and_commands(served: Served) -> None:
    """Files are larger than one call of the tool takes; each way they are the same bytes."""
    _, made = served.client.post("/v1/containers", name="mine")
    where = f"/v1/containers/{made['id']}"
    sent = bytes(range(256)) * 2500
    assert upload(served.client, f"{where}/files", "in.bin", sent)[0] == 200
    tool = {"type": "code_interpreter", "container": made["id"]}
    code = "x = open('in.bin', 'rb').read()\nopen('d/out.bin', 'wb').write(x[::-1])"
    response = served.run("import os; os.mkdir('d')---" + code + "---len(x)---import subprocess; "
                          "subprocess.run('id -u >&2; cat in.bin | wc -c', shell=True, capture_output=True).stdout",
                          tools=[tool])  # fmt: skip
    assert logs(response) == ["", "640000", "640000", r"b'640000\n'"]
    files = {file["path"]: file["id"] for file in served.client.get(f"{where}/files")[1]["data"]}
    assert {*files} == {"/mnt/data/in.bin", "/mnt/data/d/out.bin"}
    with urllib.request.urlopen(f"{served.client.url}{where}/files/{files['/mnt/data/d/out.bin']}/content") as reply:
        assert reply.read() == sent[::-1]
    assert logs(served.run("1/0", tools=[tool]))[0].endswith("ZeroDivisionError: division by zero")
    assert logs(served.run("display(type('P', (), {'_repr_png_': lambda self: b'PNG'})())", tools=[tool])) == [""]
    shown = calls(served.run("type('P', (), {'_repr_png_': lambda self: b'PNG'})()", tools=[tool]))[0]["outputs"]
    assert [output["type"] for output in shown] == ["image"]


@http
def test_code_that_takes_too_long(served: Served) -> None:
    first = served.run("open('kept', 'w').write('a')\nx = 1")
    began = time.monotonic()
    late = served.run("print('begun')\nwhile True: pass", previous_response_id=first["id"])
    assert (
        statuses(late) == ["failed"] and logs(late)[0].startswith("begun\n") and "timed out after 2 s" in logs(late)[0]
    )
    assert time.monotonic() - began < bound(20)
    again = served.run("open('kept').read(), 'x' in globals()", previous_response_id=late["id"])
    assert logs(again) == ["('a', True)"]
    deaf = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass"
    late = served.run(deaf, previous_response_id=first["id"])
    assert statuses(late) == ["failed"] and "timed out after 2 s" in logs(late)[0]
    again = served.run("open('kept').read(), 'x' in globals()", previous_response_id=late["id"])
    assert "('a', False)" in logs(again)[0] and "variables of earlier calls are lost" in logs(again)[0]


@both
def test_a_program_that_dies_between_calls(served: Served, program: Program) -> None:
    first = served.run("x = 1\nopen('kept', 'w').write('a')")
    program.kill()
    program.begin()
    second = served.run("open('kept').read(), 'x' in globals()", previous_response_id=first["id"])
    assert statuses(second) == ["completed"] and "('a', False)" in logs(second)[0]
    assert "variables of earlier calls are lost" in logs(second)[0]
    assert calls(second)[0]["container_id"] == calls(first)[0]["container_id"]


@both
@pytest.mark.parametrize("mode", ["huge", "exit"])
def test_a_program_that_breaks_off_is_told_of(served: Served, program: Program, mode: str) -> None:
    told_of(served, program, mode)


@http
@pytest.mark.parametrize("mode", ["garbage", "error", "silent"])
def test_a_program_that_misbehaves_is_told_of(served: Served, program: Program, mode: str) -> None:
    told_of(served, program, mode)


def told_of(served: Served, program: Program, mode: str) -> None:
    """A call fails, and the next one goes on with the files."""
    first = served.run("open('kept', 'w').write('a')")
    program.misbehave(mode)
    broken = served.run("1 + 1", previous_response_id=first["id"])
    assert broken["status"] == "completed" and statuses(broken) == ["failed"]
    assert len(json.dumps(broken)) < 20_000
    program.misbehave("")
    program.begin()
    again = served.run("open('kept').read()", previous_response_id=broken["id"])
    assert statuses(again) == ["completed"] and logs(again)[0].startswith("'a'")


@http
def test_what_it_cannot_do_is_told(served: Served) -> None:
    policy = {"type": "allowlist", "allowed_domains": ["example.org"]}
    for container, name in (({"network_policy": policy}, "network_policy"), ({"memory_limit": "64g"}, "memory_limit")):
        tool = {**TOOL, "container": {"type": "auto", **container}}
        status, error = served.client.post("/v1/responses", model="m", input="1", tools=[tool])
        assert (status, error["error"]["param"]) == (400, f"tools[0].container.{name}")
    long = served.run("print('x' * 3_000_000)")
    assert len(logs(long)[0]) < 60_000 and "left out" in logs(long)[0]


def upload(client: Client, path: str, name: str, data: bytes) -> tuple[int, Json]:
    mark = uuid.uuid4().hex
    head = f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    headers = {"content-type": f"multipart/form-data; boundary={mark}"}
    body = head.encode() + data + f"\r\n--{mark}--\r\n".encode()
    with urllib.request.urlopen(urllib.request.Request(client.url + path, body, headers), timeout=60) as reply:
        return reply.status, json.loads(reply.read())
