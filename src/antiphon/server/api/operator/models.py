"""`/admin/models`: backends and models with their state; `/admin/reload`: the settings are read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from antiphon.access.audit import AuditLog
from antiphon.access.caller import ADMIN
from antiphon.backends.base import BackendHealth, ServedModel
from antiphon.config import Config
from antiphon.errors import APIError, ConfigError
from antiphon.server.api.operator.auditing import PRIVATE, actor_of
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.server.http.router import RouteTable

Reload = Callable[[], bool]
"""Reads the settings again and uses them. Returns True where that is done, False where another process will do it.

Raises ConfigError, and then nothing has changed.
"""


class ModelRoutes:
    """The handlers."""

    def __init__(
        self,
        config: Callable[[], Config],
        health: Callable[[], Sequence[BackendHealth]],
        served: Callable[[], Sequence[ServedModel]],
        audit: AuditLog,
        reload: Callable[[], Reload | None],
    ) -> None:
        """`reload` is asked when it is wanted: None where the program that serves the application has no settings to read."""
        self._config = config
        self._health = health
        self._served = served
        self._audit = audit
        self._reload = reload

    async def list(self, request: Request) -> Reply:
        """GET /admin/models."""
        config = self._config()
        backends = [_backend(one, config) for one in self._health()]
        models = [_model(one, config) for one in self._served()]
        return json_reply({"object": "list", "backends": backends, "data": models}, headers=PRIVATE)

    async def reload(self, request: Request) -> Reply:
        """POST /admin/reload: 200 when the settings are in effect, 202 when the workers are told, 400 where they are wrong."""
        reload = self._reload()
        if reload is None:
            raise APIError(501, "This server reads no settings: it is part of another program.", code="reload_off")
        await self._audit.record("configuration.reloaded", actor_of(request), "configuration", {})
        try:
            done = reload()
        except ConfigError as error:
            raise APIError(400, f"The settings are not used: {error}", code="invalid_configuration") from None
        body = {"object": "configuration.reload", "status": "reloaded" if done else "requested"}
        return json_reply(body, 200 if done else 202, headers=PRIVATE)


def _backend(health: BackendHealth, config: Config) -> dict[str, Any]:
    settings = config.backends.get(health.name)
    return {
        "object": "backend",
        **msgspec.structs.asdict(health),
        "api": settings.api if settings is not None else "engine",
        "profile": settings.profile if settings is not None else "",
        "address": _address(settings.url) if settings is not None else "",
        "max_concurrent": settings.max_concurrent if settings is not None else 0,
    }


def _address(url: str) -> str:
    """Return where a backend is, without a path, a query or a user: there may be secrets in them."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else f"{parts.scheme}:"
    except ValueError:
        return ""


def _model(served: ServedModel, config: Config) -> dict[str, Any]:
    card, settings = served.card, config.models.get(served.card.id)
    return {
        "id": card.id,
        "object": "model",
        "type": card.type,
        "context_length": card.context_length,
        "aliases": list(card.aliases),
        "configured": settings is not None,
        "fallbacks": list(settings.fallbacks) if settings is not None else [],
        "prices": {
            "input": settings.price_input if settings is not None else 0.0,
            "cached": settings.price_cached if settings is not None else None,
            "output": settings.price_output if settings is not None else 0.0,
        },
        "endpoints": [{"backend": backend, "name": name} for backend, name in served.endpoints],
        "capabilities": msgspec.structs.asdict(card.capabilities),
    }


def add_models(router: RouteTable, routes: ModelRoutes) -> None:
    """Register `/admin/models` and `/admin/reload`."""
    operator = frozenset((ADMIN,))
    router.add("GET", "/admin/models", routes.list, scopes=operator)
    router.add("POST", "/admin/reload", routes.reload, scopes=operator)
