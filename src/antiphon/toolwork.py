"""The tools that the server runs itself within one Response: listing, approvals, calls (OpenAI's "MCP" guide).

Per server: its tools are listed once, or taken from an `mcp_list_tools` item of the context. A call that needs a person's
agreement ends the response with an `mcp_approval_request`; the next request answers it, by history or by full replay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.decoding import decode_items
from antiphon.core.emitter import to_json
from antiphon.core.other_items import Approval, ApprovalRequest, approval, approval_request, listed_tools
from antiphon.core.stream import PendingCall, ResponseStream
from antiphon.core.turn import Turn
from antiphon.errors import APIError
from antiphon.services import Services
from antiphon.tools.base import McpTool, RemoteTool, ToolOutput, ToolServer, ToolServerError
from antiphon.types.items import Item, OtherItem


class _Approved(msgspec.Struct):
    """What counts of an `mcp_call` item: one that stands in the output of a run taken over is not made again."""

    approval_request_id: str | None = None


class ToolWork:
    """The server-run tools of one Response."""

    def __init__(
        self,
        declared: Sequence[McpTool],
        turn: Turn,
        own_items: Sequence[Item],
        stream: ResponseStream,
        services: Services,
        show: Callable[[], object],
    ) -> None:
        self._declared = {tool.server_label: tool for tool in declared}
        self._turn = turn
        self._history = turn.items
        self._own_items = own_items
        self._stream = stream
        self._services = services
        self._show = show
        self._servers: dict[str, ToolServer] = {}
        self._tools: dict[tuple[str, str], RemoteTool] = {}
        self._seen = 0
        self._called = False

    async def prepare(self) -> None:
        """List the tools of all servers and make the calls that were agreed to. Raises APIError (424)."""
        self._stream.announce_calls(self._needs_approval)
        known = _listings([*self._history, *decode_items([Raw(item) for item in self._stream.output])])
        fresh = [label for label in self._declared if label not in known]
        for label in self._declared.keys() & known.keys():
            self._offer(label, known[label])
        for label in fresh:
            await self._list(label)
        await self._answer_approvals()

    def compacted(self, turn: Turn) -> None:
        """Go on from a Turn that holds all output so far; `prepare` still finds listings and approvals of the whole context."""
        self._turn = turn
        self._seen = len(self._stream.output)

    def next_turn(self) -> Turn:
        """Return the Turn with all output so far in its context, and the listed tools offered."""
        new = self._stream.output[self._seen :]
        self._seen += len(new)
        items = [*self._turn.items, *decode_items([Raw(item) for item in new])]
        choice = "auto" if self._called else self._turn.tool_choice  # a call that was forced is forced once
        self._turn = msgspec.structs.replace(
            self._turn, items=items, remote_tools=list(self._tools.values()), tool_choice=choice
        )
        return self._turn

    async def run_pending(self) -> None:
        """Make the calls that the model asked for, side by side; those that need agreement become requests for it."""
        self._called = True
        calls = []
        for call in list(self._stream.pending):
            tool = self._tools.get((call.server_label, call.name))
            if self._needs_approval(call.server_label, call.name):
                self._stream.require_approval(call.key)
            else:
                calls.append(self._run(call, tool))
        await asyncio.gather(*calls)

    async def close(self) -> None:
        """Disconnect from all servers."""
        servers, self._servers = list(self._servers.values()), {}
        await asyncio.gather(*(server.close() for server in servers), return_exceptions=True)

    def _needs_approval(self, label: str, name: str) -> bool:
        """Tell whether a person has to agree to a call; one of an unknown tool fails without being made."""
        tool = self._tools.get((label, name))
        return tool is not None and self._declared[label].needs_approval(tool)

    # Listing

    async def _list(self, label: str) -> None:
        item_id = self._stream.open_listing(label)
        self._show()
        try:
            tools = await self._server(label).list()
        except ToolServerError as error:
            self._stream.fail_listing(item_id, str(error))
            raise APIError(424, str(error), code="mcp_server_error", param="tools") from None
        offered = self._offer(label, tools)
        self._stream.close_listing(item_id, [_as_listed(tool) for tool in offered])

    def _offer(self, label: str, tools: Sequence[RemoteTool]) -> list[RemoteTool]:
        offered = [tool for tool in tools if self._declared[label].offers(tool)]
        self._tools.update({(label, tool.name): tool for tool in offered})
        return offered

    def _server(self, label: str) -> ToolServer:
        if label not in self._servers:
            self._servers[label] = self._services.tool_servers.connect(self._declared[label])
        return self._servers[label]

    # Calls

    async def _run(self, call: PendingCall, tool: RemoteTool | None) -> None:
        if tool is None:
            self._stream.tool_result(call.key, None, f"There is no tool '{call.name}' on server '{call.server_label}'.")
            return
        output = await self._call(call.server_label, call.name, call.arguments)
        self._report(call.key, output)
        self._show()

    async def _call(self, label: str, name: str, arguments: str) -> ToolOutput:
        try:
            return await self._server(label).call(name, arguments)
        except ToolServerError as error:
            return ToolOutput(str(error), failed=True)

    # Approvals

    async def _answer_approvals(self) -> None:
        asked = _approval_requests(self._history)
        made = {msgspec.json.decode(item, type=_Approved).approval_request_id for item in self._stream.output}
        for item in self._own_items:
            if not (isinstance(item, OtherItem) and item.type == "mcp_approval_response"):
                continue
            answer = approval(item)
            request = asked.get(answer.approval_request_id)
            if request is not None and request.server_label in self._declared and request.id not in made:
                await self._approved(request, answer)

    async def _approved(self, request: ApprovalRequest, answer: Approval) -> None:
        key = self._stream.begin_approved(request.server_label, request.name, request.arguments, request.id)
        if not answer.approve:
            reason = f": {answer.reason}" if answer.reason else "."
            self._stream.tool_result(key, None, f"The user did not agree to this call{reason}")
            return
        output = await self._call(request.server_label, request.name, request.arguments)
        self._report(key, output)

    def _report(self, key: str, output: ToolOutput) -> None:
        if output.failed:
            self._stream.tool_result(key, None, output.text)
        else:
            self._stream.tool_result(key, output.text, None)


def _listings(items: Sequence[Item]) -> dict[str, list[RemoteTool]]:
    """Return the tools that the context lists already, by server."""
    found: dict[str, list[RemoteTool]] = {}
    for item in items:
        if isinstance(item, OtherItem) and item.type == "mcp_list_tools":
            label, tools = listed_tools(item)
            found[label] = list(tools)
    return found


def _approval_requests(items: Sequence[Item]) -> dict[str, ApprovalRequest]:
    requests = [
        approval_request(item) for item in items if isinstance(item, OtherItem) and item.type == "mcp_approval_request"
    ]
    return {request.id: request for request in requests}


def _as_listed(tool: RemoteTool) -> bytes:
    # What is not there is left out: the AI SDK takes no null for it.
    optional = {"description": tool.description, "annotations": tool.annotations}
    present = {name: value for name, value in optional.items() if value is not None}
    return to_json({"name": tool.name, "input_schema": tool.input_schema, **present})
