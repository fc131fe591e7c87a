"""What a server's refusal says about the form of requests: how it is asked once more, and from then on.

Servers differ in what they take of the document's own form: sealed thoughts, thoughts as text, items without ids. A refusal
that names one of these is answered by a request without it. Where that is accepted, it is remembered beside what else was
learned of the model (`backends.learning.adaptations`); a seal that is not the server's own is a matter of one history.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from msgspec.structs import replace

from antiphon.backends.error_words import ErrorWords
from antiphon.backends.learning.adaptations import NOTHING, Adaptation
from antiphon.backends.responses.items import DOCUMENTED, RequestForm

INCLUDE = "include"
"""What is dropped where a server cannot be asked for sealed thoughts."""
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


def form_of(learned: Adaptation) -> RequestForm:
    """Return the form in which a model is asked of which this was learned."""
    if learned is NOTHING:
        return DOCUMENTED
    return RequestForm(
        asks_seals=INCLUDE not in learned.drop, thoughts=learned.reasoning_out != "none", ids=learned.item_ids
    )


def lesson_of(form: RequestForm) -> Adaptation:
    """Return what a form that was accepted teaches; that a seal is not the server's own is true of one history only."""
    return Adaptation(
        drop=() if form.asks_seals else (INCLUDE,),
        reasoning_out="" if form.thoughts else "none",
        item_ids=form.ids,
    )


def next_form(form: RequestForm, words: ErrorWords) -> RequestForm | None:
    """Return the form that a refusal asks for, None where it is about something else."""
    said = f"{words.code} {words.param} {words.message}"[:MOST_SAID]
    for sign in _SIGNS:
        if getattr(form, sign.field) is not sign.value and sign.words.search(said):
            return replace(form, **{sign.field: sign.value})
    return None
