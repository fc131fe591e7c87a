"""What every answer's head carries: request id, processing time, type, length; and how a route words its errors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.errors import APIError
from antiphon.responses.services import random_digits
from antiphon.server.http.cors import readable_by
from antiphon.server.http.messages import Header, Reply

JSON_TYPE: Header = (b"content-type", b"application/json")

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_UNSAFE = re.compile(rb"[\r\n\0]")


def error_reply(error: APIError, request_id: str = "") -> Reply:
    """Return an error as OpenAI's clients read it."""
    return Reply(to_json(error.body()), error.status, headers=error_headers(error))


def error_headers(error: APIError) -> list[Header]:
    """Return the headers that an error brings along."""
    return [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in error.headers.items()]


class AnswerForm(msgspec.Struct, frozen=True, kw_only=True):
    """How a route's answers look apart from what its handler says: a front end may have its own.

    `error` words an error for a request id; names of headers are in lower case.
    """

    error: Callable[[APIError, str], Reply] = error_reply
    id_header: bytes = b"x-request-id"
    time_header: bytes = b"openai-processing-ms"


OPENAI = AnswerForm()


class ResponseHead:
    """Makes the headers of one answer, in the `form` of its route. A sane `x-request-id` of the client's is kept.

    `fields` are the first of each of the request's headers.
    """

    __slots__ = ("_started", "form", "origin", "request_id", "shared")

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        self._started = time.perf_counter()
        self.origin = fields.get(b"origin")  # of the page that asks, where it is one
        self.shared = False  # whether that page may read the answer
        given = fields.get(b"x-request-id")
        if given is not None and _SANE_ID.fullmatch(given):
            self.request_id = given.decode()
        else:
            self.request_id = f"req_{random_digits()[1:]}"
        self.form = OPENAI

    @property
    def id_header(self) -> Header:
        """The header that names the request."""
        return self.form.id_header, self.request_id.encode()

    def headers(self, reply: Reply) -> list[Header]:
        """Return a whole answer's headers."""
        headers = self.begin(reply.content_type, reply.headers)
        if reply.status != 204:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        return headers

    def begin(self, content_type: str, extra: Sequence[Header]) -> list[Header]:
        """Return a streamed answer's headers."""
        form = self.form
        kind = JSON_TYPE if content_type == "application/json" else (b"content-type", content_type.encode())
        elapsed = (form.time_header, b"%d" % ((time.perf_counter() - self._started) * 1000))
        headers = [kind, (form.id_header, self.request_id.encode()), elapsed]
        for name, value in extra:
            headers.append((name, _UNSAFE.sub(b" ", value)))
        if self.shared and self.origin is not None:
            headers += readable_by(_UNSAFE.sub(b" ", self.origin), headers)
        return headers


def server_error() -> APIError:
    """Return the 500 that tells nothing but that it was our fault."""
    return APIError(500, "The server had an error while processing your request.", code="internal_error")
