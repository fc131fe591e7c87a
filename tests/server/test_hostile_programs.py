"""Hostile programs: what a model writes against the sandbox, its own record and the tools of this server. Each one ends."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from antiphon.config import CodeInterpreterConfig, ToolsConfig
from tests.bounds import bound
from tests.golden.rules import check_stream
from tests.server.test_hosted_tools import wait_for
from tests.server.test_program_tools import CALLERS, LOOKUP
from tests.server.test_programs import PROGRAMS, Programmer, result
from tests.server.whole import Client, Json, turn, upstream, whole_server
from tests.tools.lookup import Lookup, LookupUse

pytestmark = [pytest.mark.slow, pytest.mark.needs("bwrap")]

OWN = {"type": "function", "name": "own", "parameters": {"type": "object", "properties": {}}, **CALLERS}
DIRECT = {"type": "function", "name": "direct", "parameters": {"type": "object", "properties": {}}}
SECONDS = 3.0


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    interpreter = CodeInterpreterConfig(call_seconds=SECONDS, total=2)
    with (
        upstream(Programmer) as url,
        whole_server(url, hosted=[Lookup()], tools=ToolsConfig(code_interpreter=interpreter), store="memory") as client,
    ):
        yield client


def body(code: str, **fields: Any) -> Json:
    return {"model": "m", "input": code, "tools": [PROGRAMS, LOOKUP, OWN, DIRECT], **fields}


def left(content: str) -> str:
    """Return a program that leaves bytes of its own as its record, and is gone before the true one is written."""
    return f"import os\nwith open('.left.json', 'wb') as file: file.write({content})\nos._exit(0)"


def asked(*calls: object) -> str:
    return left(repr(json.dumps({"asked": list(calls), "failed": False, "text": ""}).encode()))


HOSTILE = {
    # no end
    "an endless loop": ("while True: pass", "timed out"),
    "an endless loop that catches all": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass", "timed out",
    ),
    "endless calls": ("while True: await tools.lookup(query='moth')", "at most 20"),
    "endless output": ("while True: print('x' * 1000)", "timed out"),
    "waits for nothing": ("import asyncio\nawait asyncio.Event().wait()", "never comes"),
    "sleeps": ("import time\ntime.sleep(1000)", "timed out"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "memory": ("x = []\nwhile True: x.append(bytearray(1 << 24))", ""),
    # arguments
    "20 MB of arguments": ("await tools.lookup(query='x' * 20_000_000)", ""),
    "arguments that are no JSON": ("await tools.lookup(query=object())", "TypeError"),
    "arguments that are not finite": ("await tools.lookup(query=float('nan'), more=float('inf'))", "not JSON compliant"),
    "half a character": ("await tools.lookup(query='\\ud800')", ""),
    "deep arguments": ("x = []\nfor _ in range(900): x = [x]\nawait tools.lookup(query=x)", ""),
    "long digits": ("import sys\nsys.set_int_max_str_digits(0)\nawait tools.lookup(query=10**6000)", ""),
    "many calls at once": ("import asyncio\nawait asyncio.gather(*(tools.lookup(query='x') for _ in range(100_000)))", ""),
    "another name of a field": ("await tools.lookup(**{'query\":1,\"x': 1, '': 2, '\\x00': 3})", ""),
    # calls that it may not make
    "itself": ("await tools.program(code='1')", "There is no tool"),
    "a tool for the model alone": ("await tools.direct()", "There is no tool"),
    "a tool for the model alone, forged": (asked({"name": "direct", "arguments": "{}"}), "may not"),
    "itself, forged": (asked({"name": "program", "arguments": '{"code": "1"}'}), "may not"),
    "calls behind its end": ("import asyncio\nasyncio.ensure_future(tools.lookup(query='late'))\nprint('over')", ""),
    "calls of another thread": (
        "import threading\nthreading.Thread(target=lambda: tools.lookup(query='thread')).start()\nprint('over')", "",
    ),
    "calls at its exit": ("import atexit\natexit.register(lambda: tools.lookup(query='x'))\nprint('over')", "over"),
    "calls while one is cancelled": (
        "import asyncio\ncall = tools.lookup(query='x')\ncall.cancel()\n"
        "try: await call\nexcept asyncio.CancelledError: print(await tools.lookup(query='moth'))", "",
    ),
    "other calls each time": ("import time\nwhile True: await tools.lookup(query=str(time.time_ns()))", "had called"),
    # its record
    "no record": ("import os\nos._exit(0)", "ended"),
    "a record that is no JSON": (left("b'{'"), "ended"),
    "a record of another shape": (left("b'[]'"), "ended"),
    "a record without a text": (left("b'{\"asked\": [], \"text\": 5}'"), "ended"),
    "a record of another text": (left("b'{\"asked\": [], \"text\": \"fine\", \"failed\": [1]}'"), "fine"),
    "a record that is not UTF-8": (left("b'{\"asked\": [], \"text\": \"\\xff\"}'"), "ended"),
    "a record with half a character": (left("b'{\"asked\": [], \"text\": \"\\\\ud800\"}'"), ""),
    "a deep record": (left("b'[' * 1_000_000"), "ended"),
    "a record of 100 MB": (left("b' ' * 100_000_000"), ""),
    "a folder as a record": ("import os\nos.mkdir('.left.json')\nos._exit(0)", ""),
    "a link as a record": ("import os\nos.symlink('/etc/passwd', '.left.json')\nos._exit(0)", ""),
    "a pipe as a record": ("import os\nos.mkfifo('.left.json')\nos._exit(0)", ""),
    "a call that is no object": (asked(5), "may not"),
    "a call whose name is a list": (asked({"name": ["lookup"], "arguments": "{}"}), "may not"),
    "a call whose arguments are a list": (asked({"name": "lookup", "arguments": [1]}), "no JSON object"),
    "a call whose arguments are no JSON": (asked({"name": "lookup", "arguments": "{"}), "no JSON object"),
    "a call with a long name": (asked({"name": "x" * 100_000, "arguments": "{}"}), "may not"),
    "a call without arguments": (asked({"name": "lookup"}), "no JSON object"),
    "501 calls": (asked(*[{"name": "lookup", "arguments": "{}"}] * 501), "more than 500"),
    "calls and an end": (
        left("b'{\"asked\": [{\"name\": \"own\", \"arguments\": \"{}\"}], \"failed\": true, \"text\": \"x\"}'"), None,
    ),
    # the machine
    "processes without end": ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", ""),
    "kills all": (
        "import os, signal\nfor pid in range(1, 2000):\n    try: os.kill(pid, signal.SIGKILL)\n    except OSError: pass\n"
        "os.kill(-1, 9)", "",
    ),
    "no source": ("\x00", ""),
    "no Python": ("def", "SyntaxError"),
    "deep source": ("(" * 5000 + ")" * 5000, ""),
}  # fmt: skip
"""The code, and what its output says; None: it ends with calls of the client."""


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_program_ends(client: Client, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    code, says = HOSTILE[kind]
    with caplog.at_level(logging.ERROR):
        events = client.stream(**body(code))
    check_stream(events)
    response = events[-1]["response"]
    assert response["status"] == "completed", response["error"]
    assert not [record.getMessage() for record in caplog.records if record.exc_info]
    if says is None:
        assert response["output"][-1]["type"] == "function_call"
        return
    assert says in result(response)["result"]
    assert len(result(response)["result"]) < 120_000
    assert (
        result(client.create(**body("print(await tools.lookup(query='moth'))")))["result"].count("SECRET of moth") == 1
    )


def leave(client: Client, fields: Json) -> None:
    """Ask for a stream, and hang up once the program has begun."""
    connection = HTTPConnection(client.url.removeprefix("http://"), timeout=20)
    connection.request("POST", "/v1/responses", json.dumps({**fields, "stream": True}))
    answer = connection.getresponse()
    while b"response.output_item.added" not in answer.readline():
        pass
    connection.sock.close()
    answer.close()


@pytest.mark.parametrize("code", ["while True: pass", "while True: await tools.lookup(query='slow')"])
@pytest.mark.parametrize("way", ["stream", "websocket", "background"])
def test_a_program_of_a_client_that_leaves_is_ended(client: Client, way: str, code: str) -> None:
    """Its sandbox is free again at once, for there are two: another program runs within the seconds of one."""
    LookupUse.calls.clear()
    for _ in range(2):
        if way == "background":
            id = client.create(**body(code, background=True))["id"]
            wait_for(lambda id=id: client.get(f"/v1/responses/{id}")[1]["status"] == "in_progress")
            client.post(f"/v1/responses/{id}/cancel")
            assert client.get(f"/v1/responses/{id}")[1]["status"] == "cancelled"
        elif way == "websocket":
            with client.websocket() as connection:
                connection.send(json.dumps({"type": "response.create", **body(code)}))
                while json.loads(connection.recv(timeout=20))["type"] != "response.output_item.added":
                    pass
        else:
            leave(client, body(code))
    began = time.monotonic()
    assert result(client.create(**body("print(6 * 7)")))["result"] == "42"
    assert time.monotonic() - began < bound(2 * SECONDS)
    made = len(LookupUse.calls)
    threading.Event().wait(0.5)
    assert len(LookupUse.calls) == made  # nothing goes on


def test_programs_side_by_side_have_calls_of_their_own(client: Client) -> None:
    """Lanes of one connection: none sees the results of another."""
    with client.websocket() as connection:
        for lane in range(2):
            code = f"print([await tools.lookup(query='moth {lane} ' + str(n)) for n in range(3)])"
            connection.send(json.dumps({"type": "response.create", "stream_id": str(lane), **body(code)}))
        ended: dict[str, Json] = {}
        while len(ended) < 2:
            event = json.loads(connection.recv(timeout=60))
            if event["type"] == "response.completed":
                ended[event["stream_id"]] = event["response"]
    for lane, response in ended.items():
        said = result(response)["result"]
        assert all(f"SECRET of moth {lane} {n}" in said for n in range(3)), said
        assert not any(f"moth {other} " in said for other in ended if other != lane)


def test_the_next_turn_works(client: Client) -> None:
    with client.websocket() as connection:
        for kind in ("an endless loop", "a record that is no JSON", "a tool for the model alone, forged"):
            assert turn(connection, **body(HOSTILE[kind][0]))[-1]["type"] == "response.completed"
        assert "42" in result(turn(connection, **body("print(6 * 7)"))[-1]["response"])["result"]
