"""MCP servers: those that a request names by URL (streamable HTTP, SSE), and those of the configuration by label (stdio, HTTP).

The official `mcp` package is an extra and takes a second to import: it is imported when the first server is called.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from json import JSONDecodeError, loads
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Raw

from antiphon.config import McpServerConfig
from antiphon.core.emitter import to_json
from antiphon.errors import InvalidRequest
from antiphon.guard import UrlGuard, split_url
from antiphon.tools.base import McpTool, RemoteTool, ToolOutput, ToolServer, ToolServerError

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters

log = logging.getLogger("antiphon.mcp")

T = TypeVar("T")
Work = Callable[["Client"], Awaitable[Any]]


class McpServers:
    """All MCP servers that may be called."""

    def __init__(self, guard: UrlGuard, configured: Mapping[str, McpServerConfig], timeout: float) -> None:
        self._guard = guard
        self._configured = configured
        self._timeout = timeout

    def replace(self, configured: Mapping[str, McpServerConfig], timeout: float) -> None:
        """Know other servers from now on; connections that there are stay."""
        self._configured = configured
        self._timeout = timeout

    async def check(self, tool: McpTool, param: str) -> None:
        """Refuse what cannot be called: no URL and no such label, a private address, the extra not installed."""
        if tool.server_url is None:
            if tool.server_label not in self._configured:
                raise InvalidRequest(
                    f"The MCP server '{tool.server_label}' needs a 'server_url', or a place in the configuration.",
                    param=f"{param}.server_url",
                    code="missing_required_parameter",
                )
        else:
            await self._guard.check(tool.server_url, f"{param}.server_url")
        if find_spec("mcp") is None:
            raise InvalidRequest(
                "This server was installed without MCP: pip install 'antiphon[mcp]'.",
                param=param,
                code="unsupported_parameter",
            )

    def connect(self, tool: McpTool) -> ToolServer:
        """Return the server; the connection is made at its first use."""
        configured = self._configured.get(tool.server_label) if tool.server_url is None else None
        return McpServer(tool, configured, self._guard, self._timeout)


class McpServer:
    """One MCP server during one response.

    The session lives in a task of its own, because the `mcp` package's scopes must be left where they were entered.
    """

    def __init__(self, tool: McpTool, configured: McpServerConfig | None, guard: UrlGuard, timeout: float) -> None:
        self._tool = tool
        self._configured = configured
        self._guard = guard
        self._timeout = timeout
        self._jobs: asyncio.Queue[tuple[Work, asyncio.Future[Any]] | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def list(self) -> Sequence[RemoteTool]:
        """Return the tools, all pages of them."""
        return await self._do(self._list)

    async def call(self, name: str, arguments: str) -> ToolOutput:
        """Call a tool."""
        try:
            given = loads(arguments or "{}")
        except JSONDecodeError:
            return ToolOutput("The arguments are not valid JSON.", failed=True)
        if not isinstance(given, dict):
            return ToolOutput("The arguments are not a JSON object.", failed=True)
        result = await self._do(lambda client: client.call_tool(name, given))
        return ToolOutput(_text(result), bool(result.is_error))

    async def close(self) -> None:
        """End the session, however it ends: one that is cut off must not look like a cancelled response."""
        task = self._task
        if task is None:
            return
        self._jobs.put_nowait(None)
        try:
            await asyncio.wait((task,), timeout=2.0)
        finally:
            if not task.done():
                task.cancel()
            task.add_done_callback(_seen)

    async def _list(self, client: Client) -> Sequence[RemoteTool]:
        tools: list[RemoteTool] = []
        cursor: str | None = None
        while True:
            found = await client.list_tools(cursor=cursor)
            tools.extend(_remote(self._tool.server_label, tool) for tool in found.tools)
            cursor = found.next_cursor
            if not cursor:
                return tools

    # The session's task

    async def _do(self, work: Callable[[Client], Awaitable[T]]) -> T:
        if self._task is None:
            # It takes a second the first time: others must not wait for it, and it is not the server's fault.
            await asyncio.to_thread(import_module, "mcp")
            self._task = asyncio.create_task(self._session())
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((work, answer))
        await asyncio.wait((answer, self._task), timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        label = self._tool.server_label
        if self._task.done():
            error = None if self._task.cancelled() else self._task.exception()
            raise ToolServerError(f"The MCP server '{label}' cannot be reached: {_reason(error)}")
        self._task.cancel()
        raise ToolServerError(f"The MCP server '{label}' did not answer within {self._timeout:g} seconds.")

    async def _session(self) -> None:
        async with self._client() as client:
            while job := await self._jobs.get():
                work, answer = job
                try:
                    result = await work(client)
                except asyncio.CancelledError:
                    raise
                except Exception as error:
                    failed = ToolServerError(f"The MCP server '{self._tool.server_label}' failed: {_reason(error)}")
                    if not answer.done():
                        answer.set_exception(failed)
                else:
                    if not answer.done():
                        answer.set_result(result)

    @contextlib.asynccontextmanager
    async def _client(self) -> Any:
        from mcp import Client

        if self._configured is not None and self._configured.command:
            async with Client(_stdio(self._configured)) as client:
                yield client
            return
        url, headers = self._endpoint()
        async with self._http(headers) as http, Client(_transport(url, http)) as client:
            yield client

    def _endpoint(self) -> tuple[str, dict[str, str]]:
        configured = self._configured
        headers = dict(configured.headers) if configured else {}
        headers.update(self._tool.headers or {})
        if self._tool.authorization:
            headers["authorization"] = f"Bearer {self._tool.authorization}"
        url = self._tool.server_url or (configured.url if configured else "")
        return url, headers

    def _http(self, headers: Mapping[str, str]) -> Any:
        import httpx2

        guard = self._guard if self._configured is None else None
        timeout = httpx2.Timeout(self._timeout, connect=min(self._timeout, 10.0))
        return httpx2.AsyncClient(headers=headers, timeout=timeout, transport=_transport_of(guard))


def _seen(task: asyncio.Task[None]) -> None:
    """Look at what a session ended with: whoever waited for it has been told."""
    if not task.cancelled():
        task.exception()


def _transport(url: str, http: Any) -> Any:
    """Choose the transport: SSE where the URL's path ends so, as MCP servers of 2024 have it; else streamable HTTP."""
    if url.partition("?")[0].rstrip("/").endswith("/sse"):
        from mcp.client.sse import sse_client

        headers = dict(http.headers)
        transport = http._transport  # the factory makes a client of its own around the guarded transport

        def factory(headers: Any = None, timeout: Any = None, auth: Any = None) -> Any:
            import httpx2

            return httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth, transport=transport)

        return sse_client(url, headers=headers, httpx_client_factory=factory)
    from mcp.client.streamable_http import streamable_http_client

    return streamable_http_client(url, http_client=http)


