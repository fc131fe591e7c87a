"""Captures: what was sent to backends for the last stored responses, byte for byte; in this process's memory only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from time import time
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.config.masking import SECRETS
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import BRINGERS, SECRETIVE
from antiphon.core.tools.redaction import REDACTED, shown_choice, shown_field, shown_item, shown_tool, shown_url
from antiphon.core.turn import Sent

SHARE = 4
"""A response has a fourth of all bytes at most: its first calls are forgotten then."""

ENTRY, CALL = 400, 200
"""Bytes that a response, and each request for it, takes beside what was sent."""


class SentRequest(msgspec.Struct, frozen=True):
    """A request that went to a backend at a time (Unix)."""

    at: float
    backend: str
    url: str
    body: bytes


class _Captured(msgspec.Struct):
    owner: str
    calls: list[SentRequest]
    size: int = 0
    forgotten: int = 0


class Captures:
    """The requests of the last responses, `most` bytes of them; 0: none. Each response has its owner."""

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._size = 0
        self._responses: dict[str, _Captured] = {}

    def of(self, response: str, owner: str) -> Sent | None:
        """Return what is told of each request for a response; None where nothing is kept."""
        return partial(self._note, response, owner) if self._most else None

    def _note(self, response: str, owner: str, backend: str, url: str, body: bytes) -> None:
        size = CALL + len(body)
        captured = self._responses.pop(response, None)
        if captured is None:
            captured = _Captured(owner, [])
            size += ENTRY
        self._responses[response] = captured  # the newest is the last
        captured.calls.append(SentRequest(time(), backend, url, body))
        self._grow(captured, size)
        while captured.calls and captured.size > self._most // SHARE:
            self._grow(captured, -CALL - len(captured.calls.pop(0).body))
            captured.forgotten += 1
        while self._size > self._most:
            self.forget(next(iter(self._responses)))

    def _grow(self, captured: _Captured, size: int) -> None:
        captured.size += size
        self._size += size

    def forget(self, response: str) -> None:
        """Forget a response: it was deleted."""
        captured = self._responses.pop(response, None)
        if captured is not None:
            self._size -= captured.size

    def read(self, response: str, owner: str) -> tuple[Sequence[SentRequest], int]:
        """Return the requests for an owner's response, and how many earlier ones are forgotten."""
        captured = self._responses.get(response)
        if captured is None or captured.owner != owner:
            return (), 0
        return tuple(captured.calls), captured.forgotten

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._size


_fields = msgspec.json.Decoder(dict[str, Raw])
_array = msgspec.json.Decoder(list[Raw])
_HIDDEN = Raw(to_json(REDACTED))
SAID = frozenset(("messages", "input", "prompt", "instructions", "system", "tools", "response_format", "text"))
"""Fields that hold what is said and offered, and schemas: names in them are the client's words."""


class _AnyType(msgspec.Struct):
    type: str = ""


_typed = msgspec.json.Decoder(_AnyType)


def shown_body(body: bytes) -> bytes:
    """Return a request's JSON as an operator may see it: without secrets of the settings and of MCP declarations."""
    try:
        fields = _fields.decode(body)
        changed: dict[str, Raw] = {
            name: Raw(b"[%b]" % b",".join(_shown(raw) for raw in _array.decode(fields[name])))
            for name in ("tools", "input")
            if name in fields and bytes(fields[name]).startswith(b"[")
        }
        if bytes(fields.get("mcp_servers", Raw())).startswith(b"["):
            changed["mcp_servers"] = _shown_servers(fields["mcp_servers"])
        if bytes(fields.get("tool_choice", Raw())).startswith(b"{"):
            changed["tool_choice"] = _shown_choice(fields["tool_choice"])
        others = [name for name in fields if name not in SAID and name not in changed]
        changed |= {name: shown_field(name, fields[name]) or _HIDDEN for name in others}
    except (ValueError, RecursionError):
        return to_json(REDACTED)  # what cannot be read may hold anything
    shown = to_json({**fields, **changed}) if _differs(fields, changed) else body
    return SECRETS.hide_in_bytes(shown)


def _shown_servers(raw: Raw) -> Raw:
    """Return MCP servers as the Messages API declares them: of their URLs the origins, and no tokens."""
    servers = []
    for server in _array.decode(raw):
        fields = {name: shown_field(name, value) or _HIDDEN for name, value in _fields.decode(server).items()}
        if "url" in fields:
            fields["url"] = Raw(to_json(shown_url(fields["url"])))
        servers.append(Raw(to_json(fields)))
    return Raw(to_json(servers))


def _shown_choice(raw: Raw) -> Raw:
    fields = shown_choice(_fields.decode(raw))
    if "tools" in fields:
        entries = (shown_choice(_fields.decode(entry)) for entry in _array.decode(fields["tools"]))
        fields["tools"] = Raw(to_json(list(entries)))
    shown = Raw(to_json(fields))
    return raw if msgspec.json.decode(shown) == msgspec.json.decode(raw) else shown


def _differs(fields: Mapping[str, Any], changed: Mapping[str, Raw]) -> bool:
    return any(bytes(fields[name]) != bytes(value) for name, value in changed.items())


def _shown(raw: Raw) -> bytes:
    try:
        type = _typed.decode(raw).type
    except ValueError:
        return bytes(raw)
    if type in SECRETIVE:
        return bytes(shown_tool(raw))
    return bytes(shown_item(raw)) if type in BRINGERS else bytes(raw)
