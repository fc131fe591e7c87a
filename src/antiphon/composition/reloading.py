"""Other settings while the server runs: what may change, what stays, whether the new ones are good."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set

import msgspec

from antiphon.backends.base import Backend
from antiphon.backends.open import is_renewed, made_of, open_backends
from antiphon.config import Config
from antiphon.config.rules import check
from antiphon.core.token_count import Estimator
from antiphon.net.url_guard import UrlGuard
from antiphon.responses.guards.guards import NO_GUARDS
from antiphon.responses.intake.prompts import Prompts
from antiphon.responses.intake.token_count import TokenCounter
from antiphon.server.auth.credentials import fixed_callers
from antiphon.tools.plugins import tool_kinds

CHANGEABLE = frozenset(
    """
    allowed_hosts cors_origins api_keys admin_keys keys require_key leaks models profiles backends retries prompts url_guard_allow
    mcp_servers mcp_timeout mcp_progress_timeout mcp_max_answer mcp_max_tools
    default_models default_limits owners guards decisions
    """.split()
)

log = logging.getLogger("antiphon.composition")


def changed(old: Config, new: Config) -> Config:
    """Return the settings in effect from now on: the new ones, but for those that need a restart. Raises ConfigError.

    The rules hold for the outcome: without keys a server that listens on other addresses is refused, whatever the new
    file says of `host`.
    """
    fixed = [name for name in differences(old, new) if name not in CHANGEABLE]
    kept = {name: getattr(old, name) for name in fixed}
    config = msgspec.structs.replace(new, **kept)
    check(config)
    if kept:
        log.warning("configuration: these settings change only on restart: %s", ", ".join(sorted(kept)))
    return config


def differences(old: Config, new: Config) -> list[str]:
    """Return the names of the settings that are not the same."""
    return [name for name in Config.__struct_fields__ if getattr(old, name) != getattr(new, name)]


def validate(config: Config) -> None:
    """Refuse settings that a server could not be made of. Raises ConfigError."""
    fixed_callers(config)
    Prompts(config.prompts)
    UrlGuard(config.url_guard_allow)
    tool_kinds(config.mcp_servers)
    TokenCounter(Estimator(), tokenizers(config))
    NO_GUARDS.check(config.guards)
    open_backends(config)


def tokenizers(config: Config) -> dict[str, str]:
    """Return the tokenizers' files by model."""
    return {id: model.tokenizer for id, model in config.models.items()}


def talkative(config: Config, backends: Mapping[str, Backend]) -> Set[str]:
    """Return the backends whose own models are served."""
    return backends.keys() - {name for name, backend in config.backends.items() if not backend.discover}


def reopened(old: Config, new: Config, backends: Mapping[str, Backend]) -> dict[str, Backend]:
    """Return the backends of the new settings: those that are as before, with their connections, the others anew."""
    engines = {name: backend for name, backend in backends.items() if name not in old.backends}
    both = [name for name in new.backends if name in old.backends]
    kept = {
        name: backends[name]
        for name in both
        if made_of(name, old) == made_of(name, new) and not is_renewed(backends[name], new.backends[name])
    }
    return {**open_backends(new, kept), **engines}
