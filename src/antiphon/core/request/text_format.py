"""`text` of a request, nested or flat → one form (contract, "Request fields")."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from antiphon.core.request.validation import decode, decode_fields
from antiphon.errors import InvalidRequest
from antiphon.types.request import SchemaFormat, TextConfig, TextFormat


class ResolvedText(msgspec.Struct, frozen=True):
    """`text` in one form: the format, the verbosity and whether the request was flat."""

    format: TextFormat
    verbosity: str | None = None
    flat: bool = False


PLAIN = ResolvedText(TextFormat(type="text"))


def resolve_text(text: TextConfig | None) -> ResolvedText:
    """Bring both forms of `text` into one. Raises InvalidRequest when a schema or its name is missing."""
    if text is None:
        return PLAIN
    if text.format is not None:
        return ResolvedText(_complete(text.format, "text.format"), text.verbosity)
    if text.type is None:
        return ResolvedText(PLAIN.format, text.verbosity)
    flat = TextFormat(
        type=text.type,
        name=text.name,
        schema=text.schema,
        strict=text.strict,
        description=text.description,
        json_schema=text.json_schema,
    )
    return ResolvedText(_complete(flat, "text"), text.verbosity, flat=True)


def schema_format(nested: Raw | None, path: str) -> SchemaFormat:
    """Return what stands under `json_schema`; many clients put the bare schema there, without a name. Raises InvalidRequest."""
    if nested is None:
        return SchemaFormat()
    if is_bare_schema(nested, path):
        return SchemaFormat(name="response", schema=nested)
    return decode(_schema_format, nested, path)


def is_bare_schema(nested: Raw, path: str) -> bool:
    """Tell whether what stands under `json_schema` is the schema itself. Raises InvalidRequest where it is no object."""
    fields = decode_fields(nested, path)
    return "schema" not in fields and not _KEYWORDS.isdisjoint(fields)


_KEYWORDS = frozenset("type properties required items enum const anyOf oneOf allOf $ref $defs $schema".split())
_schema_format = msgspec.json.Decoder(SchemaFormat)


def _complete(format: TextFormat, path: str) -> TextFormat:
    if format.type != "json_schema":
        return TextFormat(type=format.type)
    inner = schema_format(format.json_schema, f"{path}.json_schema")
    schema = format.schema if format.schema is not None else inner.schema
    name = format.name or inner.name or ("response" if path == "text" else None)
    for value, field in ((schema, "schema"), (name, "name")):
        if value is None:
            raise InvalidRequest(
                f"Missing required parameter: '{path}.{field}'.",
                param=f"{path}.{field}",
                code="missing_required_parameter",
            )
    if not bytes(schema or b"").lstrip().startswith(b"{"):
        raise InvalidRequest(
            f"Invalid '{path}.schema': must be a JSON Schema object.", param=f"{path}.schema", code="invalid_type"
        )
    strict = format.strict if format.strict is not None else inner.strict
    return TextFormat(
        type="json_schema",
        name=name,
        schema=schema,
        strict=strict,
        description=format.description or inner.description,
    )
