"""From the settings of a backend to the backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from antiphon.backends.base import Backend
from antiphon.backends.chat import ChatBackend
from antiphon.backends.responses import ResponsesBackend
from antiphon.backends.scripted import ScriptedBackend
from antiphon.config import BackendConfig, ModelConfig
from antiphon.settings.plugins import BACKENDS, load_plugin
from antiphon.settings.reading import quoted

BackendFactory = Callable[[str, BackendConfig, Mapping[str, ModelConfig]], Backend]


def open_backend(
    name: str, config: BackendConfig, models: Mapping[str, ModelConfig] | None = None, *, socket: str = ""
) -> Backend:
    """Return the backend of some settings; `socket` is the path of a unix socket. Nothing is connected yet.

    `models` are all configured models; those that this backend serves keep their policies (roles, think). Raises ConfigError.
    """
    match config.api:
        case "chat":
            return ChatBackend(name, config, _own_names(name, models or {}), socket=socket)
        case "responses":
            return ResponsesBackend(name, config, socket=socket)
        case "scripted":
            return ScriptedBackend(name)
        case kind:
            make: BackendFactory = load_plugin(BACKENDS, kind, f"backends.{quoted(name)}.api")
            return make(name, config, _own_names(name, models or {}))


def _own_names(backend: str, models: Mapping[str, ModelConfig]) -> dict[str, ModelConfig]:
    """Key the models that a backend serves by its own names for them."""
    return {model.name or id: model for id, model in models.items() if not model.backends or backend in model.backends}
