"""Headers and credentials of MCP servers: which a request may set, which are sent, and which are secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit

from antiphon.config import McpServerConfig
from antiphon.core.json_encoding import to_json
from antiphon.errors import InvalidRequest
from antiphon.tools.base import McpTool

MOST_HEADERS = 64
MOST_BYTES = 16 * 1024
"""Bytes that a declaration's headers and `authorization` may have together."""
MOST_URL = 8192
MOST_SECRETS = 160
"""Values of a declaration that are looked for in what its server sends."""
SHORTEST_SECRET = 8
"""Characters of the shortest value that is masked where a server repeats it."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OURS = re.compile(
    r"host|content-.*|transfer-encoding|connection|keep-alive|upgrade|te|trailer|expect|proxy-.*|accept|accept-encoding"
    r"|mcp-.*|last-event-id|date|via|forwarded|x-forwarded-.*|:.*",
    re.IGNORECASE,
)
"""Headers of the connection and of the protocol: they are this server's."""
_PLAIN = frozenset(("accept-language", "user-agent", "referer", "origin", "traceparent", "tracestate"))
"""Headers whose values are no secrets."""


def check_headers(tool: McpTool, configured: McpServerConfig | None, param: str) -> None:
    """Refuse headers that a request may not set, or that are none. Raises InvalidRequest."""
    headers = tool.headers or {}
    given = tool.authorization or ""
    size = sum(len(name) + len(value) for name, value in headers.items()) + len(given)
    if len(headers) > MOST_HEADERS or size > MOST_BYTES:
        raise InvalidRequest(
            f"Invalid '{param}.headers': at most {MOST_HEADERS} headers with {MOST_BYTES} bytes in total are allowed.",
            param=f"{param}.headers",
        )
    if not _VALUE.fullmatch(given):
        raise InvalidRequest(
            f"Invalid '{param}.authorization': must be printable ASCII.", param=f"{param}.authorization"
        )
    for name, value in headers.items():
        _check_header(name, value, f"{param}.headers")
    if len(tool.server_url or "") > MOST_URL:
        raise InvalidRequest(
            f"Invalid '{param}.server_url': must be at most {MOST_URL} characters.", param=f"{param}.server_url"
        )
    if len(secrets_of(tool, None)) > MOST_SECRETS:
        raise InvalidRequest(
            f"Too many values in 'headers' and 'server_url': at most {MOST_SECRETS} can be masked.",
            param=f"{param}.headers",
        )
    if configured is not None:
        _check_allowed(tool, configured, param)


def _check_header(name: str, value: str, param: str) -> None:
    if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise InvalidRequest("Invalid header: name and value must be printable ASCII.", param=param)
    if _OURS.fullmatch(name):
        raise InvalidRequest(f"Invalid header '{name}': it is set by this server.", param=param)


def _check_allowed(tool: McpTool, configured: McpServerConfig, param: str) -> None:
    """Refuse headers for a server of the operator's, but for those that the operator leaves to clients."""
    allowed = {name.lower() for name in configured.client_headers} - {name.lower() for name in configured.headers}
    given = dict.fromkeys(tool.headers or {}, f"{param}.headers")
    if tool.authorization is not None:
        given["authorization"] = f"{param}.authorization"
    for name, where in given.items():
        if name.lower() not in allowed:
            raise InvalidRequest(
                f"The MCP server '{tool.server_label}' has its credentials from the configuration: a request cannot set"
                f" the header '{name.lower()}'.",
                param=where,
                code="unsupported_parameter",
            )


def headers_for(tool: McpTool, configured: McpServerConfig | None) -> dict[str, str]:
    """Return the headers that are sent; the operator's own stand above the request's."""
    headers = {name.lower(): value for name, value in (tool.headers or {}).items()}
    if tool.authorization:
        headers["authorization"] = f"Bearer {tool.authorization}"
    if configured is not None:
        headers.update({name.lower(): value for name, value in configured.headers.items()})
    return headers


def secrets_of(tool: McpTool, configured: McpServerConfig | None) -> list[str]:
    """Return what a server may have been told in confidence, the longest first, to be masked where it repeats that."""
    found = {value for value in _secrets(tool, configured) if len(value) >= SHORTEST_SECRET}
    found |= {to_json(value)[1:-1].decode() for value in found}  # as JSON spells them
    return sorted(found, key=len, reverse=True)


def _secrets(tool: McpTool, configured: McpServerConfig | None) -> Iterator[str]:
    yield tool.authorization or ""
    yield from _of_headers(tool.headers or {})
    for url in (tool.server_url, configured.url if configured else None):
        yield from _of_url(url or "")
    if configured is not None:
        yield from _of_headers(configured.headers)
        yield from configured.env.values()


def _of_headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if name.lower() not in _PLAIN:
            yield value
            yield value.partition(" ")[2]  # the token behind a scheme


def _of_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    yield from (value for _, value in parse_qsl(parts.query))
    yield from (part for part in parts.path.split("/") if len(part) >= 2 * SHORTEST_SECRET)
    if parts.query:
        yield url
