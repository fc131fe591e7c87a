"""The embedded engine, of its settings: which models it has, and the memory that they share."""

from __future__ import annotations

import logging
from functools import partial

from msgspec.structs import replace

from antiphon.backends.base import Backend
from antiphon.backends.llama.backend import LlamaCppBackend
from antiphon.backends.llama.further_models import FurtherModels
from antiphon.backends.llama.gpus import Gpus
from antiphon.backends.llama.hub.progress import size
from antiphon.backends.llama.local_models import LocalModels
from antiphon.backends.llama.memory import memory_bound
from antiphon.backends.llama.model import EngineModel, find_model
from antiphon.backends.llama.runner import Make
from antiphon.backends.llama.scheduler import Scheduler
from antiphon.config import EngineConfig
from antiphon.config.rules import EMBEDDING_ENGINE, ENGINE
from antiphon.errors import ConfigError

log = logging.getLogger("antiphon.composition")

SEARCH_ENGINE = "embeddings"


def open_engine(config: EngineConfig) -> dict[str, Backend]:
    """Return the backends of the engine's models; they share its memory. Blocks for downloads. Raises ConfigError."""
    main = find_model(config)
    scheduler = Scheduler(config, memory_bound(config.memory), gpus=Gpus(config.gpu_layers))
    _check_memory(config, main, scheduler.total)
    further = FurtherModels(config, main)
    backends: dict[str, Backend] = {ENGINE: LocalModels(ENGINE, main, scheduler, _make(config, ENGINE), further)}
    if config.embeddings:
        own = replace(config, model=config.embeddings, mmproj="", context=0)
        model = find_model(own, embeds=True)
        backends[EMBEDDING_ENGINE] = LocalModels(
            EMBEDDING_ENGINE, model, scheduler, _make(own, EMBEDDING_ENGINE), first=False
        )
    return backends


def open_embedder(config: EngineConfig, name: str, engine: Backend | None) -> tuple[LocalModels, str]:
    """Return the engine of a model of embeddings that search asks, and its id; `engine` is the one whose memory it shares."""
    own = replace(config, model=name, mmproj="", context=0)
    model = find_model(own, embeds=True)
    scheduler = engine.scheduler if isinstance(engine, LocalModels) else Scheduler(own, memory_bound(own.memory))
    return LocalModels(SEARCH_ENGINE, model, scheduler, _make(own, SEARCH_ENGINE), first=False), model.card.id


def _make(config: EngineConfig, name: str) -> Make:
    return partial(LlamaCppBackend, config, name=name)


def _check_memory(config: EngineConfig, main: EngineModel, total: int) -> None:
    """Refuse a model that is larger than the setting allows; warn of one that is larger than the machine."""
    if main.memory <= total:
        return
    slots = f"a context of {main.context} tokens for each of {config.parallel} requests"
    what = f"{main.path} needs about {size(main.memory)} of memory with {slots}"
    if config.memory:
        raise ConfigError(f"engine.memory: {what}; {size(total)} are allowed. Lower engine.context or engine.parallel.")
    log.warning("embedded engine: %s, more than the %s that models may take on this machine", what, size(total))
