"""Backends and their registry, of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from antiphon.backends.base import Backend
from antiphon.backends.open import open_backends
from antiphon.backends.routing.registry import Registry
from antiphon.composition.reloading import talkative
from antiphon.config import Config


@runtime_checkable
class Loadable(Protocol):
    """A backend that has a model to load first."""

    def start(self) -> None:
        """Begin to load."""
        ...

    async def ready(self) -> None:
        """Return when it is loaded. Raises ConfigError."""
        ...


def make_backends(config: Config) -> dict[str, Backend]:
    """Make the configured backends and, where it is wanted, the embedded engine. Raises ConfigError."""
    backends = open_backends(config)
    if config.engine is not None:
        from antiphon.composition.engine import open_engine

        backends |= open_engine(config.engine)
    return backends


def make_registry(config: Config, backends: Mapping[str, Backend]) -> Registry:
    """Return the registry of the configured models and of those that the backends list. Raises ConfigError."""
    return Registry(
        config.models,
        backends,
        discover=talkative(config, backends),
        settings=config.backends,
        retries=config.retries,
    )
