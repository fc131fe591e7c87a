"""A body as it came → a body to decode: packed bodies are unpacked, up to a limit."""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import brotli

from antiphon.errors import APIError, InvalidRequest
from antiphon.server.http import Header

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Unpack: TypeAlias = Callable[[bytes, int], bytes]

MOST_ENCODINGS = 3
THREAD_ABOVE = 64 * 1024  # packed bytes; what takes long must not hold up other streams
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


def encodings(headers: Sequence[Header]) -> list[str]:
    """Return the content encodings in the order in which they were applied. Raises APIError 415."""
    names = [
        token.strip().lower()
        for name, value in headers
        if name == b"content-encoding"
        for token in value.decode("latin-1").split(",")
    ]
    names = [name for name in names if name not in ("", "identity")]
    for name in names:
        if name not in _UNPACK:
            raise _unsupported(f"Content encoding '{name[:40]}' is not supported.")
    if len(names) > MOST_ENCODINGS:
        raise _unsupported("The request body is packed too many times.")
    return names


async def unpack(body: bytes, names: list[str], limit: int) -> bytes:
    """Undo content encodings, the last one first. Raises APIError 413 above `limit` bytes, 400 for broken data."""
    if len(body) > THREAD_ABOVE:
        return await asyncio.to_thread(unpack_now, body, names, limit)
    return unpack_now(body, names, limit)


def unpack_now(body: bytes, names: list[str], limit: int) -> bytes:
    """Do what `unpack` does, in this thread."""
    for name in reversed(names):
        try:
            body = _UNPACK[name](body, limit)
        except (zlib.error, brotli.error, zstd.ZstdError, EOFError):
            raise _broken(name) from None
    return body


def _gzip(body: bytes, limit: int) -> bytes:
    """Unpack gzip; a file of several members is their texts in a row."""
    parts, rest, size = [], body, 0
    while rest:
        member = zlib.decompressobj(wbits=31)
        parts.append(_inflate(member, rest, limit - size, limit))
        size += len(parts[-1])
        rest = member.unused_data.lstrip(b"\0")
    if not parts:
        raise EOFError
    return b"".join(parts)


def _deflate(body: bytes, limit: int) -> bytes:
    """Unpack deflate: with zlib's head as RFC 9110 has it, or raw, as some clients send it."""
    try:
        return _inflate(zlib.decompressobj(), body, limit, limit)
    except zlib.error:
        return _inflate(zlib.decompressobj(wbits=-15), body, limit, limit)


def _inflate(inflater: zlib._Decompress, data: bytes, room: int, limit: int) -> bytes:
    unpacked = inflater.decompress(data, room + 1)
    if len(unpacked) > room:
        raise too_large(limit)
    if not inflater.eof:
        raise EOFError
    return unpacked


def _brotli(body: bytes, limit: int) -> bytes:
    decompressor = brotli.Decompressor()
    parts = [decompressor.process(body, output_buffer_limit=limit + 1)]
    size = len(parts[0])
    while size <= limit and not decompressor.is_finished() and not decompressor.can_accept_more_data():
        parts.append(decompressor.process(b"", output_buffer_limit=limit + 1))
        size += len(parts[-1])
    if size > limit:
        raise too_large(limit)
    if not decompressor.is_finished():
        raise EOFError
    return b"".join(parts)


def _zstd(body: bytes, limit: int) -> bytes:
    """Unpack zstd; several frames in a row are one text."""
    parts, rest, size = [], body, 0
    while rest:
        frame = zstd.ZstdDecompressor()
        parts.append(frame.decompress(rest, limit - size + 1))
        size += len(parts[-1])
        if size > limit:
            raise too_large(limit)
        if not frame.eof:
            raise EOFError
        rest = frame.unused_data
    if not parts:
        raise EOFError
    return b"".join(parts)


_UNPACK: dict[str, Unpack] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def _broken(name: str) -> InvalidRequest:
    return InvalidRequest(f"The request body is not valid {name} data.", code="invalid_encoding")


def _unsupported(reason: str) -> APIError:
    return APIError(
        415,
        f"{reason} Use gzip, deflate, br or zstd.",
        code="unsupported_content_encoding",
        headers={"accept-encoding": "gzip, deflate, br, zstd"},
    )
