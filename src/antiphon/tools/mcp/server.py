"""McpServer: one MCP server during one response.

The HTTP client is an extra and takes a moment to import: it is imported when the first server is called.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar

from msgspec import Raw

from antiphon.config import McpServerConfig
from antiphon.config.masking import SECRETS
from antiphon.core.tools.redaction import without
from antiphon.errors import InvalidRequest
from antiphon.net.url_guard import UrlGuard
from antiphon.tools.base import McpTool, RemoteTool, ToolOutput, ToolServerError
from antiphon.tools.mcp import messages as rpc
from antiphon.tools.mcp.connection import Channel, McpConnection
from antiphon.tools.mcp.deadline import CallDeadline
from antiphon.tools.mcp.eras import Eras
from antiphon.tools.mcp.headers import headers_for, secrets_of
from antiphon.tools.mcp.http import SseChannel, StreamableChannel
from antiphon.tools.mcp.http_client import new_client, tls_context
from antiphon.tools.mcp.limits import Limits
from antiphon.tools.mcp.param_headers import Mirrored, Unacceptable, headers_of, mirrored
from antiphon.tools.mcp.refusals import NotAllowed, SessionLost
from antiphon.tools.mcp.stdio import StdioChannel

log = logging.getLogger("antiphon.tools.mcp")

MOST_CURSOR = 16 * 1024
"""Characters of a page's cursor."""
UNBROKEN = 64 * 1024
"""Bytes of tools that are read before others have their turn."""
MOST_ROUNDS = 4
"""Times that a call is made again because its server asks for more input."""

T = TypeVar("T")


