"""Whether an answer came to its end: what its last chunk says, and what is missing."""

from __future__ import annotations

import logging

from antiphon.backends.chat.answers.errors import broken_off, nothing_said
from antiphon.backends.chat.answers.finish_reasons import NO_END, reason_of, spelled
from antiphon.core.deltas import FinishReason
from antiphon.errors import BackendError

UNFORCED = "tool_choice_ignored"
"""Code of the error for an answer without the call that it had to be: it may be asked for otherwise."""

CHOICE = "tool_choice"
"""The wish that such an answer does not fulfil, as `x-antiphon-ignored` names it."""

log = logging.getLogger("antiphon.backends.chat.answers")


def ending(word: str, payload: bytes) -> FinishReason | None:
    """Return what a finish reason means, None where it is none. Raises BackendError where the answer was broken off."""
    if word == "stop":  # nearly all of them
        return FinishReason.STOP
    word = spelled(word)
    if word in NO_END:
        return None
    reason = reason_of(word)
    if reason is None:
        raise broken_off(word, payload)
    return reason


def check_end(reason: FinishReason | None, *, said: bool, ended: bool, may_be_empty: bool, odd: bytes) -> None:
    """Raise BackendError for an answer that was broken off or says nothing.

    `said`: there is a text, a thought, a call or a picture. `ended`: the answer is at its end, whatever its reason.
    `may_be_empty`: a message came, which was empty. `odd` came instead of an answer.
    """
    if said and not (reason or ended):
        raise BackendError(502, "The backend's answer ended early: it sent no finish_reason.", retriable=True)
    if said:
        return
    if reason is FinishReason.TOOL_CALLS:
        raise BackendError(502, "The backend announced a tool call and sent none.", retriable=True)
    if not (reason and (reason.cut or may_be_empty)):
        raise nothing_said(odd)


def unforced() -> BackendError:
    """Return the error for an answer without the call that the request asks for."""
    message = "The model called no tool, although 'tool_choice' asks for a call."
    return BackendError(502, message, code=UNFORCED, param=CHOICE)


def tell_uncalled(model: str) -> None:
    """Write that a model answered without the call that the request asks for: the client gets that answer."""
    log.warning("tool_choice: model %s called no tool, although a call is required", model)
