"""Guards: those of the settings, and which of them apply to a response."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec import Raw
from msgspec.structs import replace

from antiphon.access.caller import Caller, fits
from antiphon.backends.base import ModelCard
from antiphon.config import GuardConfig
from antiphon.config.plugins import GUARDS, load_plugin
from antiphon.config.reading import quoted
from antiphon.config.sections.guards import MODERATION, PATTERNS
from antiphon.core.guards.asked import AskedModeration, asked_moderation
from antiphon.core.guards.patterns import Patterns
from antiphon.core.model_types import MODERATION as MODELS_TYPE
from antiphon.errors import APIError, ConfigError, InvalidRequest, spelled
from antiphon.responses.guards.base import AppliedGuard, CountLook, NamedGuard
from antiphon.responses.guards.judging import Judge
from antiphon.responses.guards.moderation import FindModerator, ModerationGuard, TellModeration
from antiphon.responses.guards.response_guard import ResponseGuard
from antiphon.responses.guards.stream import GuardedRoute
from antiphon.responses.moderation.base import Moderator
from antiphon.types.items import Item

if TYPE_CHECKING:
    from antiphon.responses.plan import Plan


log = logging.getLogger("antiphon.responses.guards")


class Guards:
    """The guards of the settings, made once. Raises ConfigError."""

    def __init__(
        self,
        configured: Mapping[str, GuardConfig],
        find: FindModerator,
        count: CountLook,
        tell: TellModeration = lambda card, usage: None,
    ) -> None:
        """`tell` is told of the tokens that models have judged with."""
        self._find = find
        self._tell = tell
        self._count = count
        self._named: Mapping[str, NamedGuard] = {}
        self._judges: dict[str, Judge] = {}
        self._by_model: dict[str, NamedGuard] = {}
        self._before: list[NamedGuard] = []
        self.replace(configured)

    def replace(self, configured: Mapping[str, GuardConfig]) -> None:
        """Take other settings. Raises ConfigError."""
        named = {name: self._made(name, config) for name, config in configured.items()}
        self._by_model.clear()
        self._before += [one for name, one in self._named.items() if named.get(name) is not one]
        self._named, self._judges = named, {name: Judge(one) for name, one in named.items() if one.guard is not None}

    def _made(self, name: str, config: GuardConfig) -> NamedGuard:
        before = self._named.get(name)
        if before is not None and before.config == config:
            return before
        path = f"guards.{quoted(name)}"
        if config.kind == PATTERNS:
            return NamedGuard(name, config, patterns=Patterns(config.words, config.patterns, path))
        if config.kind == MODERATION:
            return NamedGuard(name, config, guard=ModerationGuard(config, self._find, self._tell))
        made = load_plugin(GUARDS, config.kind, f"{path}.kind")
        try:
            return NamedGuard(name, config, guard=made(name, config))
        except Exception as error:
            raise ConfigError(f"{path}: '{config.kind}' cannot be made: {error}") from error

    def check(self, configured: Mapping[str, GuardConfig]) -> None:
        """Refuse settings of which no guards can be made. Raises ConfigError."""
        for name, config in configured.items():
            path = f"guards.{quoted(name)}"
            if config.kind == PATTERNS:
                Patterns(config.words, config.patterns, path)
            elif config.kind != MODERATION:
                load_plugin(GUARDS, config.kind, f"{path}.kind")

    async def close(self) -> None:
        """Let go of all of them, those of earlier settings too: responses may have used them until now."""
        for one in (*self._named.values(), *self._before):
            if one.guard is not None:
                try:
                    await one.guard.close()
                except Exception:
                    log.exception("guard %s: closing failed", one.name)

    def apply(self, card: ModelCard, owner: str) -> bool:
        """Tell whether a guard applies to requests for a model, whatever they ask for."""
        return any(self._applies(one, card, owner) for one in self._named.values())

    def concern(self, moderation: Raw | None) -> bool:
        """Tell whether a request with this `moderation` may have guards at all."""
        return bool(self._named) or moderation is not None

    async def guarded(
        self, planned: Awaitable[Plan], caller: Caller | None = None, spell: Callable[[str], str] | None = None
    ) -> Plan:
        """Return a Plan with its guards, once they have looked at the request. `spell`: see Asked. Raises APIError.

        Without a `caller` the request was admitted before.
        """
        plan = await planned
        try:
            guard = self._of(plan, caller)
            if guard is None:
                return plan
            await guard.check_input(plan.turn)
        except APIError as error:
            raise spelled(error, spell) from None
        return replace(plan, route=GuardedRoute(plan.route, guard), guard=guard)

    async def look_at(self, plan: Plan, more: Sequence[Item]) -> None:
        """Look at a request whose answer has no text of its own, with `more` of what its model sees. Raises APIError."""
        guard = self._of(plan, None)
        if guard is not None:
            await guard.check_input(replace(plan.turn, items=[*plan.turn.items, *more]))

    def _of(self, plan: Plan, caller: Caller | None) -> ResponseGuard | None:
        asked = asked_moderation(plan.request.moderation)
        by_request = self._meant(asked, caller) if asked is not None else None
        applied: list[AppliedGuard] = []
        others: list[NamedGuard] = []
        if by_request is not None and by_request.name not in self._named:
            others.append(by_request)
        for one in (*self._named.values(), *others):
            always = self._applies(one, plan.route.card, plan.owner)
            if one is by_request and asked is not None:
                blocks = always and one.config.mode == "block"
                applied.append(AppliedGuard(one, blocks or asked.blocks("input"), blocks or asked.blocks("output")))
            elif always:
                blocks = one.config.mode == "block"
                applied.append(AppliedGuard(one, blocks, blocks))
        if not applied and asked is None:
            return None
        guard = ResponseGuard(
            plan.response, applied, self._judges, self._count, asked.model if asked is not None else ""
        )
        if asked is not None and by_request is None:
            guard.fail(_unknown(asked.model))
        return guard

    def _applies(self, one: NamedGuard, card: ModelCard, owner: str) -> bool:
        config = one.config
        return (
            config.applies == "always"
            and (not config.models or fits(card, tuple(config.models)))
            and (not config.owners or any(fnmatchcase(owner, pattern) for pattern in config.owners))
        )

    def _of_model(self, model: str, caller: Caller | None) -> NamedGuard | None:
        """Return a guard of a model that is there to judge, and that the caller may call; None where it is none.

        Chat models that judge by a rubric need a guard in the settings, which says so.
        """
        try:
            card = self._find(model).card
        except APIError:
            return None
        if card.type != MODELS_TYPE or (caller is not None and not caller.may_call(card)):
            return None
        made = self._by_model.get(card.id)
        if made is None:
            config = GuardConfig(kind=MODERATION, model=card.id, applies="asked")
            name = f"moderation:{card.id}"  # as no guard of the settings is named
            made = self._by_model[card.id] = NamedGuard(
                name, config, guard=ModerationGuard(config, self._find, self._tell)
            )
            self._judges[name] = Judge(made)
        return made

    def _meant(self, asked: AskedModeration, caller: Caller | None) -> NamedGuard | None:
        """Return the guard that a request names: by its own name, or by its model's.

        Raises InvalidRequest where there is none and something was to be blocked; scores are told as an error then.
        """
        found = self._named.get(asked.model)
        if found is None:
            found = next((one for one in self._named.values() if one.config.model == asked.model), None)
        if found is None:
            found = self._of_model(asked.model, caller)
        if found is None and (asked.blocks("input") or asked.blocks("output")):
            raise _unknown(asked.model)
        return found


def _unknown(model: str) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid 'moderation.model': there is no moderation model '{model}' here.",
        param="moderation.model",
        code="model_not_found",
    )


def _find_nothing(model: str) -> Moderator:
    raise _unknown(model)


def _count_nothing(guard: str, place: str, outcome: str, seconds: float) -> None:
    """Count nothing."""


NO_GUARDS = Guards({}, _find_nothing, _count_nothing)
