"""Tools of MCP servers within one Response: listing, approvals, calls (OpenAI's "MCP" guide).

Per server: its tools are listed once, or taken from an `mcp_list_tools` item of the context. A call that needs a person's
agreement ends the response with an `mcp_approval_request`; the next request answers it, by history or by full replay.

Items of the context come from the client and are not trusted. So a listing of the context is compared with the server's own
before the first call of a tool, and at once if approval depends on it; a tool that the declaration does not admit, or
that the server does not list, is never called.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Raw
from msgspec.structs import replace

from antiphon.core.deltas import CallStart
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import APPROVAL_REQUEST_PREFIX, MCP, MCP_LISTING, MCP_LISTING_PREFIX
from antiphon.core.request.other_items import listed_tools
from antiphon.core.stream.response_stream import PendingCall, ResponseStream
from antiphon.core.stream.tool_writers import ListingWriter, approval_request
from antiphon.core.tools.offers import Offer, Target
from antiphon.core.tools.results import AskedCall, ToolResult
from antiphon.errors import APIError, InvalidRequest
from antiphon.responses.calls import approvals
from antiphon.responses.calls.approvals import Approval
from antiphon.responses.services import Services
from antiphon.tools.base import McpTool, RemoteTool, ToolServer, ToolServerError
from antiphon.tools.server_budget import ServerBudget
from antiphon.types.items import Item, OtherItem

NO_REASON = "The tool failed and gave no reason."


class McpWork:
    """The MCP servers of one Response. `show` sends the events that there are."""

    def __init__(
        self,
        declared: Sequence[McpTool],
        approved: Sequence[Approval],
        owner: str,
        stream: ResponseStream,
        services: Services,
        show: Callable[[], object],
    ) -> None:
        self._declared = {tool.server_label: tool for tool in declared}
        self._approvals = approved
        self._owner = owner
        self._stream = stream
        self._services = services
        self._show = show
        self._servers: dict[str, ToolServer] = {}
        self._tools: dict[tuple[str, str], RemoteTool] = {}
        self._unverified: set[str] = set()  # labels whose tools are known from the context alone
        self._verifying = asyncio.Lock()
        self._budget = ServerBudget(services.config.mcp_max_total, services.config.mcp_total_timeout)

    async def prepare(self, history: Sequence[Item], made: Sequence[Item]) -> None:
        """List the tools of all servers and make the calls that were agreed to. Raises APIError (424).

        `made` are the items that this response has already, where it is taken over.
        """
        known = {**_listings(history), **_listings(made)}
        for label, declared in self._declared.items():
            if label in known and not declared.depends_on_hints:
                self._unverified.add(label)
                self._offer(label, known[label])
            else:
                await self._list(label)
        for approval in self._approvals:
            if approval.request.id not in approvals.calls_made(made):
                await self._answered(approval)

    def offers(self) -> list[Offer]:
        """Return what the model may call."""
        return [_as_offered(tool) for (label, _), tool in self._tools.items() if self._declared[label].direct]

    def in_programs(self) -> list[Offer]:
        """Return what programs of the model may call."""
        return [_as_offered(tool) for (label, _), tool in self._tools.items() if self._declared[label].in_programs]

    def needs_approval(self, label: str, name: str) -> bool:
        """Tell whether a person has to agree to a call; one of an unknown tool fails without being made."""
        tool = self._tools.get((label, name))
        return tool is not None and self._declared[label].needs_approval(tool)

    def ask(self, call: PendingCall) -> None:
        """Ask a person instead of making a call."""
        self._stream.ask_instead(call.key, APPROVAL_REQUEST_PREFIX, partial(self._request, call))

    def asked_by(self, program: str, call: AskedCall) -> AskedCall:
        """Return a program's call with the item that asks a person for it."""
        pending = PendingCall(call.call_id, MCP, call.namespace or "", call.name, call.arguments, call.call_id)
        return replace(call, request=partial(self._request, pending, program=program))

    def _request(self, call: PendingCall, id: str, *, program: str = "") -> tuple[str, bytes]:
        """Return an approval request's signed id and its JSON."""
        about = (call.namespace, call.name, call.arguments)
        id = approvals.signed_id(self._services.sealer, self._owner, id, *about)
        return id, approval_request(id, *about, call_id=call.call_id, program=program)

    async def call(self, call: PendingCall) -> ToolResult:
        """Make a call of the model's. A failure becomes the call's error; nothing is raised."""
        return await self._call(call.namespace, call.name, call.arguments)

    async def close(self) -> None:
        """Disconnect from all servers."""
        servers, self._servers = list(self._servers.values()), {}
        await asyncio.gather(*(server.close() for server in servers), return_exceptions=True)

    # Listing

    async def _list(self, label: str) -> None:
        listing = self._stream.open_item(MCP_LISTING_PREFIX, partial(ListingWriter, label=label))
        self._show()
        try:
            offered = self._offer(label, await self._tools_of(label))
        except ToolServerError as error:
            self._stream.close_item(listing, listing.fail(str(error)))
            raise APIError(424, str(error), code="mcp_server_error", param="tools") from None
        self._stream.close_item(listing, listing.tools([_as_listed(tool) for tool in offered]))

    async def _tools_of(self, label: str) -> Sequence[RemoteTool]:
        """List the tools of a server. Raises ToolServerError."""
        async with self._budget:
            tools = await self._server(label).list()
        self._budget.take(sum(_size(tool) for tool in tools))
        return tools

    def _offer(self, label: str, tools: Sequence[RemoteTool]) -> list[RemoteTool]:
        """Add the tools that the declaration allows to those offered; return them."""
        offered = [tool for tool in tools if self._declared[label].offers(tool)]
        self._tools.update({(label, tool.name): tool for tool in offered})
        return offered

    async def _verify(self, label: str) -> None:
        """Replace the context's listing by the server's own. Raises ToolServerError."""
        async with self._verifying:
            if label not in self._unverified:
                return
            tools = await self._tools_of(label)
            self._tools = {key: tool for key, tool in self._tools.items() if key[0] != label}
            self._offer(label, tools)
            self._unverified.discard(label)

    def _server(self, label: str) -> ToolServer:
        if label not in self._servers:
            self._servers[label] = self._services.tool_servers.connect(self._declared[label])
        return self._servers[label]

    # Calls

    async def _call(self, label: str, name: str, arguments: str, *, agreed: bool = False) -> ToolResult:
        """Call an offered tool. A failure becomes the call's error; nothing is raised."""
        try:
            if (label, name) in self._tools or agreed:
                await self._verify(label)
            if (label, name) not in self._tools:
                return ToolResult(error=f"There is no tool '{name}' on server '{label}'.")
            async with self._budget:
                output = await self._server(label).call(name, arguments)
            self._budget.take(len(output.text))
        except ToolServerError as error:
            return ToolResult(error=str(error))
        return (
            ToolResult(error=output.text or NO_REASON) if output.failed else ToolResult(fields={"output": output.text})
        )

    async def _answered(self, approval: Approval) -> None:
        request = approval.request
        key, caller = f"approved:{request.id}", request.caller
        program = caller.caller_id if caller is not None and isinstance(caller.caller_id, str) else ""
        call_id = (request.call_id or key) if program else key
        start = CallStart(key, call_id, request.name, MCP, request.server_label, request.id, caller=program)
        self._stream.begin_call(start, request.arguments)
        if approval.approve:
            result = await self._call(request.server_label, request.name, request.arguments, agreed=True)
        else:
            reason = f": {approval.reason}" if approval.reason else "."
            result = ToolResult(error=f"The user did not agree to this call{reason}")
        self._stream.tool_result(key, result)


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
