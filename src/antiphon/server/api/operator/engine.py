"""`/admin/engine`: the models that the embedded engine has loaded."""

from __future__ import annotations

from collections.abc import Callable

from antiphon.core.loaded_models import LoadedModels
from antiphon.server.http.messages import Reply, Request, json_reply


class EngineRoutes:
    """The handlers; `loaded` tells what is loaded now."""

    def __init__(self, loaded: Callable[[], LoadedModels]) -> None:
        self._loaded = loaded

    async def report(self, request: Request) -> Reply:
        """GET /admin/engine."""
        return json_reply(self._loaded())
