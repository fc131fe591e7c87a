"""What a model answered on a Ballot → a probability for each label: from log-probabilities, from words, or from votes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import exp
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.request.validation import decode_any
from antiphon.errors import InvalidRequest

LONGEST_ANSWER = 16 * 1024
"""Characters of an answer that are looked at."""

MOST_TOKENS = 16
"""Tokens of an answer among which the label is looked for."""

LEAST_MASS = 0.05
"""Probability of all labels together, at a token where none of them was said, from which on they count."""

_MARKS = " \t\r\n\u2581\u0120\u010a*_`'\"“”‘’([{<>}]).,:;!#-"
"""What stands around a label: spaces, their spellings in vocabularies, marks of Markdown."""

_FIRST_WORD = re.compile(r"[\s*_`'\"“”‘’(\[{<#]{0,40}(?P<word>[^\W_]{1,20})")
_SAYS_ANSWER = re.compile(
    r"\b(?:answer|option|choice|level|score)(?: is)?[\s:*_`'\"“(\[=]{1,20}(?P<word>[^\W_]{1,20})", re.IGNORECASE
)


class TopToken(msgspec.Struct, frozen=True):
    token: str
    logprob: float | None = None


class AnswerToken(msgspec.Struct, frozen=True):
    """A token of an answer with its alternatives, as `logprobs` of an `output_text` spells it."""

    token: str
    logprob: float | None = None
    top_logprobs: list[TopToken] = []


_tokens = msgspec.json.Decoder(list[AnswerToken])


def answer_tokens(logprobs: Raw) -> Sequence[AnswerToken]:
    """Return the tokens of an answer; none where a server tells no log-probabilities, or nonsense."""
    try:
        return _tokens.decode(logprobs)[:MOST_TOKENS]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ()


def said_label(text: str, labels: Sequence[str]) -> int | None:
    """Return the index of the label that an answer names; None where it is an answer of another kind."""
    text = text[:LONGEST_ANSWER].strip()
    alone = text.strip(_MARKS)
    if (reading := _label_index(alone, labels)) is not None:
        return reading
    said = _SAYS_ANSWER.search(text)
    if said and (reading := _label_index(said["word"], labels)) is not None:
        return reading
    first = _FIRST_WORD.match(text)
    if first is None:
        return None
    begins = text[first.end() : first.end() + 2].strip()
    wordy = len(labels[0]) > 1  # a letter may begin a sentence: it counts where something ends it
    return _label_index(first["word"], labels) if wordy or begins[:1] in (".", ")", ":", "-", "*", ",") else None


def _label_index(word: str, labels: Sequence[str]) -> int | None:
    if len(labels[0]) > 1:
        word = word.capitalize()
    return labels.index(word) if word in labels else None


def from_logprobs(tokens: Sequence[AnswerToken], labels: Sequence[str]) -> list[float] | None:
    """Return the probabilities of labels at the token where a label stands; None where there is none.

    They are normalised: of what the labels have together.
    """
    best: _LabelPlace | None = None
    for token in tokens:
        reading = _reading_at(token, labels)
        if _label_of(token.token, labels) is not None and reading.mass:
            return _normalised(reading.completed())
        if token.token.strip(_MARKS) and (best is None or reading.mass > best.mass):
            best = reading
    return _normalised(best.completed()) if best is not None and best.mass >= LEAST_MASS else None


class _LabelPlace(msgspec.Struct, frozen=True):
    """The probabilities of the labels at one token of an answer, and of all alternatives that are told."""

    masses: list[float]
    chances: Sequence[float]

    @property
    def mass(self) -> float:
        return sum(self.masses)

    def completed(self) -> list[float]:
        """Return the masses; labels that are not told share the rest, each having no more than the least likely alternative."""
        absent = self.masses.count(0.0)
        rest = min(max(1 - sum(self.chances), 0.0) / absent, min(self.chances)) if absent else 0.0
        return [mass or rest for mass in self.masses]


def _reading_at(token: AnswerToken, labels: Sequence[str]) -> _LabelPlace:
    """Return the labels' probabilities at a token; spellings of the same label are added up."""
    told = {one.token: one.logprob for one in token.top_logprobs}
    told.setdefault(token.token, token.logprob)
    chances = {text: exp(min(logprob, 0.0)) for text, logprob in told.items() if logprob is not None}
    masses = [0.0] * len(labels)
    for text, chance in chances.items():
        at = _label_of(text, labels)
        if at is not None:
            masses[at] += chance
    return _LabelPlace(masses, list(chances.values()))


def _label_of(token: str, labels: Sequence[str]) -> int | None:
    """Return the index of the label that a token is, or begins."""
    word = token.strip(_MARKS)
    if not word:
        return None
    reading = _label_index(word, labels)
    if reading is not None or len(labels[0]) == 1:
        return reading
    begun = [at for at, label in enumerate(labels) if label.startswith(word.capitalize())]
    return begun[0] if len(begun) == 1 else None


def from_words(text: str, labels: Sequence[str]) -> list[float] | None:
    """Return the probabilities that an answer tells as a JSON object; None where it has none."""
    text = text[:LONGEST_ANSWER]
    begin, end = text.find("{"), text.rfind("}")
    if not 0 <= begin < end:
        return None
    try:
        told = decode_any(text[begin : end + 1])
    except InvalidRequest:
        return None
    found = _by_label(told, labels) if isinstance(told, dict) else None
    return _normalised(found) if found is not None and any(found) else None


def _by_label(told: dict[str, Any], labels: Sequence[str]) -> list[float] | None:
    masses = [0.0] * len(labels)
    known = False
    for name, value in told.items():
        reading = _label_of(name, labels) if len(name) <= 20 else None
        number = _number(value)
        if reading is not None and number is not None:
            masses[reading] += number
            known = True
    return masses if known else None


def _number(value: object) -> float | None:
    """Return a probability: a number, or a text such as `20 %`."""
    if isinstance(value, str):
        try:
            value = float(value[:20].strip().rstrip("%").strip())
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 1e6 else None


def from_votes(votes: Sequence[int], count: int) -> list[float]:
    """Return shares of votes; each label has half a vote beforehand (Krichevsky-Trofimov), so that none is certain."""
    return _normalised([votes.count(reading) + 0.5 for reading in range(count)])


def averaged(shares: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of several answers."""
    return _normalised([sum(column) for column in zip(*shares, strict=True)])


def _normalised(masses: Sequence[float]) -> list[float]:
    total = sum(masses)
    return [mass / total for mass in masses]
