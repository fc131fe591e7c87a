"""What was learned of a backend's models: settings under which they take what they refused before.

An Adaptation is remembered once a request was accepted with it, for `SECONDS`, as a server may be started anew with other
flags. Nothing of a request is remembered: names of fields and values come from fixed lists (`refusal_words`).

A refusal may be about a value of one request, or repeat a client's own words. So what an owner's requests have taught counts
for this owner, and for all others only once a second owner's request has taught the same. A server without keys has one owner.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Literal, Protocol, TypeVar, runtime_checkable

import msgspec

log = logging.getLogger("antiphon.backends.learning")

Key = TypeVar("Key")

SECONDS = 3600.0  # after which a model is asked as configured again
MOST_MODELS = 1000  # of one backend, of which something is remembered
ONLY_OWNERS = ("", "local")  # of what this server asks for itself, and of a server without keys
MOST_OWN = 4096  # models times owners of which something is remembered, and lessons that one owner alone has taught


class Adaptation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Settings of a model that differ from its profile's (`backends.chat.profiles`); empty or 0: as before.

    Of servers of the Responses API: `item_ids`, whether each item that a model made needs an id.
    """

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
    item_ids: bool = False
    thinking: Literal["", "adaptive", "budget", "off"] = ""
    context_length: int = 0
    max_output_tokens: int = 0

    def plus(self, other: Adaptation) -> Adaptation:
        """Return both as one; where they differ, the other one's counts."""
        fields = {name: value for name, value in msgspec.structs.asdict(other).items() if value}
        if other.drop:
            fields["drop"] = (*self.drop, *(name for name in other.drop if name not in self.drop))
        return msgspec.structs.replace(self, **fields)

    def lessons(self) -> Iterator[Adaptation]:
        """Yield each setting by itself, of what is left out each name."""
        for name, value in self.settings().items():
            for one in [(part,) for part in self.drop] if name == "drop" else [value]:
                yield msgspec.structs.replace(NOTHING, **{name: one})

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
        self._own: dict[tuple[str, str], tuple[Adaptation, float]] = {}
        self._taught: dict[tuple[str, str], str] = {}
        self._told: set[tuple[str, str]] = set()
        self._parting: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._own or self._known)

    def of(self, model: str, owner: str = "") -> Adaptation:
        """Return what is known of a model for an owner's requests; NOTHING where that is nothing, or too old."""
        if not (self._known or self._own):
            return NOTHING
        shared, own = _fresh(self._known, model), _fresh(self._own, (model, owner))
        return own if shared is NOTHING else shared.plus(own)

    def learn(self, model: str, learned: Adaptation, why: str, owner: str = "") -> None:
        """Remember something of a model, beside what is known; `why` are the words from which an owner's request learned it."""
        if (before := self.of(model, owner)).plus(learned) == before:
            return
        _remember(self._own, (model, owner), learned, MOST_OWN)
        confirmed = [lesson for lesson in learned.lessons() if self._is_confirmed(model, lesson, owner)]
        for lesson in confirmed:
            _remember(self._known, model, lesson, MOST_MODELS)
        log.warning(
            "backend %s: requests to model %s are adapted from now on%s: %s (learned from error: %s)",
            self._backend,
            model,
            "" if confirmed else " for one owner",
            learned,
            why,
        )

    def _is_confirmed(self, model: str, lesson: Adaptation, owner: str) -> bool:
        """Tell whether another owner's request has taught the same before, or there are no others."""
        first = self._taught.setdefault((model, str(lesson)), owner)
        if len(self._taught) > MOST_OWN:
            del self._taught[next(iter(self._taught))]
        return owner in ONLY_OWNERS or first != owner

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
        """Return what is known, by model, whoever has taught it."""
        found: dict[str, Adaptation] = {}
        for model, owner in list(self._own):
            found[model] = found.get(model, NOTHING).plus(_fresh(self._own, (model, owner)))
        for model in list(self._known):
            found[model] = found.get(model, NOTHING).plus(_fresh(self._known, model))
        return {model: learned for model, learned in found.items() if learned != NOTHING}

    def shared(self) -> Mapping[str, Adaptation]:
        """Return what counts for every owner, by model."""
        return {model: learned for model in list(self._known) if (learned := _fresh(self._known, model)) != NOTHING}


def _fresh(known: dict[Key, tuple[Adaptation, float]], key: Key) -> Adaptation:
    """Return what is remembered; what is too old is forgotten."""
    found = known.get(key)
    if found is None:
        return NOTHING
    if found[1] < monotonic():
        del known[key]
        return NOTHING
    return found[0]


def _remember(known: dict[Key, tuple[Adaptation, float]], key: Key, learned: Adaptation, most: int) -> None:
    """Remember something beside what is known under a key; the oldest is forgotten."""
    before = _fresh(known, key)
    known.pop(key, None)
    if len(known) >= most:
        del known[next(iter(known))]
    known[key] = before.plus(learned), monotonic() + SECONDS
