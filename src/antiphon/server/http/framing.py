"""What a request's head must be beside what the parser sees to: version, Host, transfer codings (RFC 9112)."""

from __future__ import annotations

import base64
import binascii
import string
from collections.abc import Mapping, Sequence

from websockets.exceptions import InvalidHeaderFormat
from websockets.headers import parse_extension

from antiphon.errors import APIError, InvalidRequest
from antiphon.server.http.messages import Header

MAX_HEAD = 64 * 1024
"""Bytes of a request line and its headers. Codex sends up to 8 kB, cookies of a shared domain more."""

MAX_FRAMING = 64 * 1024
"""Bytes of trailers, or of a chunk's extensions, in a row."""

SMALLEST_SHARE = 8
"""How many bytes may come for each byte of a body: a chunk of one byte has five more."""

LONGEST_EXTENSIONS = 1024
"""Bytes of `Sec-WebSocket-Extensions`."""

_HOST_CHARACTERS = (string.ascii_letters + string.digits + "-._~%!$&'()*+,;=:[]").encode()


def invalid_http(reason: str) -> InvalidRequest:
    """Return the 400 for what is not HTTP/1.1."""
    return InvalidRequest(f"Invalid HTTP request: {reason}.", code="invalid_http")


def head_too_large() -> APIError:
    """Return the 431."""
    return APIError(431, f"The request's headers are larger than {MAX_HEAD} bytes.", code="headers_too_large")


def lacks_version(url: bytes, version: str, data: bytes | memoryview) -> bool:
    """Tell whether the first request line has ended without a version: HTTP/0.9, whose clients send nothing more."""
    return url != b"" and version == "0.0" and b"\n" in bytes(data)


def size_of(url: bytes, headers: Sequence[Header]) -> int:
    """Return the bytes of a head that count for `MAX_HEAD`."""
    return len(url) + sum(len(name) + len(value) for name, value in headers)


def head_fault(version: str, url: bytes, headers: Sequence[Header], fields: Mapping[bytes, bytes]) -> APIError | None:
    """Return why a head is refused, or None; `fields` are the first of each of the headers. Its size is not looked at."""
    if version not in ("1.0", "1.1"):
        if version.startswith("0"):
            return invalid_http(f"its version is {version}; supported are 1.0 and 1.1")
        return APIError(505, f"HTTP/{version} is not supported, use HTTP/1.1.", code="http_version_not_supported")
    host = fields.get(b"host")
    if host is None and version != "1.0":
        return invalid_http("it has no Host header")
    if len(fields) != len(headers) and len(_all_of(headers, b"host")) > 1:
        return invalid_http("it has more than one Host header")
    if host is not None and host.strip().translate(None, _HOST_CHARACTERS):
        return invalid_http("its Host header has an invalid character")
    if not url.startswith(b"/") and (origin_form(url)[2] or b"").translate(None, _HOST_CHARACTERS):
        return invalid_http("the host in its target has an invalid character")
    if b"transfer-encoding" in fields:
        return _coding_fault(version, _all_of(headers, b"transfer-encoding"))
    return None


def _all_of(headers: Sequence[Header], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _coding_fault(version: str, codings: Sequence[bytes]) -> APIError | None:
    """Return why the transfer codings are refused: only `chunked`, once, is understood (RFC 9112, 6.1)."""
    if version == "1.0":
        return invalid_http("HTTP/1.0 has no transfer codings")
    names = [name.strip().lower() for value in codings for name in value.split(b",")]
    unknown = next((name for name in names if name != b"chunked"), None)
    if unknown is not None:
        shown = unknown[:40].decode("latin-1")
        return APIError(501, f"Transfer coding '{shown}' is not supported, use 'chunked'.", code="unsupported_coding")
    return invalid_http("it is chunked more than once") if len(names) > 1 else None


def origin_form(url: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Return path, query and, of a target that is a whole URL, the authority that stands for Host (RFC 9112, 3.2.2)."""
    authority = None
    if not url.startswith(b"/") and b"://" in url:
        rest = url.partition(b"://")[2]
        end = min(offset for mark in b"/?#" if (offset := rest.find(mark)) >= 0 or (offset := len(rest)) >= 0)
        authority, url = rest[:end], rest[end:]
        if not url.startswith(b"/"):
            url = b"/" + url
    path, _, query = url.partition(b"?")
    return path, query, authority


def without_upgrade(method: bytes, url: bytes, version: str, headers: Sequence[Header]) -> bytes:
    """Return a request's head without its offer of another protocol; names are in lower case."""
    kept = [b"%b: %b\r\n" % header for header in headers if header[0] not in (b"upgrade", b"http2-settings")]
    return b"".join([b"%b %b HTTP/%b\r\n" % (method, url, version.encode()), *kept, b"\r\n"])


# WebSocket


def handshake_fault(method: bytes, version: str, headers: Sequence[Header]) -> APIError | None:
    """Return why an opening handshake is refused, or None (RFC 6455, 4.2.1)."""
    if method != b"GET":
        return APIError(
            405,
            f"A WebSocket connection is opened with GET, not with {method.decode('latin-1')}.",
            code="method_not_allowed",
            headers={"allow": "GET"},
        )
    values = _values(headers)
    if version != "1.1":
        return _bad_handshake(f"its version is HTTP/{version}, not HTTP/1.1")
    if values.get(b"content-length", [b"0"]) != [b"0"] or b"transfer-encoding" in values:
        return _bad_handshake("it has a body")
    if values.get(b"sec-websocket-version") != [b"13"]:
        return APIError(
            426,
            "Unsupported WebSocket version: send 'Sec-WebSocket-Version: 13'.",
            code="upgrade_required",
            type="invalid_request_error",
            headers={"sec-websocket-version": "13", "upgrade": "websocket"},
        )
    if not _is_key(values.get(b"sec-websocket-key", [])):
        return _bad_handshake("it has not one Sec-WebSocket-Key of 16 bytes in base64")
    if not _are_extensions(values.get(b"sec-websocket-extensions", [])):
        return _bad_handshake("its Sec-WebSocket-Extensions cannot be read")
    return None


def handshake_head(headers: Sequence[Header]) -> bytes:
    """Return the head that the WebSocket library is to see: what it looks at of a handshake that is in order."""
    wanted = [
        b"%b: %b\r\n" % (name, value.strip())
        for name, value in headers
        if name in (b"sec-websocket-key", b"sec-websocket-extensions")
    ]
    start = b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    return b"".join([start, *wanted, b"\r\n"])


def _values(headers: Sequence[Header]) -> dict[bytes, list[bytes]]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value.strip())
    return values


def _is_key(values: Sequence[bytes]) -> bool:
    try:
        return len(values) == 1 and len(base64.b64decode(values[0], validate=True)) == 16
    except binascii.Error:
        return False


def _are_extensions(values: Sequence[bytes]) -> bool:
    if sum(map(len, values)) > LONGEST_EXTENSIONS:
        return False
    try:
        for value in values:
            parse_extension(value.decode("ascii"))
    except (InvalidHeaderFormat, UnicodeDecodeError):
        return False
    return True


def _bad_handshake(reason: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid WebSocket handshake: {reason}.", code="invalid_handshake")
