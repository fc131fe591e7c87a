"""ModerationGuard: a model that judges, as `/v1/moderations` asks it: by a route, a classifier, or a rubric."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from antiphon.backends.base import ModelCard
from antiphon.config import GuardConfig
from antiphon.core.guards.base import GuardText, GuardVerdict
from antiphon.responses.moderation.base import ContentVerdict, ModeratedInput, Moderator
from antiphon.types.response import Usage

FindModerator = Callable[[str], Moderator]
"""Finds the Moderator of a model id. Raises InvalidRequest."""

TellModeration = Callable[[ModelCard, Usage], None]
"""Takes note of the tokens that a model has judged with."""

CHARACTERS_PER_TOKEN = 4  # about, where a backend tells no usage


class ModerationGuard:
    """Asks the model that the settings, or a request, name."""

    def __init__(self, config: GuardConfig, find: FindModerator, tell: TellModeration) -> None:
        self._config = config
        self._find = find
        self._tell = tell

    async def check(self, texts: Sequence[GuardText]) -> Sequence[GuardVerdict]:
        """Return the model's verdicts. Raises APIError."""
        moderator = self._find(self._config.model)
        judged = await moderator.moderate([ModeratedInput(text.text) for text in texts])
        size = sum(len(text.text) for text in texts)
        self._tell(moderator.card, judged.usage or Usage(input_tokens=size // CHARACTERS_PER_TOKEN))
        return [self._verdict(one) for one in judged.verdicts]

    def _verdict(self, one: ContentVerdict) -> GuardVerdict:
        """Return a verdict by the guard's own threshold and categories, where it has some."""
        config, flags = self._config, dict(one.categories)
        if config.threshold is not None:
            flags = {name: score >= config.threshold for name, score in one.scores.items()}
        if config.categories:
            flags = {name: flag and name in config.categories for name, flag in flags.items()}
        own = config.threshold is not None or bool(config.categories)
        return GuardVerdict(
            flagged=any(flags.values()) or (one.flagged and not own),
            scores=one.scores,
            flags=flags,
            model=config.model,
        )

    async def close(self) -> None:
        """Hold nothing."""
