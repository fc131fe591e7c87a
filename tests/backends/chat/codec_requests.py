"""Requests and histories for the tests of the codec of chat completions."""

from __future__ import annotations

from typing import Any

from antiphon.core.tools.history import NOT_KEPT
from tests.backends.chat.chats import TIME, WEATHER, ask, sent

Json = dict[str, Any]


def call(id: str, name: str = "get_weather", arguments: str = "{}", **fields: Any) -> Json:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments, **fields}


def output(id: str, value: Any = "ok") -> Json:
    return {"type": "function_call_output", "call_id": id, "output": value}


def messages(*items: Json, profile: str = "generic", roles: str = "system", **fields: Any) -> list[Json]:
    found: list[Json] = sent(ask(*items, **fields), profile, roles=roles)["messages"]
    return found


HISTORY: list[tuple[Json, Json | None, str, Json, str]] = [
    (
        {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": 'a"\n'},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
        "apply_patch",
        {"input": 'a"\n'},
        "done",
    ),
    (
        {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}},
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "x"}]},
        "shell",
        {"commands": ["ls"]},
        '[{"stdout":"x"}]',
    ),
    (
        {
            "type": "local_shell_call",
            "id": "i",
            "call_id": "c",
            "action": {"type": "exec", "command": ["ls"], "env": {}},
        },
        {"type": "local_shell_call_output", "id": "c", "output": "x"},
        "local_shell",
        {"type": "exec", "command": ["ls"], "env": {}},
        "x",
    ),
    (
        {
            "type": "apply_patch_call",
            "call_id": "c",
            "status": "completed",
            "operation": {"type": "delete_file", "path": "a"},
        },
        {"type": "apply_patch_call_output", "call_id": "c", "status": "failed"},
        "apply_patch",
        {"type": "delete_file", "path": "a"},
        "failed",
    ),
    (
        {"type": "tool_search_call", "call_id": "c", "arguments": {"query": "weather"}},
        {
            "type": "tool_search_output",
            "call_id": "c",
            "tools": [{"type": "namespace", "name": "w", "tools": [WEATHER, TIME]}],
        },
        "tool_search",
        {"query": "weather"},
        "Found, and can be called now: w__get_weather, w__get_time",
    ),
    (
        {"type": "mcp_call", "id": "c", "server_label": "s", "name": "t", "arguments": '{"a":1}', "output": "x"},
        None,
        "s__t",
        {"a": 1},
        "x",
    ),
    (
        {
            "type": "mcp_call",
            "id": "c",
            "server_label": "s",
            "name": "t",
            "arguments": "{}",
            "error": {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "down"}]},
        },
        None,
        "s__t",
        {},
        "Error: down",
    ),
    (
        {"type": "web_search_call", "id": "ws", "action": {"type": "search", "query": "a", "queries": ["a", "b"]}},
        None,
        "web_search",
        {"queries": ["a", "b"]},
        NOT_KEPT,
    ),
    (
        {"type": "web_search_call", "id": "ws", "action": {"type": "find_in_page", "url": "u", "pattern": "p"}},
        None,
        "find_in_page",
        {"url": "u", "pattern": "p"},
        NOT_KEPT,
    ),
    (
        {"type": "file_search_call", "id": "fs", "queries": ["q"], "results": [{"filename": "a.md", "text": "Text."}]},
        None,
        "file_search",
        {"queries": ["q"]},
        "a.md\nText.",
    ),
    (
        {
            "type": "code_interpreter_call",
            "id": "ci",
            "code": "1+1",
            "outputs": [{"type": "logs", "logs": "2"}, {"type": "image", "url": "data:image/png;base64,AA"}],
        },
        None,
        "python",
        {"code": "1+1"},
        "2",
    ),
    (
        {"type": "code_interpreter_call", "id": "ci", "code": "1+1", "outputs": None},
        None,
        "python",
        {"code": "1+1"},
        NOT_KEPT,
    ),
]


SELF_ANSWERED = next(index for index, row in enumerate(HISTORY) if row[1] is None and row[0]["type"] == "mcp_call")
"""From there on items hold what they gave themselves."""
