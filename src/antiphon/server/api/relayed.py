"""Answers of backends that are passed on as they are."""

from __future__ import annotations

from antiphon.backends.base import ByteStream
from antiphon.errors import BackendError

WHOLE_LIMIT = 16 * 1024 * 1024
"""Bytes of such an answer that comes whole."""


async def whole_body(answer: ByteStream) -> bytes:
    """Return the body of an answer that comes whole. Raises BackendError, also for one that is too large."""
    parts: list[bytes] = []
    size = 0
    while data := await answer.read():
        size += len(data)
        if size > WHOLE_LIMIT:
            raise BackendError(502, "The backend's answer is too large.")
        parts.append(data)
    return b"".join(parts)
