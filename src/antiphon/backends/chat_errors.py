"""An error in the place of a chunk → BackendError."""

from __future__ import annotations

from antiphon.backends.refusals import parse, refusal
from antiphon.errors import BackendError


def error_from_event(payload: bytes) -> BackendError:
    """Return the error; its code may be an HTTP status, and without one it is a 502."""
    code = parse(payload).code
    if isinstance(code, int | float) or (isinstance(code, str) and code.isdigit()):
        status = int(code)
        return refusal(status if 400 <= status < 600 else 500, payload)
    error = refusal(500, payload)
    if not code or error.code != "backend_error":
        return error
    return BackendError(502, error.message, code=code)
