"""Calls and formats that a server does not bring about by itself: the answer is constrained, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import loads
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.profiles import Profile
from antiphon.core.emitter import to_json
from antiphon.core.grammar import GrammarError, lark_to_gbnf, regex_to_gbnf
from antiphon.core.toolmap import Offer


class Emulation(msgspec.Struct, frozen=True, kw_only=True):
    """How the answer is constrained.

    `schema`: the answer is JSON, a call as `{"name", "arguments"}` or the wanted format. `raw`: the answer is the input of
    the custom tool that has this chat name. `fields` go into the request.
    """

    schema: Raw | None = None
    raw: str | None = None
    fields: Mapping[str, bytes] = {}


def constraint(offer: Offer, profile: Profile) -> dict[str, bytes] | None:
    """Return the request fields that hold a custom tool's input to its grammar; None where the server has no way."""
    format = offer.format
    if format is None or format.type != "grammar" or not isinstance(format.definition, str):
        return None
    definition = format.definition
    try:
        match profile.grammar, format.syntax:
            case "gbnf", "regex":
                return {"grammar": to_json(regex_to_gbnf(definition))}
            case "gbnf", "lark":
                return {"grammar": to_json(lark_to_gbnf(definition))}
            case "structured_outputs", "regex":
                return {"structured_outputs": to_json({"regex": definition})}
            case "structured_outputs", "lark":
                return {"structured_outputs": to_json({"grammar": lark_to_gbnf(definition)})}
            case "sglang", "regex":
                return {"regex": to_json(definition)}
            case "sglang", "lark":
                return {"ebnf": to_json(lark_to_gbnf(definition))}
            case _:
                return None
    except GrammarError:
        # A grammar that cannot be carried over stays in the tool's description.
        return None


def call_schema(offers: Sequence[Offer], format: Raw | None) -> Raw:
    """Return the schema of an answer that is one call of these, or follows the format if one is given."""
    definitions: dict[str, Any] = {}
    forms: list[Any] = []
    for place, offer in enumerate(offers):
        arguments = _hoist(offer.parameters, f"t{place}", definitions)
        forms.append(
            {
                "type": "object",
                "properties": {"name": {"const": offer.chat_name}, "arguments": arguments},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    if format is not None:
        forms.append(_hoist(format, "f", definitions))
    schema = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return Raw(to_json({**schema, "$defs": definitions} if definitions else schema))


def _hoist(schema: Raw, prefix: str, definitions: dict[str, Any]) -> Any:
    """Return a schema for use inside another: its definitions move to the root, under names of their own."""
    if b'"$ref"' not in bytes(schema):
        return schema
    value = loads(bytes(schema))
    for name in ("$defs", "definitions"):
        for key, entry in value.pop(name, {}).items():
            definitions[f"{prefix}_{key}"] = _renamed(entry, prefix)
    return _renamed(value, prefix)


def _renamed(value: Any, prefix: str) -> Any:
    if isinstance(value, list):
        return [_renamed(entry, prefix) for entry in value]
    if not isinstance(value, dict):
        return value
    renamed = {key: _renamed(entry, prefix) for key, entry in value.items()}
    reference = renamed.get("$ref")
    if isinstance(reference, str):
        for root in ("#/$defs/", "#/definitions/"):
            if reference.startswith(root):
                renamed["$ref"] = f"#/$defs/{prefix}_{reference[len(root) :]}"
    return renamed


class _Called(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: Raw


_called = msgspec.json.Decoder(_Called)


def read_call(answer: str) -> tuple[str, str] | None:
    """Return the function and the arguments of an answer that is a call, or None."""
    try:
        called = _called.decode(answer)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return called.name, bytes(called.arguments).decode()
