"""Which thoughts go back to which server: a signature is read by the model that made it, wherever that is served."""

from __future__ import annotations

import re

from antiphon.backends.chat.opaque.fields import Origin
from antiphon.core.opaque import Opaque

KIND = "anthropic"
BLOCKS = "content"
"""The message field of an Opaque in which blocks of thoughts stand, as they came."""

_PREFIX = re.compile(r"(?:[a-z]{2,6}\.)?anthropic[./]")
_DATE = re.compile(r"(?:[-@]\d{8}(?:-v\d{1,2}(?::\d{1,2})?)?|-latest)\Z")


def family(model: str) -> str:
    """Return a model's name without what clouds put around it, and without its date."""
    return _DATE.sub("", _PREFIX.sub("", model.removesuffix("[1m]"), count=1))


class MessagesOrigin(Origin, frozen=True):
    """Who makes the answers of a model; `model` is its family."""

    def reads(self, opaque: Opaque) -> bool:
        """Tell whether blocks of thoughts are for this one."""
        return opaque.kind == KIND and opaque.model == self.model


def origin_of(address: str, model: str) -> MessagesOrigin:
    """Return who makes the answers of a model at an address."""
    return MessagesOrigin(KIND, address, family(model))
