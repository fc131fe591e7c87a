"""Turn → a request to a server that speaks Responses itself; its events → Relay Deltas."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from antiphon.core.deltas import Relay
from antiphon.core.emitter import to_json
from antiphon.core.turn import Turn
from antiphon.errors import BackendError
from antiphon.types.items import Item, OtherItem
from antiphon.types.tools import OtherTool, Tool, ToolChoice

# What is ours alone: state is kept here, every call is told the whole history, and all of them stream.
_OURS = frozenset(
    """
    model input instructions background conversation previous_response_id store stream stream_options file_id prompt
    context_management tools tool_choice text reasoning temperature top_p max_output_tokens max_tool_calls
    """.split()
)

_fields = msgspec.json.Decoder(dict[str, Raw])
_string = msgspec.json.Decoder(str)


def request(turn: Turn) -> bytes:
    """Return the body of the call: the client's own fields, the whole history as `input`, `store: false`."""
    fields: dict[str, object] = dict(turn.extra)
    asked = msgspec.structs.asdict(turn.request)
    fields |= {name: value for name, value in asked.items() if name not in _OURS and value is not None}
    fields |= {
        "model": turn.model,
        "input": [_item(item) for item in turn.items],
        "store": False,
        "stream": True,
    }
    fields |= {name: value for name, value in _chosen(turn).items() if value is not None}
    return to_json(fields)


def _chosen(turn: Turn) -> dict[str, object]:
    """Return the fields whose values come from the Turn: a default may have been filled in."""
    return {
        "instructions": turn.instructions,
        "temperature": turn.temperature,
        "top_p": turn.top_p,
        "max_output_tokens": turn.max_output_tokens,
        "tools": [_tool(tool) for tool in turn.tools] or None,
        "tool_choice": _choice(turn),
        "text": _text(turn),
        "reasoning": _reasoning(turn),
    }


def _item(item: Item) -> object:
    return item.raw if isinstance(item, OtherItem) else item


def _tool(tool: Tool) -> object:
    return tool.raw if isinstance(tool, OtherTool) else tool


def _choice(turn: Turn) -> str | ToolChoice | None:
    return turn.tool_choice if turn.tools else None


def _text(turn: Turn) -> object:
    format = turn.text.format
    text: dict[str, object] = {}
    if turn.text.verbosity is not None:
        text["verbosity"] = turn.text.verbosity
    if format.type != "text":
        pairs = {
            "type": format.type,
            "name": format.name,
            "schema": format.schema,
            "strict": format.strict,
            "description": format.description,
        }
        text["format"] = {name: value for name, value in pairs.items() if value is not None}
    return text or None


def _reasoning(turn: Turn) -> object:
    asked = turn.request.reasoning
    pairs = {"effort": turn.reasoning_effort, "summary": asked.summary if asked else None}
    return {name: value for name, value in pairs.items() if value is not None} or None


class ResponsesDecoder:
    """Turns the `data` of events into Relays, and tells whether the answer came to its end."""

    def __init__(self) -> None:
        self.ended = False

    def feed(self, events: Iterable[bytes]) -> list[Relay]:
        """Decode events. Raises BackendError for what is no event."""
        return [self._relay(data) for data in events if data != b"[DONE]"]

    def finish(self) -> None:
        """Make sure that the terminal event came. Raises BackendError."""
        if not self.ended:
            raise BackendError(502, "The backend broke off in the middle of its answer.", retriable=True)

    def _relay(self, data: bytes) -> Relay:
        try:
            fields = _fields.decode(data)
            type = _string.decode(fields["type"])
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
            raise BackendError(502, "The backend sent an event that cannot be read.") from None
        if type in ("response.completed", "response.incomplete", "response.failed", "error"):
            self.ended = True
        return Relay(type, fields)
