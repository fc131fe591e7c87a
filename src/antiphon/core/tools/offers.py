"""What a model is offered, and what stands behind it. Nothing in it is tied to a wire format."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from antiphon.core.deltas import CallKind


class Target(msgspec.Struct, frozen=True):
    """What a function that the model is offered stands for. `namespace` is the server's label where a server has the tool."""

    kind: CallKind
    name: str
    namespace: str | None = None


class Suggestion(msgspec.Struct, frozen=True):
    """How a tool of a fixed kind is described to a model; `parameters` is a JSON Schema."""

    description: str
    parameters: Raw
