"""What a server's refusal says about the form of requests: how it is asked once more, and from then on.

Servers differ in what they take of the document's own form: sealed thoughts, thoughts as text, items without ids. A refusal
that names one of these is answered by a request without it. Where that is accepted, the server is asked so from then on; a
seal that is not the server's own is a matter of one history.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from antiphon.backends.error_words import ErrorWords
from antiphon.backends.learning.adaptations import MOST_OWN, ONLY_OWNERS
from antiphon.backends.responses.items import RequestForm

Key = TypeVar("Key")
Value = TypeVar("Value")

MOST_MODELS = 1_000
"""Models of one backend whose forms are remembered."""
MOST_SAID = 4_000
"""Characters of a refusal that are looked at."""
REFUSED = frozenset((400, 404, 422))


class _Sign(NamedTuple):
    """What a refusal says, which field of a RequestForm it is about and what that becomes."""

    words: re.Pattern[str]
    field: str
    value: bool


_ANY_CASE = re.IGNORECASE
_SIGNS = (
    # OpenAI, sub2api, Console: thoughts of another server or account.
    _Sign(
        re.compile(
            r"invalid_encrypted_content|encrypted.content.{0,200}(?:could not be|did not match|not issued)", _ANY_CASE
        ),
        "seals",
        False,
    ),
    # OpenAI's models that do not think; servers that do not know `include`.
    _Sign(re.compile(r"encrypted.content.{0,20} not supported|\binclude\b", _ANY_CASE), "asks_seals", False),
    # vLLM before 0.20 (pydantic's words), servers that follow the document to the letter.
    _Sign(
        re.compile(
            r"ResponseOutputMessage|ResponseReasoningItem|required.{0,40}input\[\d{1,9}\]\.id|input\[\d{1,9}\]\.id.{0,20}required",
            _ANY_CASE,
        ),
        "ids",
        True,
    ),
    # OpenAI and Azure take no thoughts but their own, sealed; xAI answers with the name of its type.
    _Sign(
        re.compile(
            r"array_above_max_length|maximum length 0|item with id 'rs|reasoning[_ ](?:text|content|item)|ModelInput",
            _ANY_CASE,
        ),
        "thoughts",
        False,
    ),
)


class RequestForms:
    """The RequestForm in which each model of a backend is asked.

    What one owner's request has taught counts for this owner; for all once a second owner's has taught the same.
    """

    def __init__(self) -> None:
        self._known: dict[str, RequestForm] = {}
        self._own: dict[tuple[str, str], RequestForm] = {}
        self._taught: dict[tuple[str, RequestForm], str] = {}

    def of(self, model: str, owner: str = "") -> RequestForm:
        """Return the form that is known to be taken."""
        return self._own.get((model, owner)) or self._known.get(model, _DOCUMENTED)

    def learn(self, model: str, form: RequestForm, owner: str = "") -> None:
        """Remember a form that was accepted; what is true of one request only is left out."""
        if not form.seals:
            form = replace(form, seals=True)
        if form == self.of(model, owner):
            return
        if owner in ONLY_OWNERS or self._taught.get((model, form), owner) != owner:
            _remember(self._known, model, form, MOST_MODELS)
        _remember(self._taught, (model, form), owner, MOST_OWN)
        _remember(self._own, (model, owner), form, MOST_OWN)


def _remember(known: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    """Remember a value; the oldest is forgotten."""
    known.pop(key, None)
    if len(known) >= most:
        del known[next(iter(known))]
    known[key] = value


def next_form(form: RequestForm, words: ErrorWords) -> RequestForm | None:
    """Return the form that a refusal asks for, None where it is about something else."""
    said = f"{words.code} {words.param} {words.message}"[:MOST_SAID]
    for sign in _SIGNS:
        if getattr(form, sign.field) is not sign.value and sign.words.search(said):
            return replace(form, **{sign.field: sign.value})
    return None


_DOCUMENTED = RequestForm()
