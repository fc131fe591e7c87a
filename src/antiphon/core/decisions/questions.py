"""Question: what is asked about an input, with a closed set of options. Both front ends decode to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Raw

from antiphon.types.items import Item, Part
from antiphon.types.request import CreateResponse

QuestionKind = Literal["predicate", "choice", "score"]

MOST_QUESTIONS = 400
MOST_CHOICES = 255
MOST_LEVELS = 10

MOST_OPTIONS = 10_000
"""Options of all questions of a request together: about 20 of them take a model call."""


class Option(msgspec.Struct, frozen=True):
    """One of the answers: `value` as the client names it, and when it applies."""

    value: str | bool
    description: str = ""

    @property
    def text(self) -> str:
        """The value as the model reads it."""
        return self.value if isinstance(self.value, str) else str(self.value).lower()


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question. The options of a predicate are true and false, those of a score its levels, the lowest first."""

    kind: QuestionKind
    name: str | None
    instructions: str | list[Part]
    options: Sequence[Option]


class DecisionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded request. `request` holds its settings, `extra` the fields that go to the backend as they are.

    `body` is the request as it came, `size` its bytes.
    """

    request: CreateResponse
    items: list[Item]
    questions: Sequence[Question]
    extra: Mapping[str, Raw]
    body: bytes
