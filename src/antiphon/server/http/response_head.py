"""What every answer's head carries: request id, processing time, type, length; and the one error body."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from antiphon.core.json_encoding import to_json
from antiphon.errors import APIError
from antiphon.responses.services import new_id_base
from antiphon.server.http.messages import Header, Reply

JSON_TYPE: Header = (b"content-type", b"application/json")

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_UNSAFE = re.compile(rb"[\r\n\0]")


class ResponseHead:
    """Makes the headers of one answer. A sane `x-request-id` of the client's is kept."""

    __slots__ = ("_started", "id_header", "request_id")

    def __init__(self, headers: Sequence[Header]) -> None:
        self._started = time.perf_counter()
        self.id_header = (b"x-request-id", _client_id(headers) or b"req_" + new_id_base()[16:].encode())
        self.request_id = self.id_header[1].decode()

    def headers(self, reply: Reply) -> list[Header]:
        """Return a whole answer's headers."""
        headers = self.begin(reply.content_type, reply.headers)
        if reply.status != 204:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        return headers

    def begin(self, content_type: str, extra: Sequence[Header]) -> list[Header]:
        """Return a streamed answer's headers."""
        kind = JSON_TYPE if content_type == "application/json" else (b"content-type", content_type.encode())
        elapsed = (b"openai-processing-ms", b"%d" % ((time.perf_counter() - self._started) * 1000))
        headers = [kind, self.id_header, elapsed]
        for name, value in extra:
            headers.append((name, _UNSAFE.sub(b" ", value)))
        return headers


def error_reply(error: APIError) -> Reply:
    """Return the one error body."""
    headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in error.headers.items()]
    return Reply(to_json(error.body()), error.status, headers=headers)


def server_error() -> APIError:
    """Return the 500 that tells nothing but that it was our fault."""
    return APIError(500, "The server had an error while processing your request.", code="internal_error")


def _client_id(headers: Sequence[Header]) -> bytes | None:
    for name, value in headers:
        if name == b"x-request-id":
            return value if _SANE_ID.fullmatch(value) else None
    return None
