"""HelperUsage: tokens of models that this server asks for a request beside the one that answers it, put on its key's account."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.access.limits import Limiter
from antiphon.access.usage import UsageLedger
from antiphon.backends.base import ModelCard
from antiphon.telemetry.prometheus import Samples
from antiphon.telemetry.request_record import asking
from antiphon.types.response import Usage


class HelperUsage:
    """Takes note of such tokens: in the limits of the caller, the usage of owner and key, and `/metrics`.

    A helper is `moderation` (a guard's model), `embedding` or `rerank` (of a search). Nothing is refused: the request was
    admitted; what its helpers use is what later requests lack.
    """

    def __init__(self, ledger: UsageLedger, limiter: Limiter) -> None:
        self._ledger = ledger
        self._limiter = limiter
        self._calls = Samples(
            "antiphon_helper_calls_total", "Calls of models beside the one that answers.", ("helper", "model")
        )
        self._tokens = Samples(
            "antiphon_helper_tokens_total", "Tokens of models beside the one that answers.", ("helper", "model", "kind")
        )

    def moderation(self, card: ModelCard, usage: Usage) -> None:
        """Take note of a guard's look (`guards.moderation.TellModeration`)."""
        self._used("moderation", card.id, usage, card)

    def search(self, kind: str, model: str, usage: Usage, owner: str) -> None:
        """Take note of a search's call, or of one for an owner's files (`model_calls.TellUse`)."""
        self._used(kind, model, usage, None, owner)

    def _used(self, helper: str, model: str, usage: Usage, card: ModelCard | None, owner: str = "") -> None:
        self._calls.add((helper, model))
        self._tokens.add((helper, model, "input"), usage.input_tokens)
        self._tokens.add((helper, model, "output"), usage.output_tokens)
        caller = None if owner else asking()
        if caller is not None:
            self._limiter.used(caller, model, card, usage)
            self._ledger.helped(caller.owner, caller.meter, helper, model, usage)
        elif owner:
            self._ledger.helped(owner, "", helper, model, usage)

    def __call__(self) -> Iterable[Samples]:
        """Return the families as they are now."""
        yield self._calls
        yield self._tokens
