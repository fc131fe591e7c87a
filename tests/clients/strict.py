"""What real chat completions backends refuse with a 400."""

from __future__ import annotations

import re

from tests.clients.chat import Json

_PARTS = {"user": ("text", "image_url", "input_audio", "file"), "assistant": ("text", "refusal")}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def fault(body: Json) -> str:
    """Return what is wrong with a request, "" where nothing is."""
    if not body.get("model") or not body.get("messages"):
        return "model and messages are needed"
    return _messages(body["messages"]) or _tools(body)


def _messages(messages: list[Json]) -> str:
    waiting: list[str] = []
    for index, message in enumerate(messages):
        wrong = _order(message, waiting) or _content(message)
        if wrong:
            return f"messages[{index}]: {wrong}"
    return f"calls without an answer: {waiting}" if waiting else ""


def _order(message: Json, waiting: list[str]) -> str:
    role = message.get("role")
    if role not in ("system", "developer", "user", "assistant", "tool"):
        return f"unknown role {role!r}"
    if role == "tool":
        if message.get("tool_call_id") not in waiting:
            return "a tool message must follow its call"
        waiting.remove(message["tool_call_id"])
    elif waiting:
        return f"tool messages are missing for {waiting}"
    waiting.extend(call["id"] for call in message.get("tool_calls") or ())
    return ""


def _content(message: Json) -> str:
    content = message.get("content")
    if content is None:
        return "" if message.get("tool_calls") else "content is null"
    if isinstance(content, str):
        return ""
    allowed = _PARTS.get(message["role"], ("text",))
    odd = [part.get("type") for part in content if part.get("type") not in allowed]
    return f"parts {odd} in a {message['role']} message" if odd or not content else ""


def _tools(body: Json) -> str:
    for tool in body.get("tools") or ():
        if tool.get("type") not in ("function", "custom"):
            return f"unknown tool type {tool.get('type')!r}"
        if not _NAME.fullmatch(tool[tool["type"]].get("name") or ""):
            return f"bad tool name in {tool!r}"
    return "tool_choice without tools" if body.get("tool_choice") == "required" and not body.get("tools") else ""
