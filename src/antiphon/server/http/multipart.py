"""Forms with files (multipart/form-data, RFC 7578): a body → its fields. The contents are taken as they are.

The parsing is python-multipart's; here are the bounds, and what a form must have.
"""

from __future__ import annotations

import asyncio
import logging
from io import BytesIO
from typing import TYPE_CHECKING

import msgspec

from antiphon.errors import InvalidRequest

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks, MultipartParser

MOST_FIELDS = 32
MOST_HEADERS = 16
MOST_HEADER_BYTES = 4096
MOST_TYPE_BYTES = 1024
"""Bytes of a content type: the longest boundary has 70 (RFC 2046, 5.1.1)."""

MOST_GATHERED = 64 * 1024
"""Bytes of the fields beside the file, where a form is read while it comes; and before its first boundary."""

STEP = 1024 * 1024
"""Bytes that are parsed in one go: between two, other threads run."""

THREAD_ABOVE = 256 * 1024
"""Bytes above which a form is parsed off the event loop."""

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # what it warns of is the client's affair: a 400


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field. A file has a `filename`, the `path` that ends with it, and mostly a `content_type`."""

    name: str
    content: bytes
    filename: str | None = None
    path: str = ""
    content_type: str = ""

    @property
    def text(self) -> str:
        """The value of a field that is no file."""
        return self.content.decode("utf-8", "replace")


async def read_form(body: bytes, content_type: bytes) -> dict[str, Field]:
    """Return the fields by name, the last one of each; off the event loop where that takes long. Raises InvalidRequest."""
    if len(body) > THREAD_ABOVE:
        return await asyncio.to_thread(parse_form, body, content_type)
    return parse_form(body, content_type)


async def read_fields(body: bytes, content_type: bytes, most: int) -> list[Field]:
    """Return at most so many fields, those of one name too, as they come. Raises InvalidRequest."""
    if len(body) > THREAD_ABOVE:
        return await asyncio.to_thread(_parse, body, content_type, most)
    return _parse(body, content_type, most)


def parse_form(body: bytes, content_type: bytes) -> dict[str, Field]:
    """Do what `read_form` does, in this thread."""
    return {field.name: field for field in _parse(body, content_type, MOST_FIELDS)}


def _parse(body: bytes, content_type: bytes, most: int) -> list[Field]:
    boundary = form_boundary(content_type)
    form = FormFields(most=most)
    start = first_boundary(body, b"--" + boundary)
    if start is None:
        raise malformed_form("its boundary does not occur in it")
    view = memoryview(body)
    parser = form_parser(boundary, form)
    for offset in range(start, len(body), STEP):
        feed(parser, bytes(view[offset : offset + STEP]))
    if not form.ended:
        raise malformed_form("its end is missing")
    return form.found


def form_parser(boundary: bytes, form: FormFields) -> MultipartParser:
    """Return a parser that tells a form of what it finds."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    try:
        return MultipartParser(
            boundary, form.callbacks(), max_header_count=MOST_HEADERS, max_header_size=MOST_HEADER_BYTES
        )
    except FormParserError as error:
        raise malformed_form(str(error)) from None


def feed(parser: MultipartParser, data: bytes) -> None:
    """Parse. Raises InvalidRequest."""
    from python_multipart.exceptions import FormParserError

    try:
        parser.write(data)
    except FormParserError as error:
        raise malformed_form(str(error)) from None


class FormFields:
    """Gathers the fields of a form, `most` of them: `found` as the parser finds them, `fields` by name, the last of each.

    With `streamed` the content of the file of that name goes to `arrived`, and all else has `MOST_GATHERED` bytes at most.
    """

    def __init__(self, streamed: str | None = None, most: int = MOST_FIELDS) -> None:
        self.fields: dict[str, Field] = {}
        self.found: list[Field] = []
        self.ended = False
        self.arrived = bytearray()
        self._streamed = streamed
        self._gathered = 0
        self._most = most
        self._name_of: str | None = None  # of the field at hand, once it is known
        self._filename: str | None = None
        self._path = ""
        self._count = 0
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._content = BytesIO()

    def callbacks(self) -> MultipartCallbacks:
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_part_data": self._on_data,
            "on_part_end": self._end,
            "on_end": self._on_end,
        }

    def _begin(self) -> None:
        self._count += 1
        if self._count > self._most:
            raise malformed_form(f"it has more than {self._most} fields")
        self._headers, self._content, self._name_of = {}, BytesIO(), None

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._name.lower()] = self._value.strip()
        self._name = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._streamed is None:
            self._content.write(memoryview(data)[start:end])
            return
        name = self._known()
        if name == self._streamed and self._filename is not None:
            if name in self.fields:
                raise malformed_form(f"it has more than one '{name}'")
            self.arrived += memoryview(data)[start:end]
            return
        self._gathered += end - start
        if self._gathered > MOST_GATHERED:
            raise malformed_form(f"its fields beside '{self._streamed}' have more than {MOST_GATHERED} bytes")
        self._content.write(memoryview(data)[start:end])

    def _known(self) -> str:
        """Return the name of the field at hand, whose headers are complete."""
        if self._name_of is None:
            parameters = _options(self._headers.get(b"content-disposition", b""))
            if b"name" not in parameters:
                raise malformed_form("a field has no name")
            filename = parameters.get(b"filename")
            self._path = "" if filename is None else _text(filename)
            self._filename = None if filename is None else _last_step(self._path)
            self._name_of = _text(parameters[b"name"])
        return self._name_of

    def _end(self) -> None:
        name = self._known()
        self.fields[name] = Field(
            name=name,
            content=self._content.getvalue(),  # no copy
            filename=self._filename,
            path=self._path,
            content_type=self._headers.get(b"content-type", b"").decode("latin-1"),
        )
        self._content = BytesIO()
        self.found.append(self.fields[name])

    def _on_end(self) -> None:
        self.ended = True


def form_boundary(content_type: bytes) -> bytes:
    if len(content_type) > MOST_TYPE_BYTES:
        raise malformed_form(f"its content type is longer than {MOST_TYPE_BYTES} bytes")
    parameters = _options(content_type)
    boundary = parameters.get(b"boundary", b"")
    if not boundary:
        raise malformed_form("its content type names no boundary")
    return boundary


def _options(value: bytes) -> dict[bytes, bytes]:
    """Return the parameters of a header such as `form-data; name="file"`."""
    from python_multipart.multipart import parse_options_header

    return parse_options_header(value)[1]


def first_boundary(body: bytes, delimiter: bytes) -> int | None:
    """Return where the first delimiter begins, None where there is none; what stands before it is passed over."""
    if body.startswith(delimiter):
        return 0
    offset = body.find(b"\r\n" + delimiter)
    return None if offset < 0 else offset + 2


def _text(value: bytes) -> str:
    """Undo the escapes of HTML 5, which all clients use but for old ones."""
    for escape, character in ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n")):
        value = value.replace(escape, character)
    return value.decode("utf-8", "replace")


def _last_step(name: str) -> str:
    """Return a file's name without the folders before it."""
    return name.replace("\\", "/").rpartition("/")[2]


def malformed_form(reason: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid form: {reason}.", code="invalid_form")
