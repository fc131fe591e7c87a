"""The tools that the server runs itself within one Response: listing, approvals, calls (OpenAI's "MCP" guide).

Per server: its tools are listed once, or taken from an `mcp_list_tools` item of the context. A call that needs a person's
agreement ends the response with an `mcp_approval_request`; the next request answers it, by history or by full replay.

Items of the context may have been made up. So a listing of the context is compared with the server's own before the first
call of a tool, and before anything where approval hangs on what it says; a tool that the declaration does not admit, or
that the server does not list, is never called.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import MCP, MCP_LISTING
from antiphon.core.request.decoding import decode_items
from antiphon.core.request.other_items import listed_tools
from antiphon.core.stream.response_stream import PendingCall, ResponseStream
from antiphon.core.tools.offers import Offer, Target
from antiphon.core.turn import Turn
from antiphon.errors import APIError, InvalidRequest
from antiphon.responses import approvals
from antiphon.responses.approvals import Approval
from antiphon.responses.services import Services
from antiphon.runtime.offload import LARGE
from antiphon.tools.base import McpTool, RemoteTool, ToolOutput, ToolServer, ToolServerError
from antiphon.types.items import Item, OtherItem


class ServerBudget:
    """What the servers of one Response may take together: bytes of answers, and seconds in which one of them is waited for."""

    def __init__(self, bytes: int, seconds: float) -> None:
        self._bytes, self._most_bytes = bytes, bytes
        self._seconds, self._most_seconds = seconds, seconds
        self._waiting = 0
        self._since = 0.0

    async def __aenter__(self) -> None:
        """Begin to wait for a server. Raises ToolServerError where there is no time left."""
        now = asyncio.get_running_loop().time()
        self._count(now)
        if self._seconds <= 0:
            raise ToolServerError(
                f"The response has waited for MCP servers for {self._most_seconds:g} seconds; it waits no longer."
            )
        self._waiting += 1

    async def __aexit__(self, *_: object) -> None:
        """End to wait."""
        self._count(asyncio.get_running_loop().time())
        self._waiting -= 1

    def take(self, bytes: int) -> None:
        """Count an answer. Raises ToolServerError where it is too much."""
        if bytes > self._bytes:
            raise ToolServerError(
                f"The answers of MCP servers in this response have more than {self._most_bytes} bytes together."
            )
        self._bytes -= bytes

    def _count(self, now: float) -> None:
        if self._waiting:
            self._seconds -= now - self._since
        self._since = now


class ToolWork:
    """The server-run tools of one Response."""

    def __init__(
        self,
        declared: Sequence[McpTool],
        turn: Turn,
        approved: Sequence[Approval],
        stream: ResponseStream,
        services: Services,
        show: Callable[[], object],
    ) -> None:
        self._declared = {tool.server_label: tool for tool in declared}
        self._turn = turn
        self._history = turn.items
        self._approvals = approved
        self._stream = stream
        self._services = services
        self._show = show
        self._servers: dict[str, ToolServer] = {}
        self._tools: dict[tuple[str, str], RemoteTool] = {}
        self._hearsay: set[str] = set()  # labels whose tools are known from the context alone
        self._comparing = asyncio.Lock()
        self._budget = ServerBudget(services.config.mcp_max_total, services.config.mcp_total_timeout)
        self._seen = 0
        self._size = turn.size
        self._called = False

    async def prepare(self) -> None:
        """List the tools of all servers and make the calls that were agreed to. Raises APIError (424)."""
        self._stream.announce_calls(self._needs_approval, self._signed_id)
        made = decode_items([Raw(item) for item in self._stream.output])
        known = {**_listings(self._history), **_listings(made)}
        for label, declared in self._declared.items():
            if label in known and not declared.depends_on_hints:
                self._hearsay.add(label)
                self._offer(label, known[label])
            else:
                await self._list(label)
        for approval in self._approvals:
            if approval.request.id not in approvals.calls_made(made):
                await self._answered(approval)

    def compacted(self, turn: Turn) -> None:
        """Go on from a Turn that holds all output so far; `prepare` still finds listings and approvals of the whole context."""
        self._turn = turn
        self._seen = len(self._stream.output)

    def next_turn(self) -> Turn:
        """Return the Turn with all output so far in its context, and the listed tools offered."""
        new = self._stream.output[self._seen :]
        self._seen += len(new)
        items = [*self._turn.items, *decode_items([Raw(item) for item in new])]
        self._size += sum(map(len, new))  # what servers gave may make a Turn large
        choice = "auto" if self._called else self._turn.tool_choice  # a call that was forced is forced once
        self._turn = msgspec.structs.replace(
            self._turn,
            items=items,
            server_tools=[_as_offered(tool) for tool in self._tools.values()],
            tool_choice=choice,
            size=self._size if self._size >= LARGE else 0,
        )
        return self._turn

    async def run_pending(self) -> None:
        """Make the calls that the model asked for, side by side; those that need agreement become requests for it."""
        self._called = True
        calls = []
        for call in list(self._stream.pending):
            if self._needs_approval(call.server_label, call.name):
                self._stream.require_approval(call.key)
            else:
                calls.append(self._run(call))
        await asyncio.gather(*calls)

    async def close(self) -> None:
        """Disconnect from all servers."""
        servers, self._servers = list(self._servers.values()), {}
        await asyncio.gather(*(server.close() for server in servers), return_exceptions=True)

    def _needs_approval(self, label: str, name: str) -> bool:
        """Tell whether a person has to agree to a call; one of an unknown tool fails without being made."""
        tool = self._tools.get((label, name))
        return tool is not None and self._declared[label].needs_approval(tool)

    def _signed_id(self, id: str, label: str, name: str, arguments: str) -> str:
        return approvals.signed_id(self._services.sealer, self._turn.hints.owner, id, label, name, arguments)

    # Listing

    async def _list(self, label: str) -> None:
        item_id = self._stream.open_listing(label)
        self._show()
        try:
            offered = self._offer(label, await self._ask(label))
        except ToolServerError as error:
            self._stream.fail_listing(item_id, str(error))
            raise APIError(424, str(error), code="mcp_server_error", param="tools") from None
        self._stream.close_listing(item_id, [_as_listed(tool) for tool in offered])

    async def _ask(self, label: str) -> Sequence[RemoteTool]:
        """Return the tools as the server itself lists them. Raises ToolServerError."""
        async with self._budget:
            tools = await self._server(label).list()
        self._budget.take(sum(_size(tool) for tool in tools))
        return tools

    def _offer(self, label: str, tools: Sequence[RemoteTool]) -> list[RemoteTool]:
        offered = [tool for tool in tools if self._declared[label].offers(tool)]
        self._tools.update({(label, tool.name): tool for tool in offered})
        return offered

    async def _compare(self, label: str) -> None:
        """Put the server's own list in the place of what the context says. Raises ToolServerError."""
        async with self._comparing:
            if label not in self._hearsay:
                return
            tools = await self._ask(label)
            self._tools = {key: tool for key, tool in self._tools.items() if key[0] != label}
            self._offer(label, tools)
            self._hearsay.discard(label)

    def _server(self, label: str) -> ToolServer:
        if label not in self._servers:
            self._servers[label] = self._services.tool_servers.connect(self._declared[label])
        return self._servers[label]

    # Calls

    async def _run(self, call: PendingCall) -> None:
        self._report(call.key, await self._call(call.server_label, call.name, call.arguments))
        self._show()

    async def _call(self, label: str, name: str, arguments: str, *, agreed: bool = False) -> ToolOutput:
        """Call a tool that is offered; what goes wrong is the call's error."""
        try:
            if (label, name) in self._tools or agreed:
                await self._compare(label)
            if (label, name) not in self._tools:
                return ToolOutput(f"There is no tool '{name}' on server '{label}'.", failed=True)
            async with self._budget:
                output = await self._server(label).call(name, arguments)
            self._budget.take(len(output.text))
            return output
        except ToolServerError as error:
            return ToolOutput(str(error), failed=True)

    async def _answered(self, approval: Approval) -> None:
        request = approval.request
        key = self._stream.begin_approved(request.server_label, request.name, request.arguments, request.id)
        if approval.approve:
            output = await self._call(request.server_label, request.name, request.arguments, agreed=True)
        else:
            reason = f": {approval.reason}" if approval.reason else "."
            output = ToolOutput(f"The user did not agree to this call{reason}", failed=True)
        self._report(key, output)

    def _report(self, key: str, output: ToolOutput) -> None:
        if output.failed:
            self._stream.tool_result(key, None, output.text)
        else:
            self._stream.tool_result(key, output.text, None)


def _listings(items: Sequence[Item]) -> dict[str, list[RemoteTool]]:
    """Return the tools that the context lists already, by server; a listing that failed or cannot be read lists none."""
    found: dict[str, list[RemoteTool]] = {}
    for item in items:
        if isinstance(item, OtherItem) and item.type == MCP_LISTING:
            with contextlib.suppress(InvalidRequest):  # stored before such ones were refused
                listing = listed_tools(item)
                if not listing.failed:
                    found[listing.server_label] = list(listing.tools)
    return found


def _size(tool: RemoteTool) -> int:
    raw = (tool.input_schema, tool.annotations or Raw(b""))
    return len(tool.name) + len(tool.description or "") + sum(len(bytes(one)) for one in raw)


def _as_offered(tool: RemoteTool) -> Offer:
    target = Target(MCP, tool.name, tool.server_label)
    return Offer(target=target, description=tool.description or "", parameters=tool.input_schema)


def _as_listed(tool: RemoteTool) -> bytes:
    # What is not there is left out: the AI SDK takes no null for it.
    optional = {"description": tool.description, "annotations": tool.annotations}
    present = {name: value for name, value in optional.items() if value is not None}
    return to_json({"name": tool.name, "input_schema": tool.input_schema, **present})
