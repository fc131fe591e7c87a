"""What a backend's own error means for a client: its status, code and words, as a BackendError."""

from __future__ import annotations

import math
import re

from antiphon.backends.error_words import parse
from antiphon.backends.http_response import HttpResponse
from antiphon.errors import BackendError

MESSAGE_LIMIT = 2000
BODY_LIMIT = 1024 * 1024

# vLLM, llama.cpp, SGLang, Ollama, TGI, OpenAI, Anthropic's and Google's compatible endpoints, in this order.
_TOO_LONG = re.compile(
    r"maximum context length|maximum model length|exceeds? the (available )?context (size|window|length)"
    r"|longer than the model's context length|input length exceeds|must have less than \d+ tokens"
    r"|context_length_exceeded|exceed_context_size|prompt is too long|input token count .{0,40}exceeds",
    re.IGNORECASE,
)
# A server's words may hold its own address, or a key.
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_KEY = re.compile(r"\b(?:sk|key|Bearer)[-_ ][A-Za-z0-9_\-*.]{8,}")
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
    try:
        body = await response.read_all(BODY_LIMIT)
    except BackendError:
        body = b""
    return refusal(response.status, body, response.header(b"retry-after"), ours=ours)


def refusal(status: int, body: bytes, retry_after: bytes = b"", *, ours: bool = True) -> BackendError:
    """Map a backend's status and body.

    400, 409, 413 and 422 are the client's fault and pass with the backend's words; so does a 404 that names a model. A
    refused key or an unknown path is the operator's fault: 502, never a 401. An empty account stays 402, so that clients
    do not try again. 429 and 5xx may be tried elsewhere.
    """
    error = parse(body)
    message = _KEY.sub("[key]", _ADDRESS.sub("[address]", error.message[:MESSAGE_LIMIT]))
    code = error.code if isinstance(error.code, str) else ""
    if status < 400:
        return BackendError(502, "The backend answered with a redirect.", retriable=True)
    if status in (401, 403):
        return BackendError(502, "The backend refused our key.", retriable=True)
    if status == 402 or code == "insufficient_quota":
        return BackendError(
            402, message or "The backend's account is empty.", code="insufficient_quota", retriable=True
        )
    if status == 429:
        return _busy(429, message or "The backend is busy.", "rate_limit_exceeded", retry_after)
    if _TOO_LONG.search(f"{message} {error.type} {code}"):
        return BackendError(400, message, code="context_length_exceeded", param="input" if ours else "messages")
    if status >= 500 or status == 408:
        return _failed(status, message, retry_after)
    if status in (404, 405) and not code and "model" not in message.lower():
        return BackendError(502, "The backend does not offer this call.", retriable=True)
    return BackendError(
        status if status in (409, 413) else 400,
        message or f"The backend refused the request with status {status}.",
        code=code or ("model_not_found" if status == 404 else "invalid_value"),
        param=_param(error.param or "", ours),
        type="invalid_request_error",
    )


def _failed(status: int, message: str, retry_after: bytes) -> BackendError:
    if status in (503, 529):
        return _busy(503, message or "The backend is not available.", "backend_unavailable", retry_after)
    if status in (504, 408):
        message = message or "The backend did not answer in time."
        return BackendError(504, message, code="backend_timeout", retriable=True)
    return BackendError(502, message or f"The backend failed with status {status}.", retriable=True)


def _busy(status: int, message: str, code: str, retry_after: bytes) -> BackendError:
    headers = {"Retry-After": str(_seconds(retry_after))}
    return BackendError(status, message, code=code, headers=headers, retriable=True)


def _seconds(retry_after: bytes) -> int:
    """Read Retry-After; 1 where it is missing, a date or nonsense."""
    try:
        return min(max(math.ceil(float(retry_after)), 1), 86400)
    except (ValueError, OverflowError):
        return 1


def _param(param: str, ours: bool) -> str:
    if ours:
        for pattern, replacement in _PARAMS:
            param = pattern.sub(replacement, param)
    return param
