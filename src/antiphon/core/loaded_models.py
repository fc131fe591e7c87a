"""LoadedModels: what the embedded engine has in memory, as an operator sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

LOADED, LOADING, NOT_LOADED = "loaded", "loading", "not_loaded"
"""States of a model that is loaded and unloaded, as clients see them."""


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
    """The body of `/admin/engine`: the models, the most recently used first, and the memory that they may take and take.

    `gpu_total`, `gpu_free`: memory of the GPUs that llama.cpp uses, as last looked at; 0 where there is none.
    """

    object: str = "list"
    data: Sequence[LoadedModel] = ()
    memory_total: int = 0
    memory_taken: int = 0
    gpu_total: int = 0
    gpu_free: int = 0


class StoppedModel(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `POST /admin/engine/stop`. `state` is `not_loaded`, or `loaded` while calls in progress hold the model."""

    id: str
    object: str = "engine.model"
    state: str


def state_among(holders: Sequence[tuple[HoldsModels, str]]) -> str | None:
    """Return the state of a model at the backends that load and unload it: the best of them; None where there are none."""
    states = {backend.state_of(name) for backend, name in holders}
    return next((state for state in (LOADED, LOADING, NOT_LOADED) if state in states), None)


@runtime_checkable
class HoldsModels(Protocol):
    """A Backend that loads and unloads models."""

    def loaded_models(self) -> LoadedModels:
        """Tell which models it has in memory."""
        ...

    def state_of(self, model: str) -> str | None:
        """Tell whether a model of it is `loaded`, `loading` or `not_loaded`; None where there is no such model."""
        ...

    def stop_model(self, model: str) -> str:
        """Unload a model once no call holds it; return its state now."""
        ...
