"""BACKEND_APIS: the one table of APIs that backends speak; other packages add further kinds."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class BackendApi(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings must know of an API. `words`: what it is called in the setting's description."""

    words: str
    http: bool = True
    """Its servers are reached over HTTP."""
    chat: bool = False
    """Its servers are asked for chat completions; elsewhere these are translated."""


BACKEND_APIS: Mapping[str, BackendApi] = {
    "chat": BackendApi(words="`chat` completions", chat=True),
    "responses": BackendApi(words="`responses`"),
    "anthropic": BackendApi(words="`anthropic` (Messages)"),
    "scripted": BackendApi(words="`scripted` (built in, without a model)", http=False),
}

OF_PACKAGES = BackendApi(words="", http=False, chat=True)
"""What is assumed of an API that another package adds."""


def api_of(name: str) -> BackendApi:
    """Return what is known of the API of a backend."""
    return BACKEND_APIS.get(name, OF_PACKAGES)
