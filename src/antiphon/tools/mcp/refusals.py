"""HTTP answers of MCP servers that are refusals → errors that say why, and what a caller can do about it."""

from __future__ import annotations

import contextlib
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from antiphon.config.masking import masked
from antiphon.core.tools.mcp_content import FAULTS
from antiphon.tools.base import ToolServerError
from antiphon.tools.mcp.event_stream import body
from antiphon.tools.mcp.messages import RpcError, RpcMessage, messages, printable

if TYPE_CHECKING:
    from httpx2 import Response

MOST_EXPLAINED = 64 * 1024
"""Bytes of the body of a refusal."""
MOST_WORDS = 300
"""Characters of a refusal that is plain text."""
MOST_CHALLENGE = 4096
"""Characters of `www-authenticate` that are looked at."""

_PARAMETER = re.compile(r'\b(error|error_description|scope)="([^"\\]{0,1000})"')
_NOT_ALLOWED = (401, 403)
_WORDY = ("application/json", "application/problem+json", "text/plain")


class HttpRefusal(ToolServerError):
    """A server refuses without a word of MCP: it may be none, or not one of this transport."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(_told(status, reason))
        self.status = status


class NotAllowed(HttpRefusal):
    """A server does not accept who is asking: another try would fare no better."""


class SessionLost(ToolServerError):
    """A server does not know its session any more; the request was not looked at."""


class _Explanation(msgspec.Struct):
    """What OAuth servers and gateways put into a body."""

    error: str = ""
    error_description: str = ""
    message: str = ""
    detail: str = ""


async def check(response: Response, *, in_session: bool = False, no_message: bool = False) -> None:
    """Refuse what is no answer: a redirect, an error, something packed. Raises ToolServerError.

    `in_session`: the request named a session, which the server may have forgotten. `no_message`: it held no message of
    MCP, so that an error is about the request itself.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ToolServerError("it sent a content encoding that was not requested.")
    status = response.status_code
    if 200 <= status < 300:
        return
    told = await _body(response) if status >= 400 and kind_of(response) in _WORDY else b""
    error = _rpc_error(told)
    if status in _NOT_ALLOWED:
        raise NotAllowed(status, _challenge(response) or _words(told, error))
    if in_session and (status == 404 or (status == 400 and error is not None and "session" in str(error).lower())):
        raise SessionLost(str(error) if error is not None else _told(status, "the session is gone"))
    if error is not None and not no_message:
        raise error
    raise HttpRefusal(status, _words(told, error))


async def _body(response: Response) -> bytes:
    with contextlib.suppress(ToolServerError):
        return await body(response, MOST_EXPLAINED)
    return b""


def _rpc_error(data: bytes) -> RpcError | None:
    found: list[RpcMessage] = []
    if data:
        with contextlib.suppress(ToolServerError):
            found = messages(data)
    return next((RpcError(one.error) for one in found if one.error is not None), None)


def _told(status: int, reason: str) -> str:
    """Return a refusal in words: the status, its name, what the server says."""
    with contextlib.suppress(ValueError):
        return f"it answered with HTTP status {status} ({HTTPStatus(status).phrase}){f': {reason}' if reason else '.'}"
    return f"it answered with HTTP status {status}{f': {reason}' if reason else '.'}"


def _challenge(response: Response) -> str:
    """Return what `www-authenticate` says of the reason (RFC 6750, 3), without its addresses."""
    found = dict(_PARAMETER.findall(response.headers.get("www-authenticate", "")[:MOST_CHALLENGE]))
    reason = ": ".join(found[name] for name in ("error", "error_description") if found.get(name))
    scope = f"scope {found['scope']!r} is needed" if found.get("scope") else ""
    return _safe("; ".join(piece for piece in (reason, scope) if piece))


def _words(data: bytes, error: RpcError | None) -> str:
    if error is not None:
        return str(error).removeprefix("it answered with ")
    try:
        told = msgspec.json.decode(data, type=_Explanation)
    except FAULTS:
        text = " ".join(data.decode("utf-8", "replace").split())
        return "" if text.startswith(("{", "[", "<")) else _safe(text[:MOST_WORDS])
    words = told.error_description or told.message or told.detail
    return _safe(": ".join(piece for piece in (told.error, words) if piece))


def _safe(text: str) -> str:
    return printable(masked(text)) if text else ""


def kind_of(response: Response) -> str:
    """Return the media type of an answer, in lower case and without parameters."""
    kind: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind
