"""A request to a relayed route as it is read: JSON or a form, its model, whether it streams."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from antiphon.access.limits import Demand
from antiphon.core.relayed_request import RelayedForm, WriteBody
from antiphon.core.request.json_text import MOST_VALUES
from antiphon.core.request.validation import decode, decode_fields, missing
from antiphon.core.text.pieces import joined
from antiphon.core.turn import with_operators
from antiphon.errors import InvalidRequest
from antiphon.runtime.offload import by_size
from antiphon.server.http.messages import Request
from antiphon.server.http.multipart import Field, read_fields
from antiphon.types.request import ModelName

MOST_FIELDS = 64
"""Fields of such a form: 16 pictures, and what is said of them."""

MOST_FIELD = 1024 * 1024
"""Bytes of a field that is no file: a prompt."""

MOST_PICTURES = 10
"""Pictures that one request may ask for."""

BYTES_PER_TOKEN = 4

_HEADER = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class AskedHead(msgspec.Struct, frozen=True):
    """What this server reads of every such request."""

    model: ModelName | None = None
    stream: bool | None = None
    stream_format: str | None = None
    n: Annotated[int, Meta(ge=1)] | None = None


JsonShape = Literal["text", "array", "object"]
_FIRST: Mapping[JsonShape, bytes] = {"text": b'"', "array": b"[", "object": b"{"}

_head = msgspec.json.Decoder(AskedHead)
_of_form = msgspec.json.Decoder(AskedHead, strict=False)


class AskedRelay(msgspec.Struct, frozen=True, kw_only=True):
    """A request: `fields` of JSON, or `parts` of a form. `size`: bytes of its body."""

    head: AskedHead
    size: int
    fields: Mapping[str, Raw] = {}
    parts: Sequence[Field] = ()

    @property
    def streams(self) -> bool:
        """Whether the answer is to come as events."""
        return bool(self.head.stream) or self.head.stream_format == "sse"

    @property
    def weight(self) -> int:
        """About how many bytes it has on its way to a backend: with files and pictures in place of their ids and URLs."""
        return max(self.size, sum(memoryview(value).nbytes for value in self.fields.values()))

    def has(self, name: str) -> bool:
        """Tell whether a field is there; null counts as absent."""
        if self.parts:
            return any(part.name in (name, f"{name}[]") for part in self.parts)
        return bytes(self.fields.get(name, b"null")) != b"null"

    def require(self, *names: str) -> None:
        """Refuse a request without one of these fields. Raises InvalidRequest."""
        absent = next((name for name in names if not self.has(name)), None)
        if absent is not None:
            raise missing(absent)

    def require_text(self, name: str, other: JsonShape | None = None) -> None:
        """Refuse a request whose field is neither a text nor, in JSON, of the `other` shape. Raises InvalidRequest."""
        self.require(name)
        shapes: tuple[JsonShape, ...] = ("text", other) if other else ("text",)
        if not self.parts and not bytes(self.fields[name]).startswith(tuple(_FIRST[shape] for shape in shapes)):
            wanted = " or ".join(shapes)
            raise InvalidRequest(f"Invalid value for '{name}': expected {wanted}.", param=name, code="invalid_type")

    def demand(self, most: int | None = None) -> Demand:
        """Return what it will use in tokens, as far as it can be told: files count as nothing. `most`: of the answer."""
        if not self.parts:
            return Demand(self.size // BYTES_PER_TOKEN, most)
        texts = sum(len(part.content) for part in self.parts if part.filename is None)
        return Demand(texts // BYTES_PER_TOKEN, most)

    def json(self, endpoint: str) -> RelayedForm:
        """Return it as it goes to a backend: JSON with the backend's name of the model."""
        return RelayedForm(endpoint=endpoint, write=fields_writer(self.fields))

    def form(self, endpoint: str) -> RelayedForm:
        """Do the same for a form."""
        mark = f"antiphon-{secrets.token_hex(16)}"
        kind = f"multipart/form-data; boundary={mark}".encode()
        return RelayedForm(endpoint=endpoint, write=form_writer(mark, self.parts), content_type=kind)


async def read_json(request: Request, *, values: int = MOST_VALUES) -> AskedRelay:
    """Read a request that is JSON; `values`: how many it may have where they are more than usual. Raises APIError."""
    body = await request.body(values=values)
    head, fields = await by_size(len(body), _decoded, body)
    return AskedRelay(head=head, fields=fields, size=len(body))


def _decoded(body: bytes) -> tuple[AskedHead, Mapping[str, Raw]]:
    return decode(_head, body), decode_fields(body)


async def read_relayed_form(request: Request, most: int) -> AskedRelay:
    """Read a form of `most` bytes at most. Raises APIError."""
    body = await request.body(form=True, most=most)
    request.hold(len(body))  # as its parts are copies
    parts = await read_fields(body, request.header(b"content-type") or b"", MOST_FIELDS)
    for part in parts:
        if part.filename is None and len(part.content) > MOST_FIELD:
            raise InvalidRequest(f"'{part.name[:64]}' is longer than {MOST_FIELD} bytes.", param=part.name[:64])
    told = {
        part.name: part.text for part in parts if part.filename is None and part.name in AskedHead.__struct_fields__
    }
    head = decode(_of_form, msgspec.json.encode({name: text or None for name, text in told.items()}))
    return AskedRelay(head=head, parts=parts, size=len(body))


def fields_writer(fields: Mapping[str, Raw]) -> WriteBody:
    """Return what writes JSON: the fields with the backend's model, and the operator's own, which win."""

    def write(model: str, extra: Mapping[str, Raw]) -> bytes:
        named = {**with_operators(fields, extra), "model": Raw(msgspec.json.encode(model))}
        parts = [b"{"]
        for name, value in named.items():
            parts += (msgspec.json.encode(name), b":", bytes(value), b",")
        parts[-1] = b"}"
        return joined(parts)

    return write


def form_writer(mark: str, parts: Sequence[Field]) -> WriteBody:
    """Return what writes a form; its boundary is drawn by lot, so nothing in a part can be one."""

    def write(model: str, extra: Mapping[str, Raw]) -> bytes:
        own = {name: plain_value(value) for name, value in extra.items()}
        kept = [part for part in parts if part.name != "model" and part.name not in own]
        named = [Field(name=name, content=value) for name, value in {**own, "model": model.encode()}.items()]
        pieces: list[bytes] = []
        for part in (*named, *kept):
            pieces += (_part_head(mark, part), part.content, b"\r\n")
        return joined([*pieces, f"--{mark}--\r\n".encode()])

    return write


def plain_value(value: Raw) -> bytes:
    """Return a value of the operator's as a form has it: texts as they are, all else as JSON."""
    found = msgspec.json.decode(value)
    return found.encode() if isinstance(found, str) else bytes(value)


def _part_head(mark: str, part: Field) -> bytes:
    name = part.name.translate(_HEADER)
    if part.filename is None:
        return f'--{mark}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n'.encode("utf-8", "replace")
    file = part.filename.translate(_HEADER)
    kind = part.content_type if part.content_type.isprintable() and part.content_type else "application/octet-stream"
    return (
        f'--{mark}\r\ncontent-disposition: form-data; name="{name}"; filename="{file}"\r\ncontent-type: {kind}\r\n\r\n'
    ).encode("utf-8", "replace")
