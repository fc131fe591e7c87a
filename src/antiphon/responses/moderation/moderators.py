"""Moderators: model ids → Moderator, by the settings of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from antiphon.access.caller import Caller, resolve
from antiphon.backends.base import Route, Router
from antiphon.config import ModelConfig
from antiphon.config.tables import ModerationConfig
from antiphon.core.model_types import MODERATION
from antiphon.core.request.validation import missing
from antiphon.responses.moderation.base import Moderator
from antiphon.responses.moderation.relayed import RouteModerator
from antiphon.responses.moderation.rubric import RubricModerator

USUAL = ModerationConfig()


class Moderators:
    """Finds Moderators. `models` are the configured models of the moment, `defaults` models by type."""

    def __init__(
        self,
        router: Router,
        models: Callable[[], Mapping[str, ModelConfig]],
        defaults: Callable[[], Mapping[str, str]],
    ) -> None:
        self._router = router
        self._models = models
        self._defaults = defaults

    def of(self, model: str | None, caller: Caller) -> Moderator:
        """Return the moderator of a model that the caller may call. Raises what `resolve` does; InvalidRequest for none."""
        return self._made(resolve(self._router, model or self._default(caller), caller))

    def operators(self, model: str) -> Moderator:
        """Return the moderator of a model that the operator's settings name, whoever asks. Raises what `Router.resolve` does."""
        return self._made(self._router.resolve(model))

    def _made(self, route: Route) -> Moderator:
        config = self._models().get(route.card.id)
        settings = (config.moderation if config is not None else None) or USUAL
        if settings.by == "rubric":
            return RubricModerator(route, settings)
        return RouteModerator(route, settings, classifies=settings.by == "classifier")

    def _default(self, caller: Caller) -> str:
        """Return the model of requests that name none: as set, or the only one for moderation."""
        if default := self._defaults().get(MODERATION):
            return default
        fitting = [card.id for card in self._router.cards() if card.type == MODERATION and caller.may_call(card)]
        if len(fitting) != 1:
            raise missing("model")
        return fitting[0]
