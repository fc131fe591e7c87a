"""What a backend's own error means for a client: its status, code and words, as a BackendError."""

from __future__ import annotations

import math
import re

from antiphon.backends.error_words import ErrorWords, parse, words_of
from antiphon.backends.overflow_phrases import is_overflow
from antiphon.backends.waits import from_headers, from_words
from antiphon.config.masking import masked
from antiphon.errors import BackendError
from antiphon.net.http.response import HttpResponse

NO_ACCESS = "The backend refused this server: "
NO_ENDPOINT = "The backend does not support this endpoint."
"""What is said of a path that the server does not have."""
MESSAGE_LIMIT = 2000
PARAM_LIMIT = 200
BODY_LIMIT = 1024 * 1024
LONGEST_RETRY = 600
"""Seconds: a client that is told to wait for longer would rather ask again, or fail."""

MOST_CODE = 10**9
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")
_STATUS_OF_CODE = {"context_length_exceeded": 400, "rate_limit_exceeded": 429, "insufficient_quota": 402}

# What errors without a status of HTTP mean by their words and codes (in a stream, or in a 200).
_KINDS = (
    (
        402,
        r"insufficient.{0,16}(?:balance|quota|credit|funds)|exceeded your current quota|arrearage|account.{0,20}overdue",
    ),
    (
        429,
        r"rate.?limit|too many requests|throttl|(?:requests|tokens) per (?:min|day)|quota exceeded|resource.?exhausted",
    ),
    (
        503,
        r"overloaded|too busy|server (?:is )?busy|at capacity|no available (?:server|worker)|model is (?:currently )?loading",
    ),
)
_STATUS_OF_WORDS = tuple((status, re.compile(words, re.IGNORECASE)) for status, words in _KINDS)
# What servers say of a path that they do not have; any other words of a 404 are about the request.
_NO_PATH = re.compile(
    r"(?:(?:http )?(?:error )?40[45]:?\s*)?(?:page |url |path |route |resource |endpoint |file )?(?:was )?"
    r"(?:not found|method not allowed)"
    r"|(?:no (?:static resource|route|handler)|cannot post|invalid url|unknown (?:url|path|endpoint)|unrecognized request url"
    r"|the requested (?:url|resource))\b.{0,300}",
    re.IGNORECASE,
)
# A server error that comes of the request: it would fail again, here and elsewhere (llama.cpp, llama-cpp-python, LiteLLM).
_OF_REQUEST = re.compile(
    r"\b(?:is|are|does|do) (?:not |un)support(?:ed)?\b|n't support"
    r"|\bunsupported (?:parameter|value|content|image|media|input|model)|\d validation errors?\b"
    r"|input should be |is not a multimodal model",
    re.IGNORECASE,
)
# Where in a server's own code an error came up.
_TRACE = re.compile(r"\n[ \t]{0,8}File \"[^\"\n]{1,500}\", line \d.*", re.DOTALL)
# Chat completions' names of fields → ours, for `param`.
_PARAMS = (
    (re.compile(r"^messages\b.*"), "input"),
    (re.compile(r"^max_(completion_)?tokens$"), "max_output_tokens"),
    (re.compile(r"^response_format\b.*"), "text.format"),
    (re.compile(r"^reasoning_effort$"), "reasoning.effort"),
    (re.compile(r"^verbosity$"), "text.verbosity"),
    (re.compile(r"^(tools\[\d+\])\.(?:function|custom)\b"), r"\1"),
)


async def refused(response: HttpResponse, *, ours: bool = True) -> BackendError:
    """Read a non-2xx answer and return the error that a client is told. `ours`: spell `param` as the Responses API does."""
    body = await read_refusal(response)
    return refusal(response.status, body, from_headers(response.header), ours=ours)


async def read_refusal(response: HttpResponse) -> bytes:
    """Return the body of a non-2xx answer, b"" where it cannot be had; the connection is let go of."""
    try:
        return await response.read_all(BODY_LIMIT)
    except BackendError:
        return b""
    finally:
        response.abort()


def refusal(status: int, body: bytes, wait: float | None = None, *, ours: bool = True) -> BackendError:
    """Map a backend's status and body.

    400, 409, 413 and 422 are the client's fault and pass with the backend's words; so does a 404 that names a model, and a 500
    whose words say that the request is not supported: it is not tried again. A
    refused key or an unknown path is the operator's fault: 502, never a 401. An empty account stays 402, so that clients
    do not try again. 429 and 5xx may be tried elsewhere.
    """
    return _refusal(status, parse(body, quote=True), wait, ours)


def told_error(value: object) -> BackendError:
    """Return the error that replaces an event: its code may be an HTTP status, without one it is a 502."""
    return error_of(ErrorWords(message=value) if isinstance(value, str) else words_of(value))


