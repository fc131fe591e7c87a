"""Plan: everything that is needed to make one Response, before the first model call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from antiphon.access.tool_limits import ALL_RIGHTS, ToolRights
from antiphon.backends.base import Route
from antiphon.core import context
from antiphon.core.citations.sources import Source
from antiphon.core.context import OwnInput
from antiphon.core.deltas import CallStart
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.tools.results import ToolResult
from antiphon.core.turn import Turn
from antiphon.responses.calls.approvals import Approval
from antiphon.responses.guards.response_guard import ResponseGuard
from antiphon.tools.base import AdmittedTool, McpTool
from antiphon.types.items import Item
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ids and times of a response, and its caller's rights to tools: what is not in its request."""

    id_base: str
    created_at: int
    rights: ToolRights = ALL_RIGHTS


class FailedCall(msgspec.Struct, frozen=True):
    """A call that is told as failed without the model being asked; `arguments` is JSON text."""

    start: CallStart
    arguments: str
    result: ToolResult


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One Response to be made: the request, its Route, the first Turn, and the Response as it stands before the first token.

    `sources` are those that texts of its history name. `spell`: see Asked. `size` are about the bytes
    of its input. With `failed` calls the response is these alone: they
    are all that was asked for, and cannot be made here.
    """

    request: CreateResponse
    owner: str
    route: Route
    turn: Turn
    response: Response
    id_base: str
    own_items: Sequence[Item]
    stored: bool
    conversation_id: str | None
    options: StreamTerms
    ignored: Sequence[str] = ()
    remote: Sequence[McpTool] = ()
    hosted: Sequence[AdmittedTool] = ()
    rights: ToolRights = ALL_RIGHTS
    sources: Sequence[Source] = ()
    approvals: Sequence[Approval] = ()
    compaction: Literal["", "trigger", "threshold"] = ""
    spell: Callable[[str], str] | None = None
    failed: Sequence[FailedCall] = ()
    guard: ResponseGuard | None = None
    size: int = 0

    def own_input(self) -> OwnInput:
        """Return this response's own input items as they are stored."""
        return context.keep_input(self.own_items, self.id_base, self.turn.encoded)
