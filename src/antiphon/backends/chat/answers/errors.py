"""An error instead of a chunk or an answer → BackendError."""

from __future__ import annotations

from msgspec import Raw

from antiphon.backends.error_words import parse, read_json, words_of
from antiphon.backends.refusals import error_of
from antiphon.config.masking import masked
from antiphon.core.request.json_text import has_more_containers
from antiphon.errors import BackendError

NOTHING_SAID = "The backend's answer has no message."
FINE = (0, 200, "0", "200", "ok", "success")
"""Codes in vendors' envelopes that are no error."""

MOST_QUOTED = 1200
"""Bytes of what is no answer that are looked at; a quarter is shown."""


def error_from_event(payload: bytes) -> BackendError:
    """Return the error; its code may be an HTTP status, and without one it is a 502."""
    return error_of(parse(payload))


def says_fine(error: Raw) -> bool:
    """Tell whether an error is none: a code for success, and no words."""
    words = parse(b'{"error":%b}' % bytes(error))
    return not words.message and words.code is not None and words.code in FINE


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


def nothing_said(odd: bytes) -> BackendError:
    """Return the error for an answer that says nothing and has no end; `odd` came in its place."""
    if odd:
        text = masked(odd[:MOST_QUOTED].decode("utf-8", "replace"), MOST_QUOTED // 4)
        return BackendError(502, f"The backend's answer has no message: {text}", retriable=True)
    return BackendError(502, NOTHING_SAID, retriable=True)


def check_containers(data: bytes, most: int) -> None:
    """Raise BackendError for a chunk or an answer of too many arrays and objects."""
    if has_more_containers(most, data):
        raise BackendError(
            502, f"The backend sent something that is not a chat completion: it has over {most} arrays and objects."
        )
