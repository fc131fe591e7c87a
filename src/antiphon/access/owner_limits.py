"""Limits of owners: all keys of an owner together, whatever limits each key has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from antiphon.access.caller import Caller, Limit

EVERYBODY = "*"
"""The entry whose limits hold for each owner without an entry of its own."""


class OwnerLimits:
    """Limits by owner. Those of EVERYBODY are counted for each owner apart."""

    def __init__(self, limits: Mapping[str, Sequence[Limit]]) -> None:
        self._limits = limits

    @property
    def named(self) -> set[str]:
        """The owners that have an entry."""
        return self._limits.keys() - {EVERYBODY}

    def of(self, owner: str) -> tuple[Limit, ...]:
        """Return the limits of an owner, as they are counted."""
        found = self._limits.get(owner, self._limits.get(EVERYBODY, ()))
        return tuple(replace(limit, counted_as=f"owner/{owner}") for limit in found)

    def apply(self, caller: Caller) -> Caller:
        """Return a caller with the limits of its owner beside its own."""
        limits = self.of(caller.owner) if self._limits else ()
        return replace(caller, limits=(*caller.limits, *limits)) if limits else caller


NO_OWNER_LIMITS = OwnerLimits({})
