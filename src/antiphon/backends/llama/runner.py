"""Runner: a model that may be loaded, with its engine process while it is."""

from __future__ import annotations

from asyncio import TimerHandle
from collections.abc import Callable
from enum import Enum

from antiphon.backends.llama.backend import LlamaCppBackend
from antiphon.backends.llama.model import EngineModel
from antiphon.core.loaded_models import LOADED, LOADING, NOT_LOADED

Make = Callable[[EngineModel], LlamaCppBackend]


class RunnerState(Enum):
    """What a Runner does at the moment, as clients see it."""

    UNLOADED = NOT_LOADED
    LOADING = LOADING
    LOADED = LOADED


class Runner:
    """One model of the embedded engine. The Scheduler loads and unloads it; nobody else changes it.

    `pinned`: time does not unload it, only another model that needs its memory does. `stops`: it is unloaded when no call
    holds it any more, unless another call comes.
    """

    def __init__(self, model: EngineModel, make: Make, *, pinned: bool = False) -> None:
        self.model = model
        self.make = make
        self.pinned = pinned
        self.backend: LlamaCppBackend | None = None
        self.has_loaded = False
        self.stops = False
        self.uses = 0
        self.used_at = 0.0
        self.expires_at: float | None = None
        self.timer: TimerHandle | None = None

    @property
    def id(self) -> str:
        return self.model.card.id

    @property
    def state(self) -> RunnerState:
        if self.backend is None:
            return RunnerState.UNLOADED
        return RunnerState.LOADED if self.backend.healthy else RunnerState.LOADING
