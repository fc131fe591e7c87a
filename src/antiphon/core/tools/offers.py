"""What a model is offered, and what stands behind it. Nothing in it is tied to a wire format."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw

from antiphon.core.deltas import CallKind
from antiphon.core.json_encoding import to_json
from antiphon.types.tools import ToolFormat

NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')


class Target(msgspec.Struct, frozen=True):
    """What a function that the model is offered stands for. `namespace` is the server's label where a server has the tool."""

    kind: CallKind
    name: str
    namespace: str | None = None


class Suggestion(msgspec.Struct, frozen=True):
    """How a tool of a fixed kind is described to a model; `parameters` is a JSON Schema."""

    description: str
    parameters: Raw


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One function that a model is offered. `parameters` is a JSON Schema.

    `name` is what the model calls it by: a ToolMap gives it, so that no two are the same. `strict`: the arguments have to
    follow the schema. A custom tool has a `format`. `forms`: what this is in a backend's requests, by the backend's name for
    that form; only an Offer that is made again for the same declaration has a place to keep it.
    """

    target: Target
    name: str = ""
    description: str = ""
    parameters: Raw = NO_PARAMETERS
    strict: bool = False
    format: ToolFormat | None = None
    forms: dict[str, bytes] | None = None


# Custom tools


def about_format(format: ToolFormat | None) -> str:
    """Return what a model is told of the format of a custom tool's input, "" where it is free."""
    if format is None or format.type != "grammar" or format.definition is UNSET:
        return ""
    if format.syntax == "regex":
        return f"The input matches this regular expression:\n{format.definition}"
    return f"The input follows this {format.syntax} grammar:\n{format.definition}"


def input_schema(format: ToolFormat | None) -> Raw:
    """Return the parameters of the function that stands for a custom tool: its input, as one text."""
    return _FREE_INPUT if format is None else _GRAMMAR_INPUT


def _raw_text(about: str) -> Raw:
    return Raw(
        to_json(
            {
                "type": "object",
                "properties": {"input": {"type": "string", "description": about}},
                "required": ["input"],
                "additionalProperties": False,
            }
        )
    )


_FREE_INPUT = _raw_text("The whole input, as raw text.")
_GRAMMAR_INPUT = _raw_text("The whole input, as raw text of the grammar.")
