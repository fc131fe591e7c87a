"""From the settings of a backend to the backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

from antiphon.backends.base import Backend
from antiphon.backends.chat.backend import ChatBackend, codec_options
from antiphon.backends.chat.leak_families import configured_families
from antiphon.backends.chat.profiles import NO_PROFILES, Profiles, configured_profiles
from antiphon.config import BackendConfig, Config, ModelConfig
from antiphon.config.apis import api_of
from antiphon.config.plugins import BACKENDS, load_plugin
from antiphon.config.reading import quoted
from antiphon.core.text.leaks import NO_FAMILIES, Families
from antiphon.net.tls import stamps

BackendFactory = Callable[[str, BackendConfig, Mapping[str, ModelConfig]], Backend]
NONE_KEPT: Mapping[str, Backend] = {}


def open_backends(config: Config, kept: Mapping[str, Backend] = NONE_KEPT) -> dict[str, Backend]:
    """Return the configured backends, in order; those of `kept` are taken as they are. Raises ConfigError."""
    known, families = configured_profiles(config.profiles), configured_families(config.leaks)
    learn = config.unsupported_parameters == "adapt"
    return {
        name: kept[name]
        if name in kept
        else open_backend(name, backend, config.models, known=known, families=families, learn=learn)
        for name, backend in config.backends.items()
    }


def open_backend(
    name: str,
    config: BackendConfig,
    models: Mapping[str, ModelConfig] | None = None,
    *,
    socket: str = "",
    known: Profiles = NO_PROFILES,
    families: Families = NO_FAMILIES,
    learn: bool = True,
) -> Backend:
    """Return the backend of some settings; `socket` is the path of a unix socket. Nothing is connected yet.

    `models` are all configured models; those that this backend serves keep their policies (roles, think). `known` are the
    configured profiles, `families` the configured families of leaked calls. `learn`: see `ChatBackend`. Raises ConfigError.
    """
    own = _own_names(name, models or {})
    match config.api:
        case "chat":
            backend: Backend = ChatBackend(
                name, config, own, socket=socket, known=known, families=families, learn=learn
            )
        case "responses":
            from antiphon.backends.responses.backend import ResponsesBackend

            backend = ResponsesBackend(name, config, own, socket=socket, learn=learn)
        case "anthropic":
            from antiphon.backends.anthropic.backend import AnthropicBackend

            backend = AnthropicBackend(name, config, own, socket=socket, learn=learn)
        case "scripted":
            from antiphon.backends.scripted import ScriptedBackend

            return ScriptedBackend(name)
        case kind:
            make: BackendFactory = load_plugin(BACKENDS, kind, f"backends.{quoted(name)}.api")
            return make(name, config, own)
    _opened_with[backend] = _certificates(config)
    return backend


def is_renewed(backend: Backend, config: BackendConfig) -> bool:
    """Tell whether the files of its certificates are others than when it was opened."""
    return api_of(config.api).http and _opened_with.get(backend, ()) != _certificates(config)


def _certificates(config: BackendConfig) -> object:
    return stamps(config.ca, config.client_cert, config.client_key)


_opened_with: WeakKeyDictionary[Backend, object] = WeakKeyDictionary()


def made_of(name: str, config: Config) -> object:
    """Return all that `open_backend` makes a backend of, so that two configurations can be compared. Raises ConfigError."""
    backend = config.backends[name]
    own = _own_names(name, config.models)
    match backend.api:
        case "chat":
            known, families = configured_profiles(config.profiles), configured_families(config.leaks)
            return backend, codec_options(name, backend, own, known, families)
        case "anthropic":
            from antiphon.backends.anthropic.backend import messages_options

            return backend, {model: messages_options(backend, one) for model, one in own.items()}
        case "responses":
            from antiphon.backends.responses.backend import stream_policies

            return backend, stream_policies(own)
        case "scripted":
            return backend
        case _:
            return backend, own


def _own_names(backend: str, models: Mapping[str, ModelConfig]) -> dict[str, ModelConfig]:
    """Key the models that a backend serves by its own names for them."""
    return {model.name or id: model for id, model in models.items() if not model.backends or backend in model.backends}
