"""MCP servers: those that a request names by URL (streamable HTTP, SSE), and those of the configuration by label (stdio, HTTP).

The HTTP client is an extra and takes a moment to import: it is imported when the first server is called.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

from msgspec import Raw

from antiphon import __version__
from antiphon.config import MCP, McpServerConfig
from antiphon.config.masking import SECRETS
from antiphon.core.tools.redaction import without
from antiphon.errors import InvalidRequest
from antiphon.net.http.address import Address
from antiphon.net.proxies import Proxy, proxy_for
from antiphon.net.url_guard import UrlGuard, split_url
from antiphon.tools.base import McpTool, RemoteTool, ToolOutput, ToolServer, ToolServerError
from antiphon.tools.mcp import messages as rpc
from antiphon.tools.mcp.headers import check_headers, headers_for, secrets_of
from antiphon.tools.mcp.http import SseChannel, StreamableChannel
from antiphon.tools.mcp.messages import Limits, RpcMessage
from antiphon.tools.mcp.stdio import StdioChannel
from antiphon.tools.plugins import PluginServer, tool_kinds

log = logging.getLogger("antiphon.tools.mcp")

MOST_PAGES = 100
"""Pages of a list of tools."""
MOST_CURSOR = 16 * 1024
"""Characters of a page's cursor."""
UNBROKEN = 64 * 1024
"""Bytes of tools that are read before others have their turn."""
MOST_LABEL = 128
MOST_BYTES = 2 * 1024 * 1024
MOST_TOOLS = 1000

T = TypeVar("T")


class Channel(Protocol):
    """The way to a server: messages out, answers in."""

    async def ask(self, message: bytes, id: int, method: str, name: str = "") -> RpcMessage:
        """Send a request and return its answer. Raises ToolServerError, OSError, httpx2.HTTPError."""
        ...

    async def tell(self, message: bytes) -> None:
        """Send a message that is not answered."""
        ...

    def agree(self, version: str) -> None:
        """Know the revision of the protocol that both sides speak."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class McpServers:
    """All MCP servers that may be called."""

    def __init__(
        self,
        guard: UrlGuard,
        configured: Mapping[str, McpServerConfig],
        timeout: float,
        *,
        most_bytes: int = MOST_BYTES,
        most_tools: int = MOST_TOOLS,
    ) -> None:
        self._guard = guard
        self.replace(configured, timeout, most_bytes=most_bytes, most_tools=most_tools)

    def replace(
        self,
        configured: Mapping[str, McpServerConfig],
        timeout: float,
        *,
        most_bytes: int = MOST_BYTES,
        most_tools: int = MOST_TOOLS,
    ) -> None:
        """Know other servers and limits from now on; connections that there are stay. Raises ConfigError."""
        self._kinds = tool_kinds(configured)
        self._configured = configured
        self._limits = Limits(answer=most_bytes, tools=most_tools, pages=MOST_PAGES, timeout=timeout)

    async def check(self, tool: McpTool, param: str) -> None:
        """Refuse what cannot be called: no URL and no such label, headers that may not be set, a private address."""
        label = tool.server_label
        if not 1 <= len(label) <= MOST_LABEL or not label.isprintable():
            raise InvalidRequest(
                f"Invalid '{param}.server_label': must be 1 to {MOST_LABEL} printable characters.",
                param=f"{param}.server_label",
            )
        configured = self._configured_for(tool)
        if tool.server_url is None and configured is None:
            raise InvalidRequest(
                f"The MCP server '{label}' needs a 'server_url': no server of this label is configured.",
                param=f"{param}.server_url",
                code="missing_required_parameter",
            )
        check_headers(tool, configured, param)
        if tool.server_url is not None:
            await self._guard.check(tool.server_url, f"{param}.server_url")
        if find_spec("httpx2") is None and not (configured and (configured.command or configured.kind != MCP)):
            raise InvalidRequest(
                "This server was installed without MCP: pip install 'antiphon[mcp]'.",
                param=param,
                code="unsupported_parameter",
            )

    def connect(self, tool: McpTool) -> ToolServer:
        """Return the server; the connection is made at its first use."""
        configured = self._configured_for(tool)
        if configured is not None and configured.kind in self._kinds:
            return PluginServer(tool.server_label, configured, self._kinds[configured.kind], self._limits)
        return McpServer(tool, configured, self._guard, self._limits)

    def _configured_for(self, tool: McpTool) -> McpServerConfig | None:
        return self._configured.get(tool.server_label) if tool.server_url is None else None


class McpServer:
    """One MCP server during one response. After a failure the next use connects anew."""

    def __init__(self, tool: McpTool, configured: McpServerConfig | None, guard: UrlGuard, limits: Limits) -> None:
        self._tool = tool
        self._configured = configured
        self._guard = guard
        self._limits = limits
        self._secrets = secrets_of(tool, configured)
        self._connecting = asyncio.Lock()
        self._channel: Channel | None = None
        self._http: Any = None
        self._meta: dict[str, object] = {}
        self._next_id = 0
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

        async def work(channel: Channel) -> ToolOutput:
            return rpc.tool_output(await self._ask(channel, "tools/call", {"name": name, "arguments": given}, name))

        output = await self._do(work)
        if len(output.text) * len(self._secrets) > UNBROKEN * 8:
            text = await asyncio.to_thread(without, output.text, self._secrets)
        else:
            text = without(output.text, self._secrets)
        return ToolOutput(text, output.failed)

    async def close(self) -> None:
        """End the session."""
        self._drop()
        if self._closing:
            await asyncio.wait(self._closing, timeout=5.0)
        if self._http is not None:
            await self._http.aclose()

    # Work

    async def _list(self, channel: Channel) -> Sequence[RemoteTool]:
        tools: list[RemoteTool] = []
        cursor: str | None = None
        size = unbroken = 0
        for _ in range(self._limits.pages):
            answer = await self._ask(channel, "tools/list", {} if cursor is None else {"cursor": cursor})
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
                return [tool for tool in tools if self._may_call(tool.name)]
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

    async def _ask(self, channel: Channel, method: str, params: dict[str, object], name: str = "") -> Raw:
        self._next_id += 1
        id = self._next_id
        if self._meta:
            params = {**params, "_meta": self._meta}
        return rpc.result(await channel.ask(rpc.request(id, method, params), id, method, name))

    async def _do(self, work: Callable[[Channel], Awaitable[T]]) -> T:
        """Do something within the time that a server has. Raises ToolServerError: all that is told of a server's faults."""
        if self._http is None and find_spec("httpx2") is not None:
            await asyncio.to_thread(_tls_context)  # others must not wait for it, nor is it the server's fault
        try:
            async with asyncio.timeout(self._limits.timeout):
                return await work(await self._connected())
        except TimeoutError:
            self._drop()
            raise self._error(f"did not answer within {self._limits.timeout:g} seconds.") from None
        except rpc.RpcError as error:
            raise self._error(f"failed: {error}") from None
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

    def _error(self, reason: str) -> ToolServerError:
        return ToolServerError(
            f"The MCP server '{self._tool.server_label}' {SECRETS.hide(without(reason, self._secrets))}"
        )

    # Connection

    async def _connected(self) -> Channel:
        async with self._connecting:
            if self._channel is None:
                channel = self._channel = self._new_channel()
                await self._shake_hands(channel)
            return self._channel

    def _new_channel(self) -> Channel:
        configured = self._configured
        if configured is not None and configured.command:
            return StdioChannel(configured, self._limits)
        url = self._tool.server_url or (configured.url if configured else "")
        if self._http is None:
            self._http = self._new_http(url)
        # MCP servers of 2024 have a stream of events, at a path that ends so.
        kind = SseChannel if url.partition("?")[0].rstrip("/").endswith("/sse") else StreamableChannel
        return kind(url, self._http, self._limits)

    async def _shake_hands(self, channel: Channel) -> None:
        us = {"name": "antiphon", "version": __version__}
        asked: dict[str, object] = {"protocolVersion": rpc.NEWEST_HANDSHAKE, "capabilities": {}, "clientInfo": us}
        self._meta = {}
        try:
            answer = await self._ask(channel, "initialize", asked)
        except rpc.RpcError as error:
            if error.code not in (rpc.UNSUPPORTED_VERSION, rpc.NO_SUCH_METHOD):
                raise
            said = {"protocolVersion": rpc.WITHOUT_HANDSHAKE, "clientInfo": us, "clientCapabilities": {}}
            self._meta = {f"io.modelcontextprotocol/{name}": value for name, value in said.items()}
            channel.agree(rpc.WITHOUT_HANDSHAKE)
            return
        channel.agree(rpc.version(answer))
        await channel.tell(rpc.request(None, "notifications/initialized"))

    def _drop(self) -> None:
        """Let the connection go; the next use makes another."""
        channel, self._channel = self._channel, None
        if channel is not None:
            task = asyncio.create_task(_closed(channel))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _new_http(self, url: str) -> Any:
        import httpx2

        timeout = httpx2.Timeout(self._limits.timeout, connect=min(self._limits.timeout, 10.0))
        headers = {**headers_for(self._tool, self._configured), "accept-encoding": "identity"}
        guard = self._guard if self._configured is None else None
        host, port = split_url(url, "server_url")
        proxy = proxy_for(Address(host=host, port=port, tls=url.lower().startswith("https:")))
        return httpx2.AsyncClient(headers=headers, timeout=timeout, transport=_transport_of(guard, proxy))


