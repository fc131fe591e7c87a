"""An error in the place of a chunk or an answer → BackendError."""

from __future__ import annotations

from antiphon.backends.error_words import parse
from antiphon.backends.refusals import error_of
from antiphon.errors import BackendError


def error_from_event(payload: bytes) -> BackendError:
    """Return the error; its code may be an HTTP status, and without one it is a 502."""
    return error_of(parse(payload))


def no_answer(payload: bytes) -> BackendError:
    """Return the error for what is neither a chunk nor an answer: with its words, where it has any."""
    words = parse(payload)
    if words.message:
        return error_of(words)
    return BackendError(502, "The backend sent something that is not a chat completion.")
