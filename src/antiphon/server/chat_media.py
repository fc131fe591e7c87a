"""Media of a chat completions request that is handed on: URLs are fetched or checked, as those of Responses requests are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from antiphon.core.emitter import to_json
from antiphon.core.media_urls import may_hold_urls
from antiphon.core.validation import decode_any
from antiphon.media import Media
from antiphon.offload import by_size


async def with_media(
    media: Media, fields: Mapping[str, Raw], messages: list[Raw], owner: str, *, inline: bool
) -> Mapping[str, Raw]:
    """Return a request's fields with its messages' media ready for a backend, and its tools' servers checked.

    With `inline` they are fetched and sent as data. Raises InvalidRequest with `param` such as
    `messages[0].content[1].image_url.url`.
    """
    if "tools" in fields and may_hold_urls(fields["tools"]):
        await _check_servers(media, decode_any(fields["tools"], "tools"))
    size = sum([len(bytes(message)) for message in messages])
    if not await by_size(size, _any_urls, messages):
        return fields
    values = await by_size(size, _decoded, messages)
    contents = [value.get("content") if isinstance(value, dict) else None for value in values]
    found = False
    for index, content in enumerate(contents):
        if isinstance(content, list | dict):
            path = f"messages[{index}].content"
            found = await media.admit_json(content, owner, inline=inline, path=path) or found
    return {**fields, "messages": Raw(to_json(values))} if found else fields


def _any_urls(messages: Sequence[Raw]) -> bool:
    return any(may_hold_urls(message) for message in messages)


def _decoded(messages: Sequence[Raw]) -> list[Any]:
    return [decode_any(message, f"messages[{index}]") for index, message in enumerate(messages)]


async def _check_servers(media: Media, tools: Any) -> None:
    """Check where the MCP servers are that a backend is asked to call itself."""
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        url = tool.get("server_url") if isinstance(tool, dict) else None
        if isinstance(url, str):
            await media.guard.check(url, f"tools[{index}].server_url")