def _transport_of(guard: UrlGuard | None) -> Any:
    """Return an HTTP transport that connects to the address that the guard has checked, redirects included."""
    import httpx2

    class Guarded(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if guard is not None:
                host, port = split_url(str(request.url), "server_url")
                address = await guard.resolve(host, port, "server_url")
                request.extensions = {**request.extensions, "sni_hostname": host}
                request.url = request.url.copy_with(host=address)
            return await super().handle_async_request(request)

    return Guarded(verify=_tls_context(), trust_env=False)


@cache
def _tls_context() -> ssl.SSLContext:
    """Return the one context of all connections: to read the authorities anew for each would hold up the event loop."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)


def _stdio(configured: McpServerConfig) -> StdioServerParameters:
    from mcp.client.stdio import StdioServerParameters

    environment = {**os.environ, **configured.env} if configured.env else None
    return StdioServerParameters(command=configured.command, args=configured.args, env=environment)


def _remote(label: str, tool: Any) -> RemoteTool:
    listed = tool.model_dump(by_alias=True, exclude_none=True, mode="json")
    annotations = listed.get("annotations")
    return RemoteTool(
        server_label=label,
        name=listed["name"],
        description=listed.get("description"),
        input_schema=Raw(to_json(listed.get("inputSchema") or {"type": "object"})),
        annotations=Raw(to_json(annotations)) if annotations else None,
        read_only=bool((annotations or {}).get("readOnlyHint")),
    )


def _text(result: Any) -> str:
    """Return a result's text; parts that are not text are given as JSON."""
    pieces = [part.text if part.type == "text" else part.model_dump_json(by_alias=True) for part in result.content]
    if not pieces and result.structured_content is not None:
        return to_json(result.structured_content).decode()
    return "\n".join(pieces)


def _reason(error: BaseException | None) -> str:
    """Return the innermost message of what may be a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, InvalidRequest | ToolServerError):
        return error.args[0] if error.args else "refused"
    if error is None:
        return "the connection ended"
    from mcp.shared.exceptions import MCPError

    # An MCPError holds the server's own words; other messages may name addresses and are not shown.
    return str(error) if isinstance(error, MCPError) else type(error).__name__
