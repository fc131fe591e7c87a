"""An error in the place of a chunk or an answer → BackendError."""

from __future__ import annotations

from antiphon.backends.error_words import parse, read_json, words_of
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


def broken_off(word: str, payload: bytes) -> BackendError:
    """Return the error for an answer that its finish reason calls broken off, with the words that stand beside it."""
    try:
        value = read_json(payload)
        choice = value["choices"][0]
        words = words_of({"error": choice.get("error") or value.get("error")})
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        words = None
    if words is not None and words.message:
        return error_of(words)
    return BackendError(502, f"The backend ended its answer with finish_reason '{word}'.")
