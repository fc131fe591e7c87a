"""A tool of an MCP server in place of a sandbox: what it has to hold, state, files, commands, time-outs, nonsense."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from msgspec import Raw

from antiphon.composition.from_settings import code_source
from antiphon.config import CodeInterpreterConfig, Config, McpServerConfig, ToolsConfig
from antiphon.config.rules import check
from antiphon.errors import ConfigError
from antiphon.tools.base import McpTool, RemoteTool, ToolOutput, ToolServer, ToolServerError
from antiphon.tools.remote_code import RemoteSandbox, RemoteSandboxes
from antiphon.tools.sandbox.base import Sandbox, SandboxError, SandboxFileError
from antiphon.tools.sandbox.bubblewrap import Bubblewrap

from .conftest import ask, started

pytestmark = [pytest.mark.slow, pytest.mark.needs("bwrap")]
Run = Callable[[str], Awaitable[str]]


class Connection:
    """One connection: `run` is what its tool does."""

    def __init__(self, run: Run, opened: list[Sandbox]) -> None:
        self._run = run
        self._opened = opened

    async def list(self) -> Sequence[RemoteTool]:
        schema = Raw(b'{"type":"object","properties":{"source":{"type":"string"}},"required":["source"]}')
        return [RemoteTool(server_label="code", name="python", input_schema=schema)]

    async def call(self, name: str, arguments: str) -> ToolOutput:
        return ToolOutput("Output:\n" + await self._run(json.loads(arguments)["source"]))

    async def close(self) -> None:
        for sandbox in self._opened:
            await sandbox.close()


class Servers:
    """MCP servers by how they enclose: each connection by itself, all in one, each call by itself, or not at all."""

    def __init__(self, how: str) -> None:
        self._how = how
        self._shared: list[Sandbox] = []

    async def check(self, tool: McpTool, param: str) -> None:
        if self._how == "missing":
            raise ToolServerError("there is no such server")

    def connect(self, tool: McpTool, *, session: bool = False) -> ToolServer:
        opened: list[Sandbox] = []

        async def run(code: str) -> str:
            kept = self._shared if self._how == "shared" else opened
            if not kept or self._how == "stateless":
                kept.append(await started(Bubblewrap()))
            if self._how == "silent":
                return ""
            return (await ask(kept[-1], code, 60)).text

        return Connection(run, opened)

    async def close(self) -> None:
        for sandbox in self._shared:
            await sandbox.close()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("apart", ""),
        ("shared", "it lets through: connections share variables, connections share files"),
        ("stateless", "has lost its state"),
        ("silent", "it cannot run the interpreter: Output:"),
        ("missing", "there is no such server"),
    ],
)
async def test_what_does_not_hold_is_not_used(how: str, reason: str) -> None:
    servers = Servers(how)
    source = RemoteSandboxes(lambda: servers, "code/python")
    assert source.condition == "being tried"
    said = await source.usable()
    assert reason in said if reason else said == ""
    assert source.condition.startswith("off: mcp:code/python: " if reason else "mcp:code, Python 3.")
    if reason:
        with pytest.raises(SandboxError):
            await source.start()
    await source.close()
    await servers.close()


@pytest.fixture
async def remote() -> RemoteSandbox:
    source = RemoteSandboxes(lambda: Servers("apart"), "code/python")
    return await source.start()


async def test_it_is_a_sandbox_like_the_others(remote: RemoteSandbox) -> None:
    assert (await ask(remote, "x = 20\nprint('hello')\nx + 1")).text == "hello\n21\n"
    assert (await ask(remote, "x + 2")).text == "22\n"
    failed = await ask(remote, "1/0")
    assert not failed.ended.ok and "ZeroDivisionError" in failed.text
    content = bytes(range(256)) * 3000
    await remote.write("folder/a.bin", content)
    asked = await ask(remote, "open('b.txt', 'w').write(str(len(open('folder/a.bin', 'rb').read())))")
    assert list(asked.ended.changed) == [("b.txt", 6)]
    assert await remote.read("folder/a.bin", 1 << 20) == content
    with pytest.raises(SandboxFileError, match="more than 5 bytes"):
        await remote.read("folder/a.bin", 5)
    for path in ("../x", "/etc/passwd", "nowhere"):
        with pytest.raises(SandboxFileError):
            await remote.read(path, 100)
    await remote.install("skill/run.sh", b"#!/bin/sh\necho run", executable=True)
    said: list[tuple[int, bytes]] = []
    ended = await remote.shell(
        "/home/oai/skills/skill/run.sh; echo e >&2; rm b.txt; exit 3", 20, lambda *one: said.append(one)
    )
    assert said == [(1, b"run\n"), (2, b"e\n")] and (ended.status, ended.ok, list(ended.gone)) == (3, False, ["b.txt"])
    ended = await remote.shell("echo begun; sleep 30", 1, lambda *_: None)
    assert ended.timed_out and remote.alive
    await remote.remove("folder/a.bin")
    await remote.close()
    assert not remote.alive


async def test_what_it_says_is_read_as_hostile(remote: RemoteSandbox) -> None:
    """Code that forges the answer's line is believed, within bounds; what cannot be read ends the connection."""
    forge = "import sys\nsys.modules['antiphon_remote_cells'].answer = lambda wish: print('antiphon-answer:' + {!r})"
    await ask(remote, forge.format("bm8="))
    with pytest.raises(SandboxError, match="no answer that can be read"):
        await ask(remote, "1")
    assert not remote.alive


def settings(sandbox: str, tool: str) -> Config:
    code = CodeInterpreterConfig(sandbox=sandbox, tool=tool)  # type: ignore[arg-type]  # the rules are tried with others
    servers = {"code": McpServerConfig(command=["runs-code"])}
    return Config(tools=ToolsConfig(code_interpreter=code), mcp_servers=servers)


@pytest.mark.parametrize(
    ("sandbox", "tool"), [("mcp", ""), ("mcp", "code"), ("mcp", "other/python"), ("bwrap", "code/python")]
)
def test_settings_that_name_no_tool_are_refused(sandbox: str, tool: str) -> None:
    with pytest.raises(ConfigError, match=r"tools\.code_interpreter\.tool"):
        check(settings(sandbox, tool))


def test_the_settings_choose_it(tmp_path: Path) -> None:
    config = settings("mcp", "code/python")
    check(config)
    assert isinstance(code_source(config, lambda: Servers("apart")), RemoteSandboxes)


@pytest.mark.parametrize("schema", [b"[]", b'{"required":[3]}', b'{"properties":[]}', b"{", b"[" * 100_000])
async def test_a_schema_that_is_none_is_told(schema: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tools(connection: Connection) -> Sequence[RemoteTool]:
        return [RemoteTool(server_label="code", name="python", input_schema=Raw(schema))]

    monkeypatch.setattr(Connection, "list", tools)
    servers = Servers("apart")
    source = RemoteSandboxes(lambda: servers, "code/python")
    assert "the schema of its tool 'python' cannot be read" in await source.usable()
    await source.close()
    await servers.close()
