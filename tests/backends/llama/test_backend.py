"""The embedded engine with the real llama.cpp and the demo model: its answers, and its process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from antiphon.backends.base import read
from antiphon.backends.chat.backend import ChatBackend
from antiphon.backends.llama.backend import LlamaCppBackend, _pause
from antiphon.backends.llama.child import ChildParams
from antiphon.backends.llama.model import DEMO_FILE, find_model
from antiphon.backends.llama.process import EngineFailure, EngineProcess
from antiphon.config import BackendConfig, EngineConfig
from antiphon.core.deltas import CallStart, Delta, Finish, TextDelta, UsageReport
from antiphon.core.request.decoding import decode_tools, resolve_text
from antiphon.core.turn import Turn
from antiphon.errors import BackendError, ConfigError
from antiphon.net.http.address import parse_url
from antiphon.net.http.client import HttpClient
from antiphon.types.request import CreateResponse, TextConfig
from antiphon.types.response import Usage
from antiphon.types.tools import ToolChoice
from tests.backends.turns import arguments_of, read_all, text_of, thoughts_of, turn
from tests.bounds import bound

from .hub_server import hub

pytestmark = pytest.mark.slow

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["location", "unit"],
        "additionalProperties": False,
    },
}
REFUND = {
    "type": "function",
    "name": "refund_ticket",
    "description": "Refund a ticket",
    "parameters": {
        "type": "object",
        "properties": {"ticket_id": {"type": "integer"}},
        "required": ["ticket_id"],
        "additionalProperties": False,
    },
}
ASK_WEATHER = "What is the weather in Paris in celsius?"
ENDLESS = {"ignore_eos": msgspec.Raw(b"true")}


class Sockets:
    """Makes the chat backend as usual, and remembers where the socket is."""

    path = ""

    def __call__(self, path: str) -> ChatBackend:
        self.path = path
        return ChatBackend("engine", BackendConfig(url="http://engine/v1", profile="llama_cpp"), socket=path)

    async def get(self, path: str) -> Any:
        client = HttpClient(parse_url("http://engine", self.path))
        try:
            response = await client.send("GET", path)
            body = b""
            while piece := await response.read():
                body += piece
            return json.loads(body)
        finally:
            await client.close()


@asynccontextmanager
async def engine(sockets: Sockets | None = None, **settings: Any) -> AsyncIterator[LlamaCppBackend]:
    patience = settings.pop("patience", 20.0)
    config = EngineConfig(**({"threads": 1, "parallel": 2} | settings))
    backend = LlamaCppBackend(config, find_model(config), connect=sockets, patience=patience)
    try:
        yield backend
    finally:
        await backend.close()


async def ask(backend: LlamaCppBackend, *texts: str, **fields: Any) -> list[Delta]:
    return await read_all(await backend.open(greedy(*texts, **fields)))


def greedy(*texts: str, **fields: Any) -> Turn:
    return turn(*texts, **({"temperature": 0.0, "max_output_tokens": 200} | fields))


def finish_of(deltas: list[Delta]) -> str:
    return next(delta.reason for delta in deltas if isinstance(delta, Finish))


def usage_of(deltas: list[Delta]) -> Usage:
    return next(delta.usage for delta in reversed(deltas) if isinstance(delta, UsageReport))


def calls_of(deltas: list[Delta]) -> list[tuple[str, Any]]:
    starts = [delta for delta in deltas if isinstance(delta, CallStart)]
    return [(start.name, json.loads(arguments_of(deltas, start.key))) for start in starts]


def tools(*declared: dict[str, Any]) -> Any:
    return decode_tools([msgspec.Raw(msgspec.json.encode(tool)) for tool in declared])


async def gone(pid: int, seconds: float = 10.0) -> bool:
    """Wait for a process to be gone, or a zombie that nobody has buried yet."""
    return await eventually(lambda: not running(pid), seconds)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def eventually(true: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:  # noqa: ASYNC110 (another process: nothing to await)
        await asyncio.sleep(0.01)
    return true()


# Answers


async def test_text_streamed_and_not_is_the_same() -> None:
    async with engine() as backend:
        streamed = await ask(backend, "Say hello in five words.")
        whole = await ask(backend, "Say hello in five words.", stream=False)
    assert text_of(streamed) == text_of(whole) != ""
    assert sum(isinstance(delta, TextDelta) for delta in streamed) > 1
    assert finish_of(streamed) == finish_of(whole) == "stop"
    assert usage_of(streamed).input_tokens == usage_of(whole).input_tokens > 5
    assert usage_of(streamed).output_tokens == usage_of(whole).output_tokens > 2


async def test_a_stop_for_length() -> None:
    async with engine() as backend:
        deltas = await ask(backend, "Count from 1 to 100.", max_output_tokens=5, extra=ENDLESS)
    assert finish_of(deltas) == "length"
    assert usage_of(deltas).output_tokens == 5


@pytest.mark.parametrize("stream", [True, False])
async def test_a_tool_call_of_the_model_s_own_accord(stream: bool) -> None:
    async with engine() as backend:
        deltas = await ask(backend, ASK_WEATHER, tools=tools(WEATHER, REFUND), stream=stream)
    assert calls_of(deltas) == [("get_weather", {"location": "Paris", "unit": "celsius"})]
    assert finish_of(deltas) == "tool_calls"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_required_call(stream: bool) -> None:
    async with engine() as backend:
        deltas = await ask(backend, "Hello", tools=tools(WEATHER, REFUND), tool_choice="required", stream=stream)
    ((name, arguments),) = calls_of(deltas)
    assert set(arguments) == ({"location", "unit"} if name == "get_weather" else {"ticket_id"})
    assert text_of(deltas) == ""


@pytest.mark.parametrize("stream", [True, False])
async def test_a_named_call(stream: bool) -> None:
    choice = ToolChoice(type="function", name="refund_ticket")
    async with engine() as backend:
        deltas = await ask(backend, ASK_WEATHER, tools=tools(WEATHER, REFUND), tool_choice=choice, stream=stream)
    ((name, arguments),) = calls_of(deltas)
    assert name == "refund_ticket" and isinstance(arguments["ticket_id"], int)
    assert text_of(deltas) == ""


async def test_no_call_where_none_is_allowed() -> None:
    async with engine() as backend:
        deltas = await ask(backend, ASK_WEATHER, tools=tools(WEATHER), tool_choice="none")
    assert calls_of(deltas) == []


async def test_one_call_at_a_time() -> None:
    both = "What is the weather in Paris and Rome in celsius?"
    async with engine() as backend:
        deltas = await ask(backend, both, tools=tools(WEATHER), parallel_tool_calls=False)
    assert len(calls_of(deltas)) == 1


async def test_an_answer_from_a_tool_s_result() -> None:
    items = [
        {"type": "message", "role": "user", "content": ASK_WEATHER},
        {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"location":"Paris"}'},
        {"type": "function_call_output", "call_id": "c1", "output": '{"temperature": 18, "condition": "sunny"}'},
    ]
    async with engine() as backend:
        deltas = await ask(backend, items=items, tools=tools(WEATHER))
    assert text_of(deltas) and calls_of(deltas) == []


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_keeps_to_a_schema(stream: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "kind": {"enum": ["good", "bad"]}},
        "required": ["name", "kind"],
        "additionalProperties": False,
    }
    form = {"format": {"type": "json_schema", "name": "event", "strict": True, "schema": schema}}
    async with engine() as backend:
        deltas = await ask(backend, "Tell me a story.", text=resolved(form), stream=stream)
    answer = json.loads(text_of(deltas))
    assert set(answer) == {"name", "kind"} and answer["kind"] in ("good", "bad")


def resolved(text: object) -> Any:
    return resolve_text(msgspec.json.decode(msgspec.json.encode(text), type=TextConfig))


async def test_thoughts_when_they_are_asked_for() -> None:
    async with engine() as backend:
        without = await ask(backend, "What is 17 + 25?")
        deltas = await ask(backend, "What is 17 + 25?", reasoning_effort="low")
        whole = await ask(backend, "What is 17 + 25?", reasoning_effort="low", stream=False)
    assert thoughts_of(without) == ""
    assert thoughts_of(deltas) and text_of(deltas)
    assert "<think>" not in text_of(deltas) + thoughts_of(deltas)
    assert (thoughts_of(whole), text_of(whole)) == (thoughts_of(deltas), text_of(deltas))
    usage = usage_of(deltas)
    assert 0 < usage.output_tokens_details.reasoning_tokens < usage.output_tokens


async def test_thoughts_and_a_schema_together() -> None:
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    form = {"format": {"type": "json_schema", "name": "sum", "schema": schema}}
    async with engine() as backend:
        deltas = await ask(backend, "What is 17 + 25?", reasoning_effort="low", text=resolved(form))
    assert isinstance(json.loads(text_of(deltas))["sum"], int)


async def test_tools_and_a_schema_together() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string", "maxLength": 9}}, "required": ["answer"]}
    form = {"format": {"type": "json_schema", "name": "answer", "schema": schema}}
    async with engine() as backend:
        deltas = await ask(backend, ASK_WEATHER, tools=tools(WEATHER), text=resolved(form))
    if calls := calls_of(deltas):
        assert calls[0][0] == "get_weather" and set(calls[0][1]) == {"location", "unit"}
    else:
        assert set(json.loads(text_of(deltas))) == {"answer"}


async def test_probabilities_of_the_tokens() -> None:
    request = CreateResponse(model="m", input="…", top_logprobs=2)
    async with engine() as backend:
        deltas = await ask(backend, "Say hello in five words.", request=request)
    pieces = [delta for delta in deltas if isinstance(delta, TextDelta)]
    tokens = json.loads(b"[" + b",".join(piece.logprobs for piece in pieces if piece.logprobs) + b"]")
    assert "".join(token["token"] for token in tokens) == text_of(deltas)
    assert all(len(token["top_logprobs"]) == 2 and token["logprob"] <= 0 for token in tokens)


async def test_tokens_are_counted_by_the_model_s_own_tokenizer() -> None:
    async with engine() as backend:
        count = await backend.count_tokens(greedy("Say hello in five words."))
        assert count == usage_of(await ask(backend, "Say hello in five words.")).input_tokens


async def test_input_that_is_too_long_is_the_client_s_mistake() -> None:
    async with engine(context=256) as backend:
        with pytest.raises(BackendError) as caught:
            await ask(backend, "word " * 1000)
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")


async def test_every_slot_has_the_promised_window() -> None:
    sockets = Sockets()
    async with engine(sockets, context=512, parallel=3) as backend:
        await backend.ready()
        assert [slot["n_ctx"] for slot in await sockets.get("/slots")] == [512] * 3
        assert (await backend.models())[0].context_length == 512


async def test_more_requests_than_slots() -> None:
    async with engine(parallel=1) as backend:
        answers = await asyncio.gather(*(ask(backend, "Hello", max_output_tokens=3) for _ in range(6)))
    assert all(usage_of(answer).output_tokens for answer in answers)


async def test_chat_completions_pass_through() -> None:
    body = {"model": "antiphon-demo", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    async with engine() as backend:
        relayed = await backend.chat_completions(json.dumps(body).encode())
        data = b""
        while piece := await relayed.read():
            data += piece
    answer = json.loads(data)
    assert (relayed.status, answer["object"], answer["model"]) == (200, "chat.completion", "antiphon-demo")


async def test_a_call_that_is_let_go_frees_its_slot() -> None:
    sockets = Sockets()
    async with engine(sockets, parallel=1) as backend:
        stream = await backend.open(greedy("Tell me a story.", max_output_tokens=2000, extra=ENDLESS))
        await read(stream)
        stream.abort()
        end = time.monotonic() + 1
        while (await sockets.get("/slots"))[0]["is_processing"] and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert not (await sockets.get("/slots"))[0]["is_processing"]


async def test_a_model_from_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub("acme/Tiny", {"tiny-Q8_0.gguf": DEMO_FILE.read_bytes()}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        async with engine(model="acme/Tiny", cache=str(tmp_path)) as backend:
            deltas = await ask(backend, "Hello", reasoning_effort="none")
    assert text_of(deltas)


# The process


async def test_a_crash_in_the_middle_fails_the_stream_and_the_next_call_works() -> None:
    async with engine() as backend:
        stream = await backend.open(greedy("Tell me a story.", max_output_tokens=2000, extra=ENDLESS))
        await read(stream)
        first = kill(backend)
        began = time.monotonic()
        with pytest.raises(BackendError) as caught:
            await read_all(stream)
        assert time.monotonic() - began < bound(5)
        assert caught.value.status == 502
        assert text_of(await ask(backend, "Hello"))
        assert backend.pid not in (None, first) and backend.healthy


def kill(backend: LlamaCppBackend) -> int:
    assert backend.pid is not None
    pid = backend.pid
    os.kill(pid, signal.SIGKILL)
    return pid


async def test_calls_at_once_after_a_crash_all_wait_for_the_restart() -> None:
    async with engine() as backend:
        await backend.ready()
        kill(backend)
        answers = await asyncio.gather(*(ask(backend, "Hello", max_output_tokens=3) for _ in range(4)))
    assert all(usage_of(answer).output_tokens for answer in answers)


async def test_calls_before_it_is_loaded_wait() -> None:
    async with engine() as backend:
        assert not backend.healthy and backend.pid is None
        assert [card.id for card in await backend.models()] == ["antiphon-demo"], "known without the process"
        assert text_of(await ask(backend, "Hello"))


async def test_calls_do_not_wait_for_ever() -> None:
    async with engine(patience=0.0) as backend:
        with pytest.raises(BackendError) as caught:
            await backend.open(greedy("Hello"))
    assert (caught.value.status, caught.value.code) == (503, "backend_unavailable")
    assert caught.value.headers["Retry-After"] == "5"


async def test_restarts_come_ever_more_slowly(caplog: pytest.LogCaptureFixture) -> None:
    pauses = [_pause(failures) for failures in range(1, 12)]
    assert pauses[:5] == [0, 0.5, 1, 2, 4] and pauses[-1] == 30
    async with engine() as backend:
        await backend.ready()
        first = kill(backend)
        assert await eventually(lambda: backend.healthy and backend.pid != first)
        kill(backend)
        assert await eventually(lambda: backend.failure == "the process died of SIGKILL")
        assert await eventually(lambda: "restarting in 0.5 s" in caplog.text)


async def test_close_ends_the_process_and_removes_its_socket() -> None:
    sockets = Sockets()
    async with engine(sockets) as backend:
        await ask(backend, "Hello")
        pid, socket = backend.pid, Path(sockets.path)
        assert pid is not None and running(pid) and socket.is_socket()  # noqa: ASYNC240
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        began = time.monotonic()
        await backend.close()
        assert time.monotonic() - began < bound(5)
        assert not running(pid) and not socket.parent.exists()
        with pytest.raises(BackendError, match="not ready"):
            await backend.open(greedy("Hello"))


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.02, 0.05, 0.1])
async def test_close_while_it_loads(delay: float) -> None:
    async with engine() as backend:
        backend.start()
        await asyncio.sleep(0)
        pid = backend.pid
        await asyncio.sleep(delay)
        began = time.monotonic()
        await backend.close()
    assert time.monotonic() - began < bound(5)
    assert pid is not None and not running(pid)


async def test_close_before_it_is_started() -> None:
    async with engine() as backend:
        await backend.close()
        backend.start()
        assert backend.pid is None


async def test_a_signal_from_elsewhere_is_a_crash_too() -> None:
    async with engine() as backend:
        await backend.ready()
        pid = backend.pid
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        assert await eventually(lambda: backend.healthy and backend.pid != pid)
        assert text_of(await ask(backend, "Hello"))


async def test_a_process_that_does_not_heed_the_signal_is_killed(tmp_path: Path) -> None:
    process = EngineProcess(params(tmp_path))
    await process.loaded()
    os.kill(process.pid, signal.SIGSTOP)
    began = time.monotonic()
    await process.stop()
    assert time.monotonic() - began < 5 and not running(process.pid)


def params(folder: Path, **fields: Any) -> ChildParams:
    given = {
        "model": str(DEMO_FILE),
        "socket": str(folder / "s.sock"),
        "parent": os.getpid(),
        "alias": "m",
        "context": 64,
    }
    return ChildParams(**(given | {"threads": 1} | fields))


async def test_a_process_whose_parent_is_already_another_ends(tmp_path: Path) -> None:
    process = EngineProcess(params(tmp_path, parent=1))
    with pytest.raises(EngineFailure, match="ended with status 1 while it loaded"):
        await process.loaded()
    await process.stop()


async def test_the_end_of_stdin_ends_the_process(tmp_path: Path) -> None:
    """The way out where the system does not tell a process of its parent's death."""
    command = [sys.executable, "-P", "-m", "antiphon.backends.llama.child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
        assert process.stdin and process.stdout
        process.stdin.write(msgspec.json.encode(params(tmp_path)) + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b'{"error":""}\n'
        process.stdin.close()
        assert await eventually(lambda: process.poll() == 0)


PARENT = """
import asyncio, sys
from antiphon.backends.llama.backend import LlamaCppBackend
from antiphon.backends.llama.model import find_model
from antiphon.config import EngineConfig
from tests.bounds import bound

async def main():
    backend = LlamaCppBackend(EngineConfig(threads=1), find_model(EngineConfig()))
    backend.start()
    while backend.pid is None or (sys.argv[1] == "ready" and not backend.healthy):
        await asyncio.sleep(0.001)
    print(backend.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["ready", "loading"])
async def test_a_killed_parent_takes_the_process_along(when: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, when]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)}) as parent:  # noqa: ASYNC220
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert running(pid)
        parent.kill()
        assert await gone(pid)
    if when == "ready":
        assert await eventually(lambda: not list(tmp_path.rglob("*")), 10), "its socket is left"


async def test_a_file_that_llama_cpp_refuses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "antiphon.backends.llama")
    (tmp_path / "cut.gguf").write_bytes(DEMO_FILE.read_bytes()[:500_000])
    async with engine(model=str(tmp_path / "cut.gguf")) as backend:
        with pytest.raises(ConfigError) as caught:
            await backend.ready()
    message = str(caught.value)
    assert message.startswith(f"The embedded engine cannot load {tmp_path}/cut.gguf: llama.cpp refuses it\n")
    assert "model is corrupted or incomplete" in message
    assert any(record.levelno == logging.DEBUG for record in caplog.records)


def test_an_end_in_the_middle_of_a_start_on_uvloop() -> None:
    """The descriptors of a process that is just being started belong to nobody else, and the end does not wait for it."""

    async def started_and_closed(ticks: int) -> None:
        backend = LlamaCppBackend(EngineConfig(threads=1), find_model(EngineConfig()))
        backend.start()
        for _ in range(ticks):
            await asyncio.sleep(0)
        await asyncio.wait_for(backend.close(), bound(20))
        assert backend._task is not None and backend._task.done()

    async def all_of_them() -> None:
        await asyncio.gather(*(started_and_closed(ticks) for ticks in range(6)))

    uvloop.run(all_of_them())
