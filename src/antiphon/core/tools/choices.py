"""A request's tool choice → a choice among the functions that are offered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from antiphon.core.deltas import CallKind
from antiphon.core.kinds import BY_DECLARATION, MCP
from antiphon.core.request.validation import decode
from antiphon.core.tools.offers import Offer
from antiphon.core.tools.tool_map import ToolMap
from antiphon.errors import InvalidRequest
from antiphon.types.tools import OtherTool, Tool, ToolChoice

_any = msgspec.json.Decoder(Any)


class OfferChoice(msgspec.Struct, frozen=True):
    """The choice among the offered tools: `mode` is auto, none or required; `only` is the one that must be called."""

    mode: str
    only: Offer | None = None


def choose(choice: str | ToolChoice, tools: ToolMap, declared: Sequence[Tool] = ()) -> OfferChoice:
    """Return what a request's tool choice means; `allowed_tools` restricts what is offered. Raises InvalidRequest.

    `declared` are the request's own tools: where a call is forced, one of them must be there to be called.
    """
    found = _choose(choice, tools)
    if found.mode == "required" and not tools.offers and declared:
        _check_runnable(choice, declared, tools)
    return found


def _choose(choice: str | ToolChoice, tools: ToolMap) -> OfferChoice:
    if isinstance(choice, str):
        return OfferChoice(choice)
    if choice.type == "allowed_tools":
        wanted = choice.tools if choice.tools is not UNSET else []
        tools.restrict(_allowed(wanted, tools))
        return OfferChoice(choice.mode if isinstance(choice.mode, str) else "auto")
    if choice.type in tools.ignored:
        raise _not_run(choice.type)
    kind = BY_DECLARATION.get(choice.type)
    if kind is not None and kind.hosted and choice.name is UNSET and _of_server(choice, kind.hosted, tools):
        tools.restrict([offer for name in (kind.name, kind.hosted) for offer in _of_server(choice, name, tools)])
        return OfferChoice("required")
    if kind is not None and kind.serve is not None and choice.name is UNSET:
        meant = _of_server(choice, kind.name, tools)
        if meant or kind.name == MCP:
            tools.restrict(meant)
            return OfferChoice("required")
    offer = _named(choice, tools)
    if offer is None:
        name = choice.name if isinstance(choice.name, str) else choice.type
        raise InvalidRequest(f"Tool choice '{name}' not found in 'tools'.", param="tool_choice")
    return OfferChoice("required", offer)


def _not_run(type: str) -> InvalidRequest:
    return InvalidRequest(
        f"Tool choice '{type}' cannot be forced: this server does not run the tool '{type}'.",
        param="tool_choice",
        code="tool_not_available",
    )


def _check_runnable(choice: str | ToolChoice, declared: Sequence[Tool], tools: ToolMap) -> None:
    """Raise InvalidRequest where a call is forced, and none of the declared tools can be called."""
    types = [tool.type for tool in declared if isinstance(tool, OtherTool)]
    if MCP in types:
        return  # its server says later what can be called
    ignored = next((type for type in types if type in tools.ignored), "")
    if ignored:
        raise _not_run(ignored)
    raise InvalidRequest(
        f"Tool choice '{choice if isinstance(choice, str) else choice.type}' cannot be forced: "
        "the model itself can call none of the declared tools ('allowed_callers').",
        param="tool_choice",
        code="tool_not_available",
    )


def _of_server(choice: ToolChoice, kind: CallKind, tools: ToolMap) -> list[Offer]:
    """Return the functions of the tool that a choice means: all of an MCP server, or all of a hosted tool."""
    targets = ((offer, offer.target) for offer in tools.offers.values())
    if kind == MCP:
        return [offer for offer, target in targets if target.namespace == choice.server_label]
    return [offer for offer, target in targets if target.kind == kind]


def _named(choice: ToolChoice, tools: ToolMap) -> Offer | None:
    name = choice.name if isinstance(choice.name, str) else choice.type
    namespace = next((value for value in (choice.namespace, choice.server_label) if isinstance(value, str)), None)
    return tools.find(name, choice.type, namespace)


def _allowed(wanted: Iterable[dict[str, Raw]], tools: ToolMap) -> list[Offer]:
    allowed: list[Offer] = []
    for index, entry in enumerate(wanted):
        fields = {name: decode(_any, value, f"tool_choice.tools[{index}].{name}") for name, value in entry.items()}
        kind = fields.get("type")
        if isinstance(kind, str) and kind == "namespace":
            allowed += tools.matching("", None, fields.get("name"))
        else:
            namespace = fields.get("namespace", fields.get("server_label"))
            declared = BY_DECLARATION.get(kind) if isinstance(kind, str) else None
            allowed += tools.matching(declared.name if declared else kind, fields.get("name"), namespace)
            if declared is not None and declared.hosted:
                allowed += tools.matching(declared.hosted, fields.get("name"), namespace)
    return allowed
