"""`/admin/engine`: the models that the embedded engine has loaded; a model is stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.access.audit import AuditLog
from antiphon.core.loaded_models import HoldsModels, LoadedModels, StoppedModel
from antiphon.core.request.validation import decode
from antiphon.errors import NotFound
from antiphon.server.api.operator.auditing import PRIVATE, actor_of
from antiphon.server.http.messages import Reply, Request, json_reply

LONGEST_NAME = 1000


class StopModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /admin/engine/stop`."""

    model: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]


_stop = msgspec.json.Decoder(StopModel)


class EngineRoutes:
    """The handlers; `loaded` tells what is loaded now, `holders` who loads and unloads a model."""

    def __init__(
        self,
        loaded: Callable[[], LoadedModels],
        holders: Callable[[str], Sequence[tuple[HoldsModels, str]]],
        audit: AuditLog,
    ) -> None:
        self._loaded = loaded
        self._holders = holders
        self._audit = audit

    async def report(self, request: Request) -> Reply:
        """GET /admin/engine."""
        return json_reply(self._loaded())

    async def stop(self, request: Request) -> Reply:
        """POST /admin/engine/stop: a model is unloaded, once the calls that hold it have ended."""
        model = decode(_stop, await request.body()).model
        for backend, name in self._holders(model):
            if backend.state_of(name) is not None:
                await self._audit.record("model.stopped", actor_of(request), model, {})
                return json_reply(StoppedModel(id=model, state=backend.stop_model(name)), headers=PRIVATE)
        raise NotFound(
            f"The model '{model}' is none that this server loads and unloads.", param="model", code="model_not_found"
        )
