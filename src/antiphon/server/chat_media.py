"""Media of a chat completions request that is handed on: URLs are fetched or checked, as those of Responses requests are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from antiphon.caller import Caller
from antiphon.core.emitter import to_json
from antiphon.core.media_urls import may_hold_urls
from antiphon.core.redaction import MCP
from antiphon.core.validation import decode_any
from antiphon.errors import InvalidRequest
from antiphon.mcp_declarations import MOST_SERVERS, check_named, named_server
from antiphon.media import Media
from antiphon.offload import by_size


async def with_media(
    media: Media, fields: Mapping[str, Raw], messages: list[Raw], caller: Caller, *, inline: bool
) -> Mapping[str, Raw]:
    """Return a request's fields with its messages' media ready for a backend, and its tools' servers checked.

    With `inline` they are fetched and sent as data. Raises InvalidRequest with `param` such as
    `messages[0].content[1].image_url.url`.
    """
    if "tools" in fields and may_name_servers(fields["tools"]):
        await _check_servers(media, fields["tools"], caller)
    size = sum([len(bytes(message)) for message in messages])
    if not await by_size(size, _any_urls, messages):
        return fields
    values = await by_size(size, _decoded, messages)
    contents = [value.get("content") if isinstance(value, dict) else None for value in values]
    found = False
    for index, content in enumerate(contents):
        if isinstance(content, list | dict):
            path = f"messages[{index}].content"
            found = await media.admit_json(content, caller.owner, inline=inline, path=path) or found
    return {**fields, "messages": Raw(to_json(values))} if found else fields


def _any_urls(messages: Sequence[Raw]) -> bool:
    return any(may_hold_urls(message) for message in messages)


def _decoded(messages: Sequence[Raw]) -> list[Any]:
    return [decode_any(message, f"messages[{index}]") for index, message in enumerate(messages)]


def may_name_servers(tools: Raw) -> bool:
    """Tell whether declarations of tools may name an MCP server, without reading them."""
    text = bytes(tools)
    return b"mcp" in text or b"server_" in text or b"\\u" in text


async def _check_servers(media: Media, tools: Raw, caller: Caller) -> None:
    """Check the MCP servers that a backend is asked to call itself. Raises InvalidRequest."""
    found = decode_any(tools, "tools")
    count = 0
    for index, tool in enumerate(found if isinstance(found, list) else ()):
        if not isinstance(tool, dict) or not (
            tool.get("type") == MCP or "server_url" in tool or "server_label" in tool
        ):
            continue
        count += 1
        if count > MOST_SERVERS:
            raise InvalidRequest(f"A request declares at most {MOST_SERVERS} MCP servers.", param="tools")
        path = f"tools[{index}]"
        await check_named(named_server(to_json(tool), path), caller, media.guard, path)
