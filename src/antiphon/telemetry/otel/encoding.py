"""Spans on the wire: OTLP as JSON, or as protobuf (opentelemetry/proto/trace/v1, written by hand: a handful of fields)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from antiphon.core.json_encoding import to_json

Value = str | int | float | bool | Sequence[str]
Attributes = Mapping[str, Value | None]

VARINT, FIXED64, LENGTH = 0, 1, 2
ERROR = 2
SIGNED = (1 << 64) - 1


class SpanData(msgspec.Struct, frozen=True):
    """A span that has ended. Times in nanoseconds (Unix); `parent` is "" where it has none."""

    trace_id: str
    span_id: str
    parent: str
    name: str
    kind: int
    started: int
    ended: int
    attributes: Attributes
    events: Sequence[tuple[int, str]]
    error: str


class Encoding(Protocol):
    """How spans are written."""

    content_type: str

    def span(self, span: SpanData) -> bytes:
        """Return a span, as `body` takes it."""
        ...

    def body(self, spans: Sequence[bytes], resource: Attributes, scope: str, version: str) -> bytes:
        """Return the body of a request with spans."""
        ...


class JsonEncoding:
    """OTLP as JSON."""

    content_type = "application/json"

    def span(self, span: SpanData) -> bytes:
        """Return a JSON object."""
        body: dict[str, Any] = {
            "traceId": span.trace_id,
            "spanId": span.span_id,
            "name": span.name,
            "kind": span.kind,
            "startTimeUnixNano": str(span.started),
            "endTimeUnixNano": str(span.ended),
            "attributes": _json_attributes(span.attributes),
            "events": [{"timeUnixNano": str(when), "name": name} for when, name in span.events],
            "status": {"code": ERROR, "message": span.error} if span.error else {},
        }
        if span.parent:
            body["parentSpanId"] = span.parent
        return to_json(body)

    def body(self, spans: Sequence[bytes], resource: Attributes, scope: str, version: str) -> bytes:
        """Return an ExportTraceServiceRequest."""
        named = to_json({"name": scope, "version": version})
        return b'{"resourceSpans":[{"resource":{"attributes":%b},"scopeSpans":[{"scope":%b,"spans":[%b]}]}]}' % (
            to_json(_json_attributes(resource)),
            named,
            b",".join(spans),
        )


def _json_attributes(values: Attributes) -> list[dict[str, Any]]:
    return [{"key": name, "value": _json_value(value)} for name, value in values.items() if value is not None]


def _json_value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case _:
            return {"arrayValue": {"values": [{"stringValue": one} for one in value]}}


class ProtobufEncoding:
    """OTLP as protobuf. The numbers are those of the fields in the .proto files."""

    content_type = "application/x-protobuf"

    def span(self, span: SpanData) -> bytes:
        """Return a Span."""
        parts = [
            _bytes(1, bytes.fromhex(span.trace_id)),
            _bytes(2, bytes.fromhex(span.span_id)),
            _bytes(4, bytes.fromhex(span.parent)),
            _text(5, span.name),
            _number(6, span.kind),
            _fixed(7, span.started),
            _fixed(8, span.ended),
            *_attributes(9, span.attributes),
            *(_message(11, [_fixed(1, when), _text(2, name)]) for when, name in span.events),
        ]
        if span.error:
            parts.append(_message(15, [_text(2, span.error), _number(3, ERROR)]))
        return b"".join(parts)

    def body(self, spans: Sequence[bytes], resource: Attributes, scope: str, version: str) -> bytes:
        """Return an ExportTraceServiceRequest."""
        scope_spans = [_message(1, [_text(1, scope), _text(2, version)]), *(_field(2, span) for span in spans)]
        return _message(1, [_message(1, _attributes(1, resource)), _message(2, scope_spans)])


def _attributes(number: int, values: Attributes) -> list[bytes]:
    return [
        _message(number, [_text(1, name), _message(2, [_any(value)])])
        for name, value in values.items()
        if value is not None
    ]


def _any(value: Value) -> bytes:
    """Return the field of an AnyValue; it is there for "", 0 and False as well."""
    match value:
        case bool():
            return _tag(2, VARINT) + _varint(int(value))
        case int():
            return _tag(3, VARINT) + _varint(value & SIGNED)
        case float():
            return _tag(4, FIXED64) + struct.pack("<d", value)
        case str():
            return _field(1, _utf8(value))
        case _:
            return _message(5, [_message(1, [_field(1, _utf8(one))]) for one in value])


def _message(number: int, parts: Iterable[bytes]) -> bytes:
    return _field(number, b"".join(parts))


def _text(number: int, text: str) -> bytes:
    return _bytes(number, _utf8(text))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _bytes(number: int, value: bytes) -> bytes:
    return _field(number, value) if value else b""


def _number(number: int, value: int) -> bytes:
    return _tag(number, VARINT) + _varint(value) if value else b""


def _fixed(number: int, value: int) -> bytes:
    return _tag(number, FIXED64) + struct.pack("<Q", value)


def _field(number: int, value: bytes) -> bytes:
    return _tag(number, LENGTH) + _varint(len(value)) + value


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
