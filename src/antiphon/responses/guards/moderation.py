"""ModerationGuard: a moderation model that a backend serves at `/moderations`."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.config import GuardConfig
from antiphon.core.guards.base import GuardText, GuardVerdict
from antiphon.core.guards.moderation import moderation_body, moderation_verdicts
from antiphon.responses.guards.base import PostModeration


class ModerationGuard:
    """Asks the model that the settings name."""

    def __init__(self, config: GuardConfig, post: PostModeration) -> None:
        self._config = config
        self._backend, _, self.model = config.model.partition("/")
        self._post = post

    async def check(self, texts: Sequence[GuardText]) -> Sequence[GuardVerdict]:
        """Return the model's verdicts. Raises BackendError."""
        answer = await self._post(self._backend, moderation_body(self.model, [text.text for text in texts]))
        return moderation_verdicts(answer, len(texts), self._config.threshold, self._config.categories)

    async def close(self) -> None:
        """Hold nothing."""
