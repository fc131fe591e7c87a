"""`/v1/moderations`, as guards ask it: texts → a request's body, an answer → GuardVerdicts; and verdicts as a response tells them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from antiphon.core.guards.base import GuardVerdict
from antiphon.core.json_encoding import to_json
from antiphon.errors import APIError, BackendError
from antiphon.types.response import ModerationError, ModerationResult

MOST_CATEGORIES = 200
_CATEGORY = 100  # characters


class _ModeratedText(msgspec.Struct):
    flagged: bool
    categories: dict[str, bool | None] = {}
    category_scores: dict[str, float | None] = {}


class _ModerationAnswer(msgspec.Struct):
    results: list[_ModeratedText]
    model: str = ""


_answer = msgspec.json.Decoder(_ModerationAnswer, strict=False)


def moderation_body(model: str, texts: Sequence[str]) -> bytes:
    """Return the body of a request that has texts moderated."""
    return to_json({"model": model, "input": list(texts)})


def moderation_verdicts(
    answer: bytes, count: int, threshold: float | None, categories: Collection[str] = ()
) -> Sequence[GuardVerdict]:
    """Read an answer about `count` texts. Raises BackendError.

    With a `threshold`, scores from there on are flagged, else the model's own flags hold; `categories` are those that count, all if
    there are none.
    """
    try:
        decoded = _answer.decode(answer)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BackendError(502, "The moderation model's answer cannot be read.") from None
    if len(decoded.results) != count:
        raise BackendError(502, f"The moderation model answered {len(decoded.results)} of {count} texts.")
    return [_verdict(result, decoded.model, threshold, categories) for result in decoded.results]


def _verdict(result: _ModeratedText, model: str, threshold: float | None, categories: Collection[str]) -> GuardVerdict:
    scores = {name[:_CATEGORY]: value or 0.0 for name, value in list(result.category_scores.items())[:MOST_CATEGORIES]}
    if threshold is None:
        flags = {name[:_CATEGORY]: bool(value) for name, value in list(result.categories.items())[:MOST_CATEGORIES]}
    else:
        flags = {name: score >= threshold for name, score in scores.items()}
    if categories:
        flags = {name: value and name in categories for name, value in flags.items()}
    flagged = any(flags.values()) or (result.flagged and threshold is None and not categories)
    return GuardVerdict(flagged=flagged, scores=scores, flags=flags, model=model[:_CATEGORY])


class VerdictSum:
    """What guards have said so far of one side of a response: its input, or its output."""

    def __init__(self) -> None:
        self.flagged = False
        self.failed: APIError | None = None
        self._scores: dict[str, float] = {}
        self._flags: dict[str, bool] = {}
        self._models: dict[str, None] = {}

    def add(self, verdict: GuardVerdict, judge: str) -> None:
        """Add a verdict; `judge` stands for a model that is not named."""
        self.flagged = self.flagged or verdict.flagged
        self._models[verdict.model or judge] = None
        for name, score in verdict.scores.items():
            self._scores[name] = max(score, self._scores.get(name, 0.0))
        for name, flag in verdict.flags.items():
            self._flags[name] = flag or self._flags.get(name, False)

    def told(self, default: str) -> ModerationResult | ModerationError:
        """Return it as a response tells it; `default` is the model where nothing was looked at."""
        if self.failed is not None:
            return ModerationError(code=self.failed.code, message=self.failed.message)
        names: Mapping[str, None] = dict.fromkeys((*self._flags, *self._scores))
        return ModerationResult(
            flagged=self.flagged,
            categories={name: self._flags.get(name, False) for name in names},
            category_scores={name: self._scores.get(name, float(self._flags.get(name, False))) for name in names},
            category_applied_input_types={name: ["text"] for name in names},
            model=", ".join(self._models) or default,
        )
