"""What engines cannot do, as data: the words by which a run knows the limit, and its reason for docs/backends.md.

A run fails where a feature is wrong in other words, and where a limit is no longer met.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """A limit of engines. `apis`: the APIs through which it is met; none: all. `modes`: the modes; none: all.

    `told`: words in what the client is told, or in what was seen.
    """

    engines: Sequence[str]
    features: Sequence[str]
    told: str
    reason: str
    apis: Sequence[str] = ()
    modes: Sequence[str] = ()

    def covers(self, engine: str, api: str, feature: str, mode: str) -> bool:
        """Tell whether it is about this feature of an engine."""
        return (
            engine in self.engines
            and feature in self.features
            and api in (self.apis or (api,))
            and mode in (self.modes or (mode,))
        )


LIMITS: Sequence[Limit] = ()


def limit_of(engine: str, api: str, feature: str, mode: str) -> Limit | None:
    """Return the limit that covers a feature in a mode."""
    return next((limit for limit in LIMITS if limit.covers(engine, api, feature, mode)), None)