def _decoded(raw: Raw | None) -> str:
    return "" if raw is None else bytes(raw).decode()


_CLIENT = frozenset(("httpx2", "httpcore2", "h11", "anyio", "ssl"))


def _where(error: Exception) -> str:
    """Return an error's type and its place in the code: its own words may hold what was sent in confidence."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{place}"


async def _closed(channel: Channel) -> None:
    try:
        await channel.close()
    except Exception as error:  # whoever used it has been told; what is left of it does not matter
        log.debug("MCP: closing a connection failed: %s", type(error).__name__)


def _transport_of(guard: UrlGuard | None, proxy: Proxy | None) -> Any:
    """Return an HTTP transport that connects to the address that the guard has checked, redirects included."""
    import httpx2

    from antiphon.tools.mcp.through_proxy import through_proxy

    class Guarded(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if guard is not None:
                host, port = split_url(str(request.url), "server_url")
                address = await guard.resolve_for(proxy, host, port, "server_url")
                request.extensions = {**request.extensions, "sni_hostname": host}
                request.url = request.url.copy_with(host=address or host)
            return await super().handle_async_request(request)

    transport = Guarded(verify=_tls_context(), trust_env=False)
    return transport if proxy is None else through_proxy(transport, proxy, _tls_context())


@cache
def _tls_context() -> ssl.SSLContext:
    """Return the one context of all connections: the authorities of the system, or of SSL_CERT_FILE, as for backends."""
    import httpx2  # noqa: F401 (takes 100 ms, which this is called in a thread for)

    return ssl.create_default_context()
