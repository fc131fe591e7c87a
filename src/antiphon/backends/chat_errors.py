"""An error in the place of a chunk or an answer → BackendError."""

from __future__ import annotations

import re

from antiphon.backends.error_words import parse
from antiphon.backends.refusals import refusal
from antiphon.errors import BackendError

_STATUS = re.compile(r"[45][0-9]{2}")
_CODE = re.compile(r"[\w.:-]{1,64}", re.ASCII)


def error_from_event(payload: bytes) -> BackendError:
    """Return the error; its code may be an HTTP status, and without one it is a 502."""
    code = parse(payload).code
    text = str(int(code)) if isinstance(code, int | float) and 400 <= code < 600 else str(code)
    if _STATUS.fullmatch(text):
        return refusal(int(text), payload)
    error = refusal(500, payload)
    if not isinstance(code, str) or error.code != "backend_error" or not _CODE.fullmatch(code):
        return error
    return BackendError(502, error.message, code=code)


def no_answer(payload: bytes) -> BackendError:
    """Return the error for what is neither a chunk nor an answer: with its words, where it has any."""
    if parse(payload).message:
        return error_from_event(payload)
    return BackendError(502, "The backend sent something that is not a chat completion.")