class McpServer:
    """The server. After a failure the next use connects anew."""

    def __init__(
        self,
        tool: McpTool,
        configured: McpServerConfig | None,
        guard: UrlGuard,
        limits: Limits,
        eras: Eras,
        *,
        session: bool = False,
    ) -> None:
        self._tool = tool
        self._session = session
        self._eras = eras
        self._configured = configured
        self._guard = guard
        self._limits = limits
        self._secrets = secrets_of(tool, configured)
        self._connecting = asyncio.Lock()
        self._connection: McpConnection | None = None
        self._http: Any = None
        self._mirrored: dict[str, Mirrored] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def list(self) -> Sequence[RemoteTool]:
        """Return the tools, all pages of them. Raises ToolServerError."""
        return await self._do(self._list)

    async def call(self, name: str, arguments: str) -> ToolOutput:
        """Call a tool. Raises ToolServerError."""
        if not self._may_call(name):
            raise self._error(f"has no tool '{name}' that may be called.")
        given = rpc.arguments(arguments)
        if given is None:
            return ToolOutput("The arguments are not a JSON object.", failed=True)

        output = await self._do(partial(self._call, name, given))
        if len(output.text) * len(self._secrets) > UNBROKEN * 8:
            text = await asyncio.to_thread(without, output.text, self._secrets)
        else:
            text = without(output.text, self._secrets)
        return ToolOutput(text, output.failed)

    async def close(self) -> None:
        """End the session."""
        self._let_go()
        if self._closing:
            await asyncio.wait(self._closing, timeout=5.0)
        if self._http is not None:
            await self._http.aclose()

    # Work

    async def _call(
        self, name: str, given: Raw, connection: McpConnection, progressed: Callable[[], None]
    ) -> ToolOutput:
        """Make a call, and make it again as long as the server wants nothing but an answer that nobody gives."""
        params: dict[str, object] = {"name": name, "arguments": given}
        for _ in range(MOST_ROUNDS):
            answer = await self._made(name, given, params, connection, progressed)
            again = rpc.asked_again(answer) if connection.modern else None
            if again is None:
                break
            params = {"name": name, "arguments": given, **again}
        return rpc.tool_output(answer)

    async def _made(
        self,
        name: str,
        given: Raw,
        params: Mapping[str, object],
        connection: McpConnection,
        progressed: Callable[[], None],
    ) -> Raw:
        """Make a call once; with headers that the server does not want any more, once more with those of its new list."""
        try:
            headers = headers_of(self._mirrored.get(name, {}), given)
            return await connection.ask("tools/call", params, name=name, headers=headers, progressed=progressed)
        except rpc.RpcError as error:
            if error.code != rpc.HEADER_MISMATCH or not connection.modern:
                raise
        await self._list(connection, progressed)
        headers = headers_of(self._mirrored.get(name, {}), given)
        return await connection.ask("tools/call", params, name=name, headers=headers, progressed=progressed)

    async def _list(self, connection: McpConnection, progressed: Callable[[], None]) -> Sequence[RemoteTool]:
        tools: list[RemoteTool] = []
        cursor: str | None = None
        size = unbroken = 0
        for _ in range(self._limits.pages):
            answer = await connection.ask("tools/list", {} if cursor is None else {"cursor": cursor})
            size += len(bytes(answer))
            if size > self._limits.answer:
                raise ToolServerError(f"its list of tools has more than {self._limits.answer} bytes.")
            listed, cursor = rpc.page(answer)
            if len(tools) + len(listed) > self._limits.tools:
                raise ToolServerError(f"it lists more than {self._limits.tools} tools.")
            for raw in listed:
                tools.append(rpc.remote_tool(self._tool.server_label, raw))
                unbroken += len(bytes(raw)) + 1000
                if unbroken > UNBROKEN:
                    unbroken = 0
                    await asyncio.sleep(0)
            if cursor is None:
                rpc.no_doubles(tools)
                await asyncio.to_thread(self._check_secrets, tools)
                return [tool for tool in self._acceptable(tools, connection) if self._may_call(tool.name)]
            if len(cursor) > MOST_CURSOR:
                break
        raise ToolServerError(f"its list of tools has more than {self._limits.pages} pages, or a cursor without end.")

    def _may_call(self, name: str) -> bool:
        """Tell whether the operator lets a tool be called."""
        allowed = self._configured.allowed_tools if self._configured else []
        return not allowed or name in allowed

    def _check_secrets(self, tools: Sequence[RemoteTool]) -> None:
        """Refuse tools that show a secret of the declaration's: their listing is stored and shown."""
        for tool in tools:
            schemas = map(_decoded, (tool.input_schema, tool.annotations))
            shown = "\n".join((tool.name, tool.description or "", *schemas))
            if any(secret in shown for secret in self._secrets):
                raise ToolServerError("it lists a tool that repeats the credentials it was sent.")

    def _acceptable(self, tools: Sequence[RemoteTool], connection: McpConnection) -> Sequence[RemoteTool]:
        """Leave out tools that ask for headers against the rules, as clients must; keep which headers the others ask for."""
        if not connection.modern:
            return tools
        kept = []
        for tool in tools:
            try:
                self._mirrored[tool.name] = mirrored(tool.input_schema)
                kept.append(tool)
            except Unacceptable as reason:
                label = self._tool.server_label
                log.warning("MCP server %r: tool %r is not offered: %s", label, tool.name, reason)
        return kept

    async def _do(self, work: Callable[[McpConnection, Callable[[], None]], Awaitable[T]]) -> T:
        """Do something within the time that a server has. Raises ToolServerError: all that is told of a server's faults."""
        if self._http is None and find_spec("httpx2") is not None:
            await asyncio.to_thread(tls_context)  # others must not wait for it, nor is it the server's fault
        deadline = CallDeadline(self._limits)
        try:
            async with deadline:
                connection = await self._connected()
                try:
                    return await work(connection, deadline.progressed)
                except SessionLost:  # nothing was done: it is asked again, within a new session
                    if self._connection is connection:  # another call may have begun one
                        self._let_go()
                    return await work(await self._connected(), deadline.progressed)
        except TimeoutError:
            self._drop()
            raise self._error(str(deadline)) from None
        except rpc.RpcError as error:
            raise self._error(f"failed: {error}") from None
        except NotAllowed as error:
            self._drop()
            hint = "" if self._has_credentials else " (The request has no 'authorization' for it.)"
            raise self._error(f"failed: {error}{hint}") from None
        except ToolServerError as error:
            self._drop()
            raise self._error(f"failed: {error}") from None
        except InvalidRequest as error:  # the guard's, for what a name leads to now
            self._drop()
            raise self._error(f"cannot be reached: {error.message}") from None
        except Exception as error:
            # Messages of the HTTP client and of the system may name addresses: they are not shown.
            if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in _CLIENT:
                log.error("MCP server %r: unexpected error: %s", self._tool.server_label, _where(error))
            self._drop()
            raise self._error(f"cannot be reached: {type(error).__name__}") from None

    @property
    def _has_credentials(self) -> bool:
        return self._configured is not None or "authorization" in headers_for(self._tool, None)

    def _error(self, reason: str) -> ToolServerError:
        return ToolServerError(
            f"The MCP server '{self._tool.server_label}' {SECRETS.hide(without(reason, self._secrets))}"
        )

    # Connection

    async def _connected(self) -> McpConnection:
        async with self._connecting:
            if self._connection is None:
                connection = self._connection = McpConnection(
                    self._channels(), self._limits, self._eras, self._address, session=self._session
                )
                try:
                    await connection.open()
                except BaseException:
                    self._let_go()
                    raise
            return self._connection

    @property
    def _address(self) -> str:
        configured = self._configured
        if configured is not None and configured.command:
            return f"{self._tool.server_label} {configured.command}"
        return self._tool.server_url or (configured.url if configured else "")

    def _channels(self) -> Sequence[Callable[[], Channel]]:
        """Return what makes a channel, one for each transport that the server may speak, the likeliest first."""
        configured = self._configured
        if configured is not None and configured.command:
            return (partial(StdioChannel, configured, self._limits),)
        url = self._address
        if self._http is None:
            guard = self._guard if configured is None else None
            self._http = new_client(url, headers_for(self._tool, self._configured), self._limits, guard)
        streamable = partial(StreamableChannel, url, self._http, self._limits)
        sse = partial(SseChannel, url, self._http, self._limits)
        # MCP servers of 2024 have a stream of events, mostly at a path that ends so.
        return (sse, streamable) if url.partition("?")[0].rstrip("/").endswith("/sse") else (streamable, sse)

    def _drop(self) -> None:
        """Let a connection go on which something went wrong: the next one looks anew at what the server is."""
        self._eras.forget(self._address)
        self._let_go()

    def _let_go(self) -> None:
        """Let the connection go; the next use makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            task = asyncio.create_task(_closed(connection))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _decoded(raw: Raw | None) -> str:
    return "" if raw is None else bytes(raw).decode()


_CLIENT = frozenset(("httpx2", "httpcore2", "h11", "anyio", "ssl"))


def _where(error: Exception) -> str:
    """Return an error's type and its place in the code: its own words may hold what was sent in confidence."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    position = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{position}"


async def _closed(connection: McpConnection) -> None:
    try:
        await connection.close()
    except Exception as error:  # whoever used it has been told; what is left of it does not matter
        log.debug("MCP: closing a connection failed: %s", type(error).__name__)
