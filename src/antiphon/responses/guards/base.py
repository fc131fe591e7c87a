"""The seam of guards that take time: Guard; and a guard as the settings name it."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Protocol

import msgspec

from antiphon.config import GuardConfig
from antiphon.core.guards.base import GuardText, GuardVerdict, Place
from antiphon.core.guards.patterns import Patterns

MOST_TEXTS = 32
"""Texts of one call of a Guard."""
LONGEST_TEXT = 8192
"""Characters of such a text; longer ones come in pieces that overlap."""
OVERLAP = 512


class Guard(Protocol):
    """Judges texts: a moderation model, or what another package adds (`antiphon.guards`)."""

    async def check(self, texts: Sequence[GuardText]) -> Sequence[GuardVerdict]:
        """Return a verdict for each text: at most MOST_TEXTS of LONGEST_TEXT characters. What it raises is its failure."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


CountLook = Callable[[str, str, str, float], None]
"""Takes note of a look: the guard, the place, the outcome (`passed`, `flagged`, `blocked`, `failed`), its seconds."""


class NamedGuard(msgspec.Struct, frozen=True, eq=False):
    """A guard of the settings: either Patterns or a Guard."""

    name: str
    config: GuardConfig
    patterns: Patterns | None = None
    guard: Guard | None = None

    @property
    def places(self) -> Set[Place]:
        """Where it looks."""
        return frozenset(self.config.looks_at)


class AppliedGuard(msgspec.Struct, frozen=True, eq=False):
    """A guard as it applies to one response."""

    named: NamedGuard
    blocks_input: bool
    blocks_output: bool

    def blocks(self, place: Place, *, request: bool) -> bool:
        """Tell whether it blocks what is flagged there."""
        return self.blocks_input if request else self.blocks_output
