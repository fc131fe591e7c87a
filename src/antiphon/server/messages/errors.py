"""Errors as clients of the Messages API read them: envelope, types, statuses, whether to try again."""

from __future__ import annotations

from collections.abc import Callable
from time import time

from antiphon.core.json_encoding import to_json
from antiphon.errors import APIError
from antiphon.server.http.messages import Reply
from antiphon.server.http.response_head import AnswerForm, error_headers
from antiphon.server.messages.limit_headers import limit_headers

OVERLOADED = 529
TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}
NOT_FOUND = ("model_not_found", "previous_response_not_found")
OVERFLOW = "context_length_exceeded"


def dotted(path: str) -> str:
    """Return a JSON path as this API spells it: `messages[2].content[0]` → `messages.2.content.0`."""
    return path.replace("[", ".").replace("]", "").lstrip(".")


def status_of(error: APIError) -> int:
    """Return the status: 529 where the server has no room, 404 for a model or a message that does not exist."""
    if error.status == 503:
        return OVERLOADED
    return 404 if error.status == 400 and error.code in NOT_FOUND else error.status


def type_of(status: int) -> str:
    """Return the error type that belongs to a status."""
    return TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def words(error: APIError) -> str:
    """Return the message, which begins with the field at fault. Clients act on the words of an input that is too long."""
    if error.code == OVERFLOW:
        return overflow_words(error.message)
    if error.code == "missing_required_parameter" and error.param:
        return f"{error.param}: Field required"
    named = error.param and not error.message.startswith(error.param) and error.param != "model"
    return f"{error.param}: {error.message}" if named else error.message


def overflow_words(message: str) -> str:
    """Return the sentence by which Claude Code knows that it has to compact, with the numbers of the backend's own words."""
    if message.lower().startswith("prompt is too long"):
        return message
    numbers = [int(digits) for digits in _numbers(message) if len(digits) <= 9]
    large = sorted({number for number in numbers if number >= 64}, reverse=True)
    if len(large) == 2:  # of more it is not known which is which
        return f"prompt is too long: {large[0]} tokens > {large[1]} maximum"
    return f"prompt is too long: {message}"


def _numbers(text: str) -> list[str]:
    plain = "".join(letter if letter.isascii() and letter.isdigit() else " " for letter in text.replace(",", ""))
    return plain.split()


def envelope(error: APIError, request_id: str) -> bytes:
    """Return an error's body."""
    fault: dict[str, object] = {"type": type_of(status_of(error)), "message": words(error)}
    if error.code:
        fault["details"] = {"error_code": error.code}
    return to_json({"type": "error", "error": fault, "request_id": request_id})


def fault(error: APIError, request_id: str) -> Reply:
    """Return an error's answer. `x-should-retry` spares clients a minute of attempts that cannot succeed."""
    status = status_of(error)
    again = b"true" if status == 429 or status >= 500 else b"false"
    told = error_headers(error)
    headers = [*told, *limit_headers(told, time()), (b"x-request-id", request_id.encode()), (b"x-should-retry", again)]
    return Reply(envelope(error, request_id), status, headers=headers)


FORM = AnswerForm(error=fault, id_header=b"request-id", time_header=b"x-processing-ms")

Spell = Callable[[str], str]
