"""LoadedModels: what the embedded engine has in memory, as an operator sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is loaded. `size` is the memory that is set aside for it, `weights` the size of its files, in bytes.

    `state`: "loading", "loaded"; `running`: calls that it answers. `expires_at`: when it is unloaded unless it is called again
    (Unix time); null while it answers, and for models that time does not unload (`pinned`).
    """

    id: str
    state: str
    size: int
    weights: int
    context_length: int
    parallel: int
    running: int
    expires_at: float | None
    pinned: bool


class LoadedModels(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/admin/engine`: the models, the most recently used first, and the memory that they may take and take."""

    object: str = "list"
    data: Sequence[LoadedModel] = ()
    memory_total: int = 0
    memory_taken: int = 0


@runtime_checkable
class HoldsModels(Protocol):
    """A Backend that loads and unloads models."""

    def loaded_models(self) -> LoadedModels:
        """Tell which models it has in memory."""
        ...