def error_of(words: ErrorWords) -> BackendError:
    """Do what `told_error` does, for words that have been found."""
    code = _code(words.code)
    if isinstance(code, int):
        return _refusal(code if 400 <= code < 600 else _status_of(words), words)
    error = _refusal(_STATUS_OF_CODE.get(code or "", 0) or _status_of(words), words)
    if not code or error.code != "backend_error":
        return error
    return BackendError(502, error.message, code=code, retriable=code == "server_error")


def _status_of(error: ErrorWords) -> int:
    """Return the status that an error means which has none."""
    said = f"{error.message[:MESSAGE_LIMIT]} {error.type} {error.code}"
    return next((status for status, words in _STATUS_OF_WORDS if words.search(said)), 500)


def _refusal(status: int, error: ErrorWords, wait: float | None = None, ours: bool = True) -> BackendError:
    """Map a status and words, which are masked: a server's words may hold its own address, or a key."""
    message = masked(_TRACE.sub("", error.message).rstrip(), MESSAGE_LIMIT)
    found = _code(error.code)
    code = found if isinstance(found, str) else ""
    if status < 400:
        return BackendError(502, "The backend answered with a redirect.", retriable=True)
    if status == 401 or (status == 403 and not message):
        return BackendError(502, "The backend rejected this server's API key.", retriable=True)
    if status == 403:
        return BackendError(502, f"{NO_ACCESS}{message}", retriable=True)
    if status == 407:
        return BackendError(502, "The proxy to the backend refused this server's password.", retriable=True)
    if status == 402 or code == "insufficient_quota":
        return BackendError(
            402, message or "The backend's account has no credit left.", code="insufficient_quota", retriable=True
        )
    if status == 429:
        return _busy(429, message or "The backend is busy.", "rate_limit_exceeded", _wait(wait, error))
    if is_overflow(f"{message} {error.type} {error.code}"):
        return BackendError(400, message, code="context_length_exceeded", param="input" if ours else "messages")
    if status in (500, 501) and _OF_REQUEST.search(message):
        return _of_request(400, message, error, ours)
    if status >= 500 or status == 408:
        return _failed(status, message, _wait(wait, error))
    if status in (404, 405) and not code and (not message or _NO_PATH.fullmatch(message.rstrip("."))):
        return BackendError(502, NO_ENDPOINT, retriable=True)
    return _of_request(status, message, error, ours)


def _of_request(status: int, message: str, error: ErrorWords, ours: bool) -> BackendError:
    """Return the error for a request that the backend does not take."""
    found = _code(error.code)
    code = found if isinstance(found, str) else ""
    return BackendError(
        status if status in (409, 413) else 400,
        message or f"The backend refused the request with status {status}.",
        code=code or ("model_not_found" if status == 404 and "model" in message.lower() else "invalid_value"),
        param=_param(masked(error.param or "", PARAM_LIMIT), ours),
        type="invalid_request_error",
    )


def _code(code: object) -> str | int | None:
    """Return a code that can be shown: a number, or a word without a secret in it."""
    if isinstance(code, float) and code == code // 1 and abs(code) < MOST_CODE:
        code = int(code)
    if isinstance(code, str) and code.isascii() and code.isdigit():
        code = int(code[:9])
    if isinstance(code, int) and not isinstance(code, bool):
        return code if abs(code) < MOST_CODE else None
    if isinstance(code, str) and _CODE.fullmatch(code) and masked(code) == code:
        return code
    return None


def _failed(status: int, message: str, wait: float | None) -> BackendError:
    if status in (503, 529):
        return _busy(503, message or "The backend is not available.", "backend_unavailable", wait)
    if status in (504, 408):
        message = message or "The backend did not answer in time."
        return BackendError(504, message, code="backend_timeout", retriable=True)
    return BackendError(502, message or f"The backend failed with status {status}.", retriable=True)


def _busy(status: int, message: str, code: str, wait: float | None) -> BackendError:
    seconds = min(max(math.ceil(wait), 1), LONGEST_RETRY) if wait is not None else 1
    return BackendError(status, message, code=code, headers={"Retry-After": str(seconds)}, retriable=True)


def _wait(told: float | None, error: ErrorWords) -> float | None:
    """Return for how long the backend wants to be left alone: as its headers say, a field of its error, or its words."""
    if told is not None:
        return told
    return error.wait if error.wait is not None else from_words(error.message[:MESSAGE_LIMIT])


def _param(param: str, ours: bool) -> str:
    if ours:
        for pattern, replacement in _PARAMS:
            param = pattern.sub(replacement, param)
    return param
