"""FurtherModels: the models of the setting `engine.models`, and those that are on this machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from antiphon.backends.llama.hub.local_model import LocalModel
from antiphon.backends.llama.hub.models import HubModel, local_models
from antiphon.backends.llama.model import EngineModel, describe, find_model
from antiphon.config import EngineConfig
from antiphon.config.sections.engine import ALL_MODELS
from antiphon.errors import ConfigError

log = logging.getLogger("antiphon.backends.llama")

MOST = 1000
"""Models of this machine that are served."""

_Stamp = tuple[Path, Path | None, int, float]


class FurtherModels:
    """Finds models; called from one thread at a time. Named ones are found at once, downloaded if need be. Raises ConfigError."""

    def __init__(self, config: EngineConfig, main: EngineModel) -> None:
        self._config = config
        self._main = main
        self._all = ALL_MODELS in config.models or not (config.models or config.model)
        self._named = [
            find_model(replace(config, model=name, mmproj="")) for name in config.models if name != ALL_MODELS
        ]
        self._known: dict[_Stamp, EngineModel | None] = {}

    def __call__(self) -> Sequence[EngineModel]:
        """Return the models that are there now, each with an id of its own. Blocks."""
        found = list(self._named)
        if self._all:
            local = local_models(Path(self._config.cache).expanduser())[:MOST]
            newest = sorted(local, key=lambda model: -model.modified)
            known = {_stamp(model): model for model in newest}
            self._known = {
                stamp: self._known[stamp] if stamp in self._known else _described(self._config, model)
                for stamp, model in known.items()
            }
            found += [model for model in self._known.values() if model is not None]
        return _distinct(found, {self._main.card.id}, {self._main.path})


def _described(config: EngineConfig, model: LocalModel) -> EngineModel | None:
    try:
        return describe(config, HubModel(path=model.path, mmproj=model.mmproj), model.name)
    except ConfigError as error:
        log.warning("embedded engine: a local model is not served: %s", error)
        return None


def _stamp(model: LocalModel) -> _Stamp:
    return model.path, model.mmproj, model.size, model.modified


def _distinct(models: Sequence[EngineModel], ids: set[str], paths: set[Path]) -> list[EngineModel]:
    """Leave out files that are there already; a name that is taken gets the file's, then a number."""
    distinct: list[EngineModel] = []
    for model in models:
        if model.path in paths:
            continue
        paths.add(model.path)
        id, number = model.card.id, 1
        if id in ids:
            id = model.path.stem
        while id in ids:
            number += 1
            id = f"{model.path.stem}-{number}"
        ids.add(id)
        distinct.append(replace(model, card=replace(model.card, id=id)))
    return distinct
