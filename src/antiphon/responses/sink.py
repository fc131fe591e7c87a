"""Sink: where the Events of a Response go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.types.events import Event


class Sink(Protocol):
    """Takes Events as they come up."""

    def send(self, events: Sequence[Event]) -> bool:
        """Take Events, in order, without waiting. Returns False where `drain` should come before more of them."""
        ...

    async def drain(self) -> None:
        """Return once there is room for more."""
        ...
