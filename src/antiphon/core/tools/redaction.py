"""What a request's tools show of themselves: MCP declarations without their secrets (OpenAI's "MCP" guide). Pure.

OpenAI shows neither `authorization` nor `headers`, and of `server_url` the origin only: paths and queries hold tokens too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import MCP, SECRETIVE
from antiphon.core.request.validation import decode_any

REDACTED = "<redacted>"
SHOWN = frozenset(
    """
    type server_label server_url server_description connector_id tunnel_id allowed_tools allowed_callers
    require_approval defer_loading
    """.split()
)
"""Fields of an MCP declaration that are shown; any other may be a secret."""

NAMING = frozenset("type name server_label namespace".split())
"""Fields by which a choice names a tool."""

HEADERS = "headers"
SECRET_NAMES = (
    HEADERS, "authorization", "credentials", "password", "secret", "secrets", "api_key", "apikey", "access_key", "private_key",
    "_token",
)  # fmt: skip
"""How names of fields end that hold a secret, in small letters and with `_` for `-`."""

_URL = re.compile(r"(?P<origin>[a-zA-Z]+://[\w.:\[\]-]+)(?P<rest>|[/?#].*)", re.DOTALL)
_fields = msgspec.json.Decoder(dict[str, Raw])
_array = msgspec.json.Decoder(list[Raw])


class _ToolKind(msgspec.Struct):
    type: str


_kind = msgspec.json.Decoder(_ToolKind)


def shown_tool(raw: Raw) -> Raw:
    """Return the declaration of a tool that is not the client's own as it may be shown and stored."""
    if _is_mcp(raw):
        return _shown_mcp(raw)
    data = bytes(raw)
    if not any(name in data for name in _MAY_HOLD_SECRETS):
        return raw
    return Raw(to_json(_without_secrets(decode_any(data, "tools"))))


_MAY_HOLD_SECRETS = (b"secret", b"base64", b"\\u")


def _without_secrets(value: Any) -> Any:
    """Leave out the secrets that a network policy injects ("domain_secrets"), and the bundles of inline skills."""
    if isinstance(value, dict):
        shown = {name: _without_secrets(inner) for name, inner in value.items() if name != "domain_secrets"}
        return {**shown, "data": REDACTED} if shown.get("type") == "base64" and "data" in shown else shown
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value


def _shown_mcp(raw: Raw) -> Raw:
    fields = {name: value for name, value in _fields.decode(raw).items() if name in SHOWN}
    if "server_url" in fields:
        fields["server_url"] = Raw(to_json(shown_url(fields["server_url"])))
    return Raw(to_json(fields))


def shown_field(name: str, raw: Raw) -> Raw | None:
    """Return a field of a request that this server does not know, without the secrets in it; None where it is one.

    Fields are told by their names; what cannot be read may hold anything.
    """
    data = bytes(raw)
    if data[:1] not in (b"{", b"[", b'"') or (data[:1] == b'"' and not _names_secret(name)):
        return raw
    try:
        value = msgspec.json.decode(data)
        shown = _without_named({name: value})
    except (ValueError, RecursionError):
        return None
    if name not in shown:
        return None
    return raw if shown[name] == value else Raw(to_json(shown[name]))


def _without_named(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_named(inner) for name, inner in value.items() if not _holds_secret(name, inner)}
    return [_without_named(inner) for inner in value] if isinstance(value, list) else value


def _holds_secret(name: str, value: Any) -> bool:
    """Tell whether a field is a secret; an object is one where it is of headers: else it may be a schema."""
    if isinstance(value, dict) and not name.lower().endswith(HEADERS):
        return False
    return isinstance(value, (str, list, dict)) and _names_secret(name)


def _names_secret(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return plain == "token" or plain.endswith(SECRET_NAMES)


def shown_choice(fields: Mapping[str, Raw]) -> dict[str, Raw]:
    """Return an entry of `allowed_tools`: what names a tool, and nothing of a declaration that was put in its place."""
    if not _may_hold_secrets(Raw(to_json(fields))):
        return dict(fields)
    return {name: value for name, value in fields.items() if name in NAMING}


def shown_url(url: Raw) -> str:
    """Return a URL's origin; all behind it is `<redacted>`."""
    try:
        found = _URL.fullmatch(msgspec.json.decode(url, type=str))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return REDACTED
    if found is None:
        return REDACTED
    return f"{found['origin']}/{REDACTED}" if found["rest"].strip("/") else found["origin"]


def shown_item(raw: Raw) -> Raw:
    """Return an item that brings tools, with its MCP declarations as they may be shown and stored."""
    fields = _fields.decode(raw)
    try:
        tools = _array.decode(fields["tools"])
    except (msgspec.MsgspecError, KeyError, ValueError, RecursionError):
        return raw  # whoever reads the tools refuses it
    if not any(map(_may_hold_secrets, tools)):
        return raw
    fields["tools"] = Raw(to_json([shown_tool(tool) if _may_hold_secrets(tool) else tool for tool in tools]))
    return Raw(to_json(fields))


def _may_hold_secrets(tool: Raw) -> bool:
    try:
        return _kind.decode(tool).type in SECRETIVE
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


def _is_mcp(tool: Raw) -> bool:
    try:
        return _kind.decode(tool).type == MCP
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


def without(text: str, secrets: Iterable[str]) -> str:
    """Return a text without these secrets."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text
