"""Draft: a request whose parts Intake has found one after the other, until a Plan can be made of them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.access.tool_limits import ALL_RIGHTS, ToolRights
from antiphon.backends.base import Route
from antiphon.core.citations.sources import Source
from antiphon.core.opaque import NO_OPAQUE, OpaqueData
from antiphon.core.request.text_format import ResolvedText
from antiphon.core.turn import Hints
from antiphon.responses.calls.approvals import Approval
from antiphon.responses.intake.asked import Asked
from antiphon.responses.plan import Identity
from antiphon.tools.base import AdmittedTool, McpTool
from antiphon.types.items import Item
from antiphon.types.request import CreateResponse


class ToolsHere(msgspec.Struct, frozen=True):
    """Declared tools that this server runs: those of `remote` servers, and `hosted` ones. Types of others are `ignored`.

    `rights` are the caller's; `about` is what the model is told beside the tools.
    """

    remote: Sequence[McpTool] = ()
    hosted: Sequence[AdmittedTool] = ()
    ignored: Sequence[str] = ()
    rights: ToolRights = ALL_RIGHTS
    about: str = ""


NO_TOOLS = ToolsHere()


class Draft(msgspec.Struct, eq=False):
    """A request in the making of its Plan. `request` and `text` are those of `asked`, brought up to date.

    `own` are its own items, `shown` all that the model sees, `size` about how many bytes those have. `plain`: they are the
    request's own and nothing else; `rare`: there are OtherItems among them. `opaque`, `sources`: what was kept beside items
    of the history.
    """

    asked: Asked
    request: CreateResponse
    text: ResolvedText
    owner: str
    route: Route
    identity: Identity
    hints: Hints
    own: list[Item]
    shown: list[Item]
    size: int
    plain: bool
    rare: bool
    tools: ToolsHere = NO_TOOLS
    opaque: OpaqueData = NO_OPAQUE
    sources: Sequence[Source] = ()
    approvals: Sequence[Approval] = ()
