"""A request's `moderation`: the model, and what is to be done with what it flags."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

from antiphon.core.request.validation import decode
from antiphon.types.request import ModelName


class _Mode(msgspec.Struct):
    mode: Literal["score", "block"]


class _Policy(msgspec.Struct):
    input: _Mode | None = None
    output: _Mode | None = None


class AskedModeration(msgspec.Struct):
    """What a request asks for."""

    model: ModelName
    policy: _Policy | None = None

    def blocks(self, side: Literal["input", "output"]) -> bool:
        """Tell whether what is flagged is to be blocked; without a policy it is only told."""
        mode = getattr(self.policy, side, None)
        return mode is not None and mode.mode == "block"


_asked = msgspec.json.Decoder(AskedModeration)


def asked_moderation(moderation: Raw | None) -> AskedModeration | None:
    """Decode the field; None where it is not there. Raises InvalidRequest."""
    return None if moderation is None else decode(_asked, moderation, "moderation")
