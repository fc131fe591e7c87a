"""RouteModerator: a backend's own `/moderations`, or its classifier (`/classify` of vLLM, `/predict` of TEI)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon.backends.base import Route, read_whole
from antiphon.config.tables import ModerationConfig
from antiphon.core.json_encoding import to_json
from antiphon.core.relayed_request import RelayedForm, RelayedRequest, WriteBody
from antiphon.core.turn import NO_HINTS, Hints, with_operators
from antiphon.errors import BackendError, InvalidRequest
from antiphon.responses.moderation.base import ContentVerdict, ModeratedInput, ModerationVerdicts
from antiphon.responses.moderation.verdicts import verdict
from antiphon.types.response import Usage

MOST_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer."""

HARMLESS = frozenset(
    "safe benign harmless neutral normal none ok non-toxic not_toxic nontoxic label_0 no_injection".split()
)
"""Labels of classifiers that say that nothing is wrong; each other one is a category."""


class _Judged(msgspec.Struct):
    categories: dict[str, bool | None] = {}
    category_scores: dict[str, float | None] = {}
    flagged: bool = False


class _ModerationCounts(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int | None = 0


class _Judgements(msgspec.Struct):
    results: list[_Judged]
    usage: _ModerationCounts | None = None


class _Classified(msgspec.Struct):
    """vLLM's: the label that fits best, and the probabilities of all."""

    label: str
    probs: list[float]


class _Classes(msgspec.Struct):
    data: list[_Classified]
    usage: _ModerationCounts | None = None


class _Scored(msgspec.Struct):
    """TEI's: a label and its score."""

    label: str
    score: float


_judgements = msgspec.json.Decoder(_Judgements)
_classes = msgspec.json.Decoder(_Classes | list[list[_Scored]])

Read = Callable[[bytes, Sequence[ModeratedInput], ModerationConfig], ModerationVerdicts]
"""Reads an answer. Raises ValueError and msgspec's errors for what is none."""


class RouteModerator:
    """A model of a backend that has a route for it."""

    def __init__(self, route: Route, settings: ModerationConfig, *, classifies: bool) -> None:
        self.card = route.card
        self._route = route
        self._settings = settings
        self._forms = _classifier_forms if classifies else _moderation_forms
        self._read: Read = _read_classes if classifies else _read_judgements

    async def moderate(self, inputs: Sequence[ModeratedInput], hints: Hints = NO_HINTS) -> ModerationVerdicts:
        """Judge. Raises APIError."""
        found: list[ContentVerdict] = []
        usage: Usage | None = None
        for some in _batches(inputs):
            request = RelayedRequest(
                route="/v1/moderations",
                operation="moderation",
                forms=self._forms(some),
                size=sum(len(one.text) + sum(map(len, one.images)) for one in some),
            )
            judged = self._judged(await read_whole(await self._route.relay(request, hints), MOST_ANSWER), some)
            found += judged.verdicts
            usage = _sum(usage, judged.usage)
        return ModerationVerdicts(verdicts=found, usage=usage)

    def _judged(self, body: bytes, inputs: Sequence[ModeratedInput]) -> ModerationVerdicts:
        try:
            judged = self._read(body, inputs, self._settings)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise BackendError(502, "The backend's answer has no verdicts.") from None
        if len(judged.verdicts) != len(inputs):
            raise BackendError(502, f"The backend gave {len(judged.verdicts)} verdicts for {len(inputs)} inputs.")
        return judged


def _batches(inputs: Sequence[ModeratedInput]) -> list[Sequence[ModeratedInput]]:
    """Return what is asked at once: texts together, each input with pictures alone, as it has several parts."""
    if not any(one.images for one in inputs):
        return [inputs]
    return [[one] for one in inputs]


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None or other is None:
        return one or other
    tokens, answered = one.input_tokens + other.input_tokens, one.output_tokens + other.output_tokens
    return Usage(input_tokens=tokens, output_tokens=answered, total_tokens=tokens + answered)


def _usage(counts: _ModerationCounts | None) -> Usage | None:
    if counts is None:
        return None
    answered = counts.completion_tokens or 0
    return Usage(
        input_tokens=counts.prompt_tokens, output_tokens=answered, total_tokens=counts.prompt_tokens + answered
    )


def _writer(fields: Mapping[str, object], *, named: bool = True) -> WriteBody:
    def write(model: str, extra: Mapping[str, Raw]) -> bytes:
        own = {name: Raw(to_json(value)) for name, value in fields.items()}
        return to_json({**with_operators(own, extra), **({"model": model} if named else {})})

    return write


def _moderation_forms(inputs: Sequence[ModeratedInput]) -> Sequence[RelayedForm]:
    asked: list[object] = [one.text for one in inputs]
    if inputs[0].images:
        (only,) = inputs
        asked = [{"type": "text", "text": only.text}] if only.text else []
        asked += [{"type": "image_url", "image_url": {"url": url}} for url in only.images]
    return (RelayedForm(endpoint="/moderations", write=_writer({"input": asked})),)


def _read_judgements(body: bytes, inputs: Sequence[ModeratedInput], settings: ModerationConfig) -> ModerationVerdicts:
    found = _judgements.decode(body)
    verdicts = [
        verdict(
            {_category(name, settings): score or 0.0 for name, score in one.category_scores.items()},
            settings,
            asked.kinds,
            {_category(name, settings): bool(flag) for name, flag in one.categories.items()},
            one.flagged,
        )
        for one, asked in zip(found.results, inputs, strict=False)
    ]
    return ModerationVerdicts(verdicts=verdicts if len(found.results) == len(inputs) else (), usage=_usage(found.usage))


def _classifier_forms(inputs: Sequence[ModeratedInput]) -> Sequence[RelayedForm]:
    if any(one.images for one in inputs):
        raise InvalidRequest("This moderation model takes texts only.", param="input")
    texts = [one.text for one in inputs]
    return (
        RelayedForm(endpoint="/classify", write=_writer({"input": texts}), from_root=True),
        RelayedForm(endpoint="/classify", write=_writer({"input": texts})),
        RelayedForm(
            endpoint="/predict",
            write=_writer({"inputs": [[text] for text in texts], "truncate": True}, named=False),
            from_root=True,
        ),
    )


def _read_classes(body: bytes, inputs: Sequence[ModeratedInput], settings: ModerationConfig) -> ModerationVerdicts:
    found = _classes.decode(body)
    if isinstance(found, list):
        labels = [{one.label: one.score for one in entry} for entry in found]
        return ModerationVerdicts(verdicts=[_classified(scores, settings) for scores in labels])
    verdicts = [_classified({one.label: max(one.probs)}, settings) for one in found.data]
    return ModerationVerdicts(verdicts=verdicts, usage=_usage(found.usage))


def _classified(labels: Mapping[str, float], settings: ModerationConfig) -> ContentVerdict:
    """Return the verdict of labels: those that the settings name, or all that are not harmless."""
    scores: dict[str, float] = {}
    for label, score in labels.items():
        if label.lower() not in HARMLESS or label in settings.labels:
            name = _category(label, settings)
            scores[name] = max(score, scores.get(name, 0.0))
    return verdict(scores, settings, ("text",))


def _category(label: str, settings: ModerationConfig) -> str:
    """Return the category that a label of the backend means: as set, or the label itself."""
    return settings.labels.get(label, label)
