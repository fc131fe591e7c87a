"""A body as it came → a body to decode: packed bodies are unpacked, within bounds."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.errors import APIError, InvalidRequest
from antiphon.runtime.offload import LARGE, by_size
from antiphon.server.http.inflate import BROKEN, UNPACK, NoRoom, Unpackable
from antiphon.server.http.messages import Header

INLINE = 64 * 1024
"""Packed bytes up to which a body is unpacked on the event loop, if its text is small too."""

INLINE_TEXT = 512 * 1024
"""Unpacked bytes up to which that is done: it takes less than a millisecond."""

BOM = b"\xef\xbb\xbf"


def too_large(limit: int) -> APIError:
    """Return the 413."""
    return APIError(413, f"The request body is larger than {limit} bytes.", code="request_too_large")


def check_content_type(value: bytes | None, *, form: bool = False) -> None:
    """Refuse forms with files, or with `form` all else; what is no such form is read as JSON (`curl -d` calls it a form).

    Raises APIError 415.
    """
    if (value is not None and value.strip().lower().startswith(b"multipart/")) != form:
        wanted = "a form: multipart/form-data" if form else "JSON: application/json"
        raise APIError(415, f"The request body must be {wanted}.", code="unsupported_content_type")


def encoding(headers: Sequence[Header]) -> str:
    """Return the content encoding, "" where there is none. One layer is undone. Raises APIError 415."""
    given = [value for name, value in headers if name == b"content-encoding"]
    if not given:
        return ""
    names = [token.strip().lower() for value in given for token in value.decode("latin-1").split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if not names:
        return ""
    if names[0] not in UNPACK:
        raise _unsupported(f"Content encoding '{names[0][:40]}' is not supported.")
    if len(names) > 1:
        raise _unsupported("The request body has more than one content encoding.")
    return names[0]


async def unpack(body: bytes, name: str, limit: int) -> bytes:
    """Undo a content encoding. Raises APIError 413 above `limit` bytes, 400 for broken data.

    What can take long is done off the event loop.
    """
    if len(body) <= INLINE:
        try:
            return _unpacked(body, name, min(limit, INLINE_TEXT))
        except NoRoom:
            if limit <= INLINE_TEXT:
                raise too_large(limit) from None
    return await by_size(LARGE, unpack_now, body, name, limit)


def unpack_now(body: bytes, name: str, limit: int) -> bytes:
    """Do what `unpack` does, in this thread."""
    try:
        return _unpacked(body, name, limit)
    except NoRoom:
        raise too_large(limit) from None


def _unpacked(body: bytes, name: str, limit: int) -> bytes:
    """Undo a content encoding. Raises NoRoom, and APIError 400."""
    try:
        return UNPACK[name](body, limit)
    except Unpackable as reason:
        raise _broken(name, f": {reason}") from None
    except BROKEN:
        raise _broken(name) from None


def _broken(name: str, reason: str = "") -> InvalidRequest:
    return InvalidRequest(f"The request body is not valid {name} data{reason}.", code="invalid_encoding")


def _unsupported(reason: str) -> APIError:
    return APIError(
        415,
        f"{reason} Use one of gzip, deflate, br and zstd.",
        code="unsupported_content_encoding",
        headers={"accept-encoding": "gzip, deflate, br, zstd"},
    )
