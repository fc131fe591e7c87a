"""Media of a relayed chat completions request: URLs are fetched or checked, as in Responses requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from antiphon.access.caller import Caller
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import MCP
from antiphon.core.media.urls import UrlSlot, may_hold_urls, url_slots
from antiphon.core.request.validation import decode_any
from antiphon.core.text.pieces import joined
from antiphon.errors import InvalidRequest
from antiphon.responses.intake.abilities import MOST_MEDIA
from antiphon.responses.intake.mcp_declarations import MOST_SERVERS, check_named, named_server
from antiphon.responses.intake.media import Media
from antiphon.runtime.offload import by_size

MESSAGE = 256
"""Bytes that a message counts beside its own where its size decides whether a thread reads it."""


async def with_media(
    media: Media, fields: Mapping[str, Raw], messages: list[Raw], caller: Caller, *, inline: bool
) -> Mapping[str, Raw]:
    """Return a request's fields with its messages' media ready for a backend, and its tools' servers checked.

    With `inline` they are fetched and sent as data. Raises InvalidRequest with `param` such as
    `messages[0].content[1].image_url.url`.
    """
    if "tools" in fields and may_name_servers(fields["tools"]):
        await _check_servers(media, fields["tools"], caller)
    size = sum([MESSAGE + len(bytes(message)) for message in messages])
    if not await by_size(size, may_hold_urls, fields["messages"]):
        return fields
    values, slots = await by_size(size, _slots_of, messages)
    for here in slots:
        await media.admit_slots(here, caller.owner, inline=inline, path="messages")
    return {**fields, "messages": Raw(await by_size(size, _written, values))} if slots else fields


def _slots_of(messages: Sequence[Raw]) -> tuple[list[Any], list[list[UrlSlot]]]:
    """Return the messages, and where URLs stand in each that has some. Raises InvalidRequest where there are too many."""
    values: list[Any] = []
    found: list[list[UrlSlot]] = []
    left = MOST_MEDIA
    for index, message in enumerate(messages):
        value = decode_any(message, f"messages[{index}]")
        values.append(value)
        content = value.get("content") if isinstance(value, dict) else None
        slots = list(url_slots(content, f"messages[{index}].content")) if isinstance(content, list | dict) else []
        left -= len(slots)
        if left < 0:
            raise InvalidRequest(
                f"Too many images and files: at most {MOST_MEDIA} are allowed per request.",
                param=f"messages[{index}].content",
            )
        if slots:
            found.append(slots)
    return values, found


def _written(values: Sequence[Any]) -> bytes:
    parts = [b"["]
    for value in values:
        parts += (to_json(value), b",")
    parts[-1] = b"]"
    return joined(parts)


def may_name_servers(tools: Raw) -> bool:
    """Tell whether declarations of tools may name an MCP server, without reading them."""
    text = bytes(tools)
    return b"mcp" in text or b"server_" in text or b"\\u" in text


async def _check_servers(media: Media, tools: Raw, caller: Caller) -> None:
    """Check the MCP servers that a backend is asked to call itself. Raises InvalidRequest."""
    found = await by_size(len(bytes(tools)), decode_any, tools, "tools")
    count = 0
    for index, tool in enumerate(found if isinstance(found, list) else ()):
        if not isinstance(tool, dict) or not (
            tool.get("type") == MCP or "server_url" in tool or "server_label" in tool
        ):
            continue
        count += 1
        if count > MOST_SERVERS:
            raise InvalidRequest(
                f"Too many MCP servers: at most {MOST_SERVERS} are allowed per request.", param="tools"
            )
        path = f"tools[{index}]"
        await check_named(named_server(to_json(tool), path), caller, media.guard, path)
