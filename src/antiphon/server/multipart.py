"""Forms with files (multipart/form-data, RFC 7578): a body → its fields. The contents are taken as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

import msgspec

from antiphon.errors import InvalidRequest

MOST_FIELDS = 32
MOST_HEADER_BYTES = 16 * 1024

_BOUNDARY = re.compile(rb';\s*boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_PARAMETER = re.compile(rb';\s*([\w*-]+)\s*=\s*(?:"((?:\\["\\]|[^"])*)"|([^\s;]*))')
_ESCAPED = re.compile(rb'\\(["\\])')


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field. A file has a `filename` and mostly a `content_type`."""

    name: str
    content: bytes
    filename: str | None = None
    content_type: str = ""

    @property
    def text(self) -> str:
        """The value of a field that is no file."""
        return self.content.decode("utf-8", "replace")


def parse_form(body: bytes, content_type: bytes) -> dict[str, Field]:
    """Return the fields by name, the last one of each. Raises InvalidRequest."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise _malformed("its content type names no boundary")
    fields: dict[str, Field] = {}
    for count, part in enumerate(_parts(body, b"--" + (found[1] or found[2]))):
        if count == MOST_FIELDS:
            raise _malformed(f"it has more than {MOST_FIELDS} fields")
        field = _field(part)
        fields[field.name] = field
    return fields


def _parts(body: bytes, delimiter: bytes) -> Iterator[memoryview]:
    """Yield what stands between the delimiters, each of which begins a line."""
    start = _first(body, delimiter)
    view = memoryview(body)
    while not body.startswith(b"--", start):
        start = body.find(b"\r\n", start)  # blanks may follow a delimiter
        end = body.find(b"\r\n" + delimiter, start)
        if start < 0 or end < 0:
            raise _malformed("its end is missing")
        yield view[start + 2 : end]
        start = end + 2 + len(delimiter)


def _first(body: bytes, delimiter: bytes) -> int:
    """Return where the first delimiter ends; what stands before it is passed over."""
    if body.startswith(delimiter):
        return len(delimiter)
    place = body.find(b"\r\n" + delimiter)
    if place < 0:
        raise _malformed("its boundary does not occur in it")
    return place + 2 + len(delimiter)


def _field(part: memoryview) -> Field:
    head = bytes(part[:MOST_HEADER_BYTES])
    end = head.find(b"\r\n\r\n")
    if end < 0:
        raise _malformed("a field has no headers, or too long ones")
    headers = _headers(head[:end])
    disposition = headers.get(b"content-disposition", b"")
    parameters = {found[1].lower(): _value(found) for found in _PARAMETER.finditer(disposition)}
    if b"name" not in parameters:
        raise _malformed("a field has no name")
    return Field(
        name=_text(parameters[b"name"]),
        content=bytes(part[end + 4 :]),
        filename=_filename(parameters),
        content_type=headers.get(b"content-type", b"").decode("latin-1"),
    )


def _headers(head: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _value(found: re.Match[bytes]) -> bytes:
    return found[3] if found[2] is None else _ESCAPED.sub(rb"\1", found[2])


def _filename(parameters: dict[bytes, bytes]) -> str | None:
    """Return the last step of the file's name; `filename*` (RFC 5987) goes before `filename`."""
    extended = parameters.get(b"filename*")
    if extended is not None:
        return _last_step(unquote_to_bytes(extended.rpartition(b"'")[2]).decode("utf-8", "replace"))
    plain = parameters.get(b"filename")
    return None if plain is None else _last_step(_text(plain))


def _text(value: bytes) -> str:
    """Undo the escapes of HTML 5, which all clients use but for old ones."""
    for escape, character in ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n")):
        value = value.replace(escape, character)
    return value.decode("utf-8", "replace")


def _last_step(name: str) -> str:
    return re.split(r"[/\\]", name)[-1]


def _malformed(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The form cannot be read: {reason}.", code="invalid_form")
