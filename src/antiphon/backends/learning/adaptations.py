"""What was learned of a backend's models: settings under which they take what they refused before.

An Adaptation is remembered once a request was accepted with it, for `SECONDS`, as a server may be started anew with other
flags. Nothing of a request is remembered: names of fields and values come from fixed lists (`refusal_words`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import monotonic
from typing import Literal, Protocol, runtime_checkable

import msgspec

log = logging.getLogger("antiphon.backends.learning")

SECONDS = 3600.0  # after which a model is asked as configured again
MOST_MODELS = 1000  # of one backend, of which something is remembered


class Adaptation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Settings of a model that differ from its profile's (`backends.chat.profiles`); empty or 0: as before."""

    drop: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    stream: Literal["", "always", "never"] = ""
    max_tokens: Literal["", "max_tokens", "max_completion_tokens"] = ""
    response_format: Literal["", "json_schema", "json_object", "object_schema", "none"] = ""
    forced_calls: Literal["", "schema"] = ""
    roles: Literal["", "merge-first", "alternate", "user"] = ""
    call_ids: Literal["", "plain", "short"] = ""
    strict_schema: Literal["", "openai", "gemini", "moonshot"] = ""
    think: Literal["", "opened", "unsure"] = ""
    needs_reasoning: bool = False
    call_signature: str = ""
    reasoning_out: Literal["", "none"] = ""
    thinking: Literal["", "adaptive", "budget", "off"] = ""
    context_length: int = 0
    max_output_tokens: int = 0

    def plus(self, other: Adaptation) -> Adaptation:
        """Return both as one; where they differ, the other one's counts."""
        fields = {name: value for name, value in msgspec.structs.asdict(other).items() if value}
        if other.drop:
            fields["drop"] = (*self.drop, *(name for name in other.drop if name not in self.drop))
        return msgspec.structs.replace(self, **fields)

    def settings(self) -> dict[str, object]:
        """Return what differs, by name, as the configuration spells it."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value}

    def __str__(self) -> str:
        return ", ".join(f"{name} = {msgspec.json.encode(value).decode()}" for name, value in self.settings().items())


NOTHING = Adaptation()


@runtime_checkable
class Adaptable(Protocol):
    """A backend that learns how its models want to be asked."""

    @property
    def learned(self) -> Mapping[str, Adaptation]:
        """What is known at present, by the backend's own names of models."""
        ...


class Adaptations:
    """What was learned of the models of one backend. `backend` is its name in the log."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._known: dict[str, tuple[Adaptation, float]] = {}
        self._told: set[tuple[str, str]] = set()
        self._parting: dict[str, float] = {}

    def of(self, model: str) -> Adaptation:
        """Return what is known of a model; NOTHING where that is nothing, or too old."""
        known = self._known.get(model)
        if known is None:
            return NOTHING
        if known[1] < monotonic():
            del self._known[model]
            return NOTHING
        return known[0]

    def learn(self, model: str, learned: Adaptation, why: str) -> None:
        """Remember something of a model, beside what is known; `why` are the words from which it was learned."""
        before = self.of(model)
        after = before.plus(learned)
        if after == before:
            return
        self._known.pop(model, None)
        if len(self._known) >= MOST_MODELS:
            del self._known[next(iter(self._known))]
        self._known[model] = after, monotonic() + SECONDS
        log.warning(
            "backend %s: model %s is asked otherwise from now on: %s (learned from: %s)",
            self._backend,
            model,
            learned,
            why,
        )

    def parts_thoughts(self, model: str) -> None:
        """Remember that a model's thoughts come apart from its answers, or that it has none."""
        if len(self._parting) >= MOST_MODELS:
            self._parting.clear()
        self._parting[model] = monotonic() + SECONDS

    def is_parting(self, model: str) -> bool:
        """Tell whether that is known."""
        return self._parting.get(model, 0.0) > monotonic()

    def remark(self, model: str, remark: str) -> None:
        """Log a remark on a model, once."""
        if (model, remark) not in self._told and len(self._told) < MOST_MODELS:
            self._told.add((model, remark))
            log.warning("backend %s: model %s: %s", self._backend, model, remark)

    def all(self) -> Mapping[str, Adaptation]:
        """Return what is known, by model."""
        found = {model: self.of(model) for model in list(self._known)}
        return {model: learned for model, learned in found.items() if learned != NOTHING}
