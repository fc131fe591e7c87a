"""Backends that do as they are told, in a registry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from antiphon.backends.base import Backend, BackendModel
from antiphon.backends.routing.registry import Registry
from antiphon.backends.scripted import ScriptedBackend, ScriptedStream
from antiphon.config import ModelConfig
from antiphon.core.turn import Turn
from antiphon.errors import BackendError


class Puppet(ScriptedBackend):
    """A scripted backend that can be down, or refuse, and that notes the Turns it gets and the streams it gives."""

    def __init__(self, name: str, *models: str) -> None:
        super().__init__(name, models)
        self.down = False
        self.refusal: BackendError | None = None
        self.turns: list[Turn] = []
        self.asked = 0
        self.closed = False

    async def open(self, turn: Turn) -> ScriptedStream:
        self.turns.append(turn)
        if self.down:
            raise unreachable()
        if self.refusal is not None:
            raise self.refusal
        return await super().open(turn)

    async def models(self) -> Sequence[BackendModel]:
        self.asked += 1
        if self.down:
            raise unreachable()
        return await super().models()

    async def close(self) -> None:
        self.closed = True


def unreachable() -> BackendError:
    return BackendError(503, "The backend cannot be reached.", code="backend_unavailable", retriable=True)


@asynccontextmanager
async def started(models: dict[str, ModelConfig], *backends: Puppet) -> AsyncIterator[Registry]:
    known: dict[str, Backend] = {backend.name: backend for backend in backends}
    registry = Registry(models, known)
    await registry.start()
    try:
        yield registry
    finally:
        await registry.close()
        assert all(backend.closed for backend in backends)
        assert all(health.outstanding == 0 for health in registry.health())


def ids(registry: Registry) -> list[str]:
    return [card.id for card in registry.cards()]
