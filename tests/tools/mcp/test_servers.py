"""MCP servers, real ones of the official package, over streamable HTTP, SSE and stdio."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
import textwrap
from typing import Any

import msgspec
import pytest
import uvicorn

from antiphon.config import McpServerConfig
from antiphon.errors import InvalidRequest
from antiphon.net.url_guard import UrlGuard
from antiphon.tools.base import ApprovalFilter, McpTool, RemoteTool, ToolFilter, ToolServerError
from antiphon.tools.mcp.limits import Limits
from antiphon.tools.mcp.messages import WITHOUT_HANDSHAKE
from antiphon.tools.mcp.servers import McpServers
from antiphon.tools.mcp.stdio import StdioChannel
from tests.acceptance.background import Tools, running

pytestmark = [pytest.mark.slow, pytest.mark.needs("mcp")]

LOOPBACK = UrlGuard(["127.0.0.0/8"])


def build_server():
    from mcp.server.mcpserver import MCPServer
    from mcp.types import ToolAnnotations

    server = MCPServer("numbers")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def add(a: int, b: int) -> str:
        """Add two numbers."""
        return str(a + b)

    @server.tool()
    def boom() -> str:
        raise RuntimeError("kaputt")

    @server.tool()
    async def slow() -> str:
        await asyncio.sleep(30)
        return "late"

    return server


@contextlib.asynccontextmanager
async def serving(app):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110  # uvicorn tells no other way
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


def tool(port, path="/mcp", **fields):
    return McpTool(server_label="numbers", server_url=f"http://127.0.0.1:{port}{path}", **fields)


async def use(servers, declared):
    server = servers.connect(declared)
    try:
        listed = {found.name: found for found in await server.list()}
        assert listed["add"].description == "Add two numbers."
        assert listed["add"].read_only
        assert not listed["boom"].read_only
        assert (await server.call("add", '{"a": 2, "b": 3}')).text == "5"
        failed = await server.call("boom", "{}")
        assert failed.failed
        assert "boom" in failed.text
        assert (await server.call("add", "not json")).failed
        assert (await server.call("add", "[1]")).failed
    finally:
        await server.close()


async def test_streamable_http():
    async with serving(build_server().streamable_http_app()) as port:
        await use(McpServers(LOOPBACK, {}, 10), tool(port))


async def test_sse():
    async with serving(build_server().sse_app()) as port:
        await use(McpServers(LOOPBACK, {}, 10), tool(port, "/sse"))


async def test_stdio_from_the_configuration(tmp_path):
    script = tmp_path / "server.py"
    script.write_text(
        textwrap.dedent(
            """
            from mcp.server.mcpserver import MCPServer
            from mcp.types import ToolAnnotations
            server = MCPServer("numbers")
            @server.tool(annotations=ToolAnnotations(read_only_hint=True))
            def add(a: int, b: int) -> str:
                "Add two numbers."
                return str(a + b)
            @server.tool()
            def boom() -> str:
                raise RuntimeError("kaputt")
            server.run("stdio")
            """
        )
    )
    configured = {"numbers": McpServerConfig(command=sys.executable, args=[str(script)])}
    servers = McpServers(UrlGuard(), configured, 20)
    declared = McpTool(server_label="numbers")
    await servers.check(declared, "tools[0]")
    await use(servers, declared)


async def test_programs_do_not_inherit_the_servers_own_settings(tmp_path, monkeypatch):
    script = tmp_path / "server.py"
    script.write_text(
        textwrap.dedent(
            """
            import json, os, sys
            for line in sys.stdin:
                asked = json.loads(line)
                if asked["method"] == "tools/call":
                    text = json.dumps({name: value for name, value in os.environ.items()})
                    result = {"content": [{"type": "text", "text": text}]}
                else:
                    result = {"protocolVersion": "2025-11-25", "tools": []}
                if "id" in asked:
                    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
            """
        )
    )
    monkeypatch.setenv("ANTIPHON_BACKEND_KEY", "sk-of-the-backend")
    monkeypatch.setenv("PLAIN", "inherited")
    configured = McpServerConfig(command=sys.executable, args=[str(script)], env={"OWN": "x"})
    server = McpServers(UrlGuard(), {"own": configured}, 20).connect(McpTool(server_label="own"))
    seen = json.loads((await server.call("environment", "{}")).text)
    await server.close()
    assert (seen["PLAIN"], seen["OWN"], "ANTIPHON_BACKEND_KEY" in seen) == ("inherited", "x", False)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_program_that_does_not_end_is_killed_and_waited_for(cancelled):
    program = McpServerConfig(command=sys.executable, args=["-c", "import time; time.sleep(60)"])
    channel = StdioChannel(program, Limits(answer=1000, tools=1, pages=1, timeout=1, longest=1))
    await channel.tell(b"{}")
    process = channel._process
    closing = asyncio.create_task(channel.close())
    if cancelled:
        await asyncio.sleep(0.05)
        closing.cancel()
    await asyncio.wait([closing])
    assert process is not None and process.returncode == -signal.SIGKILL


async def test_headers_and_authorization_reach_the_server():
    seen = []
    inner = build_server().streamable_http_app()

    async def app(scope, receive, send):
        if scope["type"] == "http":
            seen.append(dict(scope["headers"]))
        await inner(scope, receive, send)

    async with serving(app) as port:
        server = McpServers(LOOPBACK, {}, 60).connect(tool(port, headers={"x-team": "blue"}, authorization="token"))
        await server.list()
        await server.close()
    assert seen[0][b"x-team"] == b"blue"
    assert seen[0][b"authorization"] == b"Bearer token"


async def test_a_private_address_is_refused_at_once_and_at_the_connection():
    servers = McpServers(UrlGuard(), {}, 5)
    with pytest.raises(InvalidRequest) as refused:
        await servers.check(tool(1), "tools[3]")
    assert refused.value.param == "tools[3].server_url"
    async with serving(build_server().streamable_http_app()) as port:
        server = servers.connect(tool(port))
        with pytest.raises(ToolServerError, match="private"):
            await server.list()
        await server.close()


async def test_a_label_alone_must_be_configured():
    with pytest.raises(InvalidRequest) as refused:
        await McpServers(UrlGuard(), {}, 5).check(McpTool(server_label="nobody"), "tools[0]")
    assert refused.value.param == "tools[0].server_url"


async def test_an_unreachable_and_a_silent_server_say_so():
    servers = McpServers(LOOPBACK, {}, 30.0)  # to connect and to list may take its time on a busy machine
    server = servers.connect(tool(1))
    with pytest.raises(ToolServerError, match="cannot be reached"):
        await server.list()
    await server.close()
    async with serving(build_server().streamable_http_app()) as port:
        server = servers.connect(tool(port))
        await server.list()
        inner: Any = server
        inner._limits = msgspec.structs.replace(inner._limits, timeout=0.5)
        with pytest.raises(ToolServerError, match=r"did not answer within 0\.5 seconds"):
            await server.call("slow", "{}")
        await server.close()


READ = RemoteTool(server_label="x", name="read", read_only=True)
WRITE = RemoteTool(server_label="x", name="write")


@pytest.mark.parametrize(
    ("rule", "read", "write"),
    [
        (None, True, True),
        ("always", True, True),
        ("never", False, False),
        (ApprovalFilter(never=ToolFilter(tool_names=frozenset(["read"]))), False, True),
        (ApprovalFilter(always=ToolFilter(tool_names=frozenset(["write"]))), False, True),
        (ApprovalFilter(never=ToolFilter(read_only=True)), False, True),
        (ApprovalFilter(always=ToolFilter(read_only=False)), False, True),
        (
            ApprovalFilter(
                always=ToolFilter(tool_names=frozenset(["read"])), never=ToolFilter(tool_names=frozenset(["write"]))
            ),
            True,
            False,
        ),
    ],
)
def test_every_form_of_require_approval(rule, read, write):
    declared = McpTool(server_label="x", require_approval=rule)
    assert (declared.needs_approval(READ), declared.needs_approval(WRITE)) == (read, write)


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (None, ["read", "write"]),
        (["write"], ["write"]),
        ([], []),
        (ToolFilter(read_only=True), ["read"]),
        (ToolFilter(tool_names=frozenset(["read"])), ["read"]),
    ],
)
def test_allowed_tools(allowed, names):
    declared = McpTool(server_label="x", allowed_tools=allowed)
    assert [one.name for one in (READ, WRITE) if declared.offers(one)] == names


class Modern(Tools):
    """A server of the revision without a handshake: every request says what `initialize` said."""

    def do_POST(self) -> None:  # noqa: N802
        self.asked = self.headers
        super().do_POST()

    def _answer(self, method, params):
        said = params.get("_meta", {}).get("io.modelcontextprotocol/protocolVersion")
        if method == "initialize" or said != WITHOUT_HANDSHAKE:
            return None
        assert self.asked["mcp-protocol-version"] == WITHOUT_HANDSHAKE
        assert self.asked["mcp-method"] == method
        return super()._answer(method, params)


async def test_a_server_without_a_handshake():
    with running(Modern) as url:
        server = McpServers(LOOPBACK, {}, 10).connect(McpTool(server_label="m", server_url=f"{url}/mcp"))
        assert [found.name for found in await server.list()] == ["tick"]
        assert (await server.call("tick", '{"job": "m", "n": 3}')).text == "tick 3"
        await server.close()


async def test_after_a_failure_the_next_call_connects_anew():
    async with serving(build_server().sse_app()) as port:
        server = McpServers(LOOPBACK, {}, 2.0).connect(tool(port, "/sse"))
        with pytest.raises(ToolServerError, match="did not answer"):
            await server.call("slow", "{}")
        assert (await server.call("add", '{"a": 2, "b": 3}')).text == "5"
        await server.close()


async def test_calls_side_by_side_share_a_connection():
    for app, path in ((build_server().streamable_http_app(), "/mcp"), (build_server().sse_app(), "/sse")):
        async with serving(app) as port:
            server = McpServers(LOOPBACK, {}, 10).connect(tool(port, path))
            calls = [server.call("add", f'{{"a": {n}, "b": 1}}') for n in range(20)]
            assert [output.text for output in await asyncio.gather(*calls)] == [str(n + 1) for n in range(20)]
            await server.close()


@pytest.mark.parametrize("text", ["[1]", "nonsense", "[" * 100_000, '{"a":' * 100_000, "5", '"x"', '{"a": 1'])
async def test_arguments_that_are_no_object_are_not_sent(text):
    output = await McpServers(LOOPBACK, {}, 10).connect(tool(1)).call("add", text)
    assert output.failed
