"""`text` of a request, nested or flat → one form (contract, "Request fields")."""

from __future__ import annotations

import msgspec

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


def _complete(format: TextFormat, path: str) -> TextFormat:
    if format.type != "json_schema":
        return TextFormat(type=format.type)
    inner = format.json_schema or SchemaFormat()
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
