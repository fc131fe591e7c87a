# ruff: noqa: E501 (a table reads best with one case per line)
"""Samples of Messages requests: one of each kind of block, tool and field, and the golden cases as Messages bodies."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tests.attack import corpus

Json = dict[str, Any]

PATHS = ("/messages", "/messages", "/messages", "/messages?beta=true", "/messages/count_tokens")

_PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
_PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}
_TEXT: Json = {"type": "text", "text": "hi"}
_CALL: Json = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}

USER_BLOCKS: tuple[Json, ...] = (
    _TEXT,
    {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    {"type": "text", "text": "hi", "citations": [{"type": "char_location", "cited_text": "h", "document_index": 0, "start_char_index": 0, "end_char_index": 1}]},
    {"type": "image", "source": _PNG},
    {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1:9/a.png"}},
    {"type": "image", "source": {"type": "file", "file_id": "file-1"}},
    {"type": "document", "source": _PDF, "title": "a", "context": "b", "citations": {"enabled": True}},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}},
    {"type": "document", "source": {"type": "content", "content": [_TEXT, {"type": "image", "source": _PNG}]}},
    {"type": "document", "source": {"type": "content", "content": "hi"}},
    {"type": "document", "source": {"type": "url", "url": "http://127.0.0.1:9/a.pdf"}},
    {"type": "document", "source": {"type": "file", "file_id": "file-1"}},
    {"type": "search_result", "source": "http://a", "title": "t", "content": [_TEXT], "citations": {"enabled": True}},
    {"type": "container_upload", "file_id": "file-1"},
    {"type": "tool_reference", "tool_name": "g"},
)  # fmt: skip

RESULTS: tuple[Json, ...] = (
    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"},
    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [_TEXT, {"type": "image", "source": _PNG}], "is_error": True},
    {"type": "tool_result", "tool_use_id": "toolu_1"},
    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "tool_reference", "tool_name": "g"}]},
    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "search_result", "source": "s", "title": "t", "content": [_TEXT]}]},
    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "document", "source": _PDF}]},
)  # fmt: skip

ASSISTANT_BLOCKS: tuple[Json, ...] = (
    _TEXT,
    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
    {"type": "thinking", "thinking": "", "signature": "ANT2.AAAA"},
    {"type": "redacted_thinking", "data": "cmVk"},
    {"type": "redacted_thinking", "data": "ANT2." + "A" * 80},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "a"}},
    {"type": "server_tool_use", "id": "srvtoolu_2", "name": "tool_search_tool_regex", "input": {"query": "a"}},
    {"type": "tool_search_tool_result", "tool_use_id": "srvtoolu_2", "content": {"type": "tool_search_tool_search_result", "tool_references": [{"type": "tool_reference", "tool_name": "late"}]}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result", "url": "http://a", "title": "t", "encrypted_content": "x"}]},
    {"type": "mcp_tool_use", "id": "m1", "name": "f", "server_name": "s", "input": {}},
    {"type": "mcp_tool_result", "tool_use_id": "m1", "content": []},
    {"type": "mcp_tool_listing", "mcp_server_name": "s", "tools": [{"name": "t", "input_schema": {"type": "object"}}]},
    {"type": "compaction", "content": "earlier"},
    {"type": "compaction", "content": [_TEXT]},
    {"type": "code_execution_tool_result", "tool_use_id": "s", "content": {"type": "code_execution_result", "stdout": "", "return_code": 0}},
    _CALL,
)  # fmt: skip

SYSTEM_BLOCKS: tuple[Json, ...] = (
    _TEXT,
    {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "g"}},
    {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {"name": "h", "input_schema": {"type": "object"}}}},
    {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "f"}},
    {"type": "tool_removal", "tool": {"type": "mcp_tool_reference", "server_name": "s", "name": "t"}},
    {"type": "tool_removal", "tool": {"type": "mcp_toolset_reference", "server_name": "s"}},
    {"type": "text", "text": "x-anthropic-billing-header: a", "cache_control": {"type": "ephemeral"}},
)  # fmt: skip

TOOLS: tuple[Json, ...] = (
    {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}},
    {"type": "custom", "name": "g", "input_schema": {"type": "object"}, "strict": True, "defer_loading": True},
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 100},
    {"type": "memory_20250818", "name": "memory"},
    {"type": "computer_20250124", "name": "computer", "display_width_px": 1, "display_height_px": 1},
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 5, "allowed_domains": ["a.org"]},
    {"type": "web_fetch_20250910", "name": "web_fetch", "citations": {"enabled": True}},
    {"type": "code_execution_20250825", "name": "code_execution"},
    {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
    {"type": "tool_search_tool_bm25", "name": "tool_search_tool_bm25"},
    {"name": "late", "description": "Late.", "input_schema": {"type": "object", "properties": {"a": {"description": "b"}}}, "defer_loading": True},
    {"type": "mcp_toolset", "mcp_server_name": "s", "default_config": {"enabled": True}},
    {"type": "mcp_toolset", "mcp_server_name": "s", "tools": [{"name": "t", "input_schema": {}}]},
)  # fmt: skip

FIELDS: tuple[Json, ...] = (
    {"system": "Be brief."},
    {"system": [_TEXT, SYSTEM_BLOCKS[3]]},
    {"stop_sequences": ["END", "\n\n"]},
    {"temperature": 0.5, "top_p": 0.9, "top_k": 5},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 5000},
    {"thinking": {"type": "adaptive", "display": "omitted"}},
    {"thinking": {"type": "disabled"}},
    {"output_config": {"effort": "max", "format": {"type": "json_schema", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}}},
    {"output_format": {"type": "json_schema", "schema": {"type": "object"}}},
    {"metadata": {"user_id": "ann"}},
    {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}, "tools": [TOOLS[0]]},
    {"tool_choice": {"type": "tool", "name": "f"}, "tools": [TOOLS[0]]},
    {"tool_choice": {"type": "any"}, "tools": list(TOOLS[:2])},
    {"tool_choice": {"type": "none"}},
    {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
    {"mcp_servers": [{"type": "url", "url": "http://127.0.0.1:9", "name": "s", "authorization_token": "t"}]},
    {"container": {"skills": []}, "service_tier": "auto", "inference_geo": "us", "speed": "fast", "fallbacks": ["a"]},
    {"cache_control": {"type": "ephemeral"}, "max_tokens": 0},
    {"thread": {"id": "x"}},
)  # fmt: skip


def _body(messages: list[Json], **fields: Any) -> Json:
    return {"model": "scripted", "max_tokens": 64, "messages": messages, **fields}


def _user(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def _said(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


@cache
def samples() -> list[Json]:
    """Return a body with each block, tool and field, and those of the golden cases."""
    ask = {"role": "user", "content": "hi"}
    found = [_body([_user(block)]) for block in USER_BLOCKS]
    found += [_body([ask, _said(_TEXT, _CALL), _user(one, _TEXT)], tools=[*TOOLS[:2]]) for one in RESULTS]
    found += [_body([ask, _said(block), ask]) for block in ASSISTANT_BLOCKS]
    found += [
        _body([ask, {"role": "system", "content": [block], "output_config": {"effort": "low"}, "clear_at": None}, ask], tools=[*TOOLS[:2]])
        for block in SYSTEM_BLOCKS
    ]  # fmt: skip
    found += [_body([ask], tools=[tool]) for tool in TOOLS]
    found += [_body([ask], **fields) for fields in FIELDS]
    found.append(_body([ask], tools=list(TOOLS), system=list(SYSTEM_BLOCKS)))
    return [*found, *map(as_messages, corpus.golden())]


@cache
def types() -> list[str]:
    """Return the values of `type` in the samples, sorted."""
    found: set[str] = set()

    def look(value: Any) -> None:
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            look(inner)
        if isinstance(value, dict) and isinstance(value.get("type"), str):
            found.add(value["type"])

    look(samples())
    return sorted(found)


def as_messages(fields: Json) -> Json:
    """Return a request of the Responses API as a Messages body, as far as it has a form there."""
    given = fields["input"]
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else list(map(_message, given))
    found = _body([one for one in messages if one["content"]])
    if fields.get("instructions"):
        found["system"] = fields["instructions"]
    if fields.get("tools"):
        found["tools"] = [_tool(tool) for tool in fields["tools"] if isinstance(tool, dict)]
    if fields.get("max_output_tokens"):
        found["max_tokens"] = fields["max_output_tokens"]
    return found


def _tool(tool: Json) -> Json:
    if tool.get("type") != "function":
        return {**tool, "name": tool.get("name", tool.get("type"))}
    return {
        "name": tool.get("name"),
        "description": tool.get("description"),
        "input_schema": tool.get("parameters") or {"type": "object"},
    }


def _message(item: Json) -> Json:
    match item.get("type", "message"):
        case "message":
            content = item.get("content")
            role = "user" if item.get("role") != "assistant" else "assistant"
            return {"role": role, "content": content if isinstance(content, str) else list(map(_block, content or ()))}
        case "function_call":
            try:
                arguments = json.loads(item["arguments"])
            except ValueError:
                arguments = {"raw": item["arguments"]}
            return _said({"type": "tool_use", "id": item["call_id"], "name": item["name"], "input": arguments})
        case "function_call_output":
            output = item["output"]
            content = output if isinstance(output, str) else list(map(_block, output))
            return _user({"type": "tool_result", "tool_use_id": item["call_id"], "content": content})
        case "reasoning":
            text = "".join(part.get("text", "") for part in (*item.get("content", ()), *item.get("summary", ())))
            return _said({"type": "thinking", "thinking": text, "signature": item.get("encrypted_content") or "c2ln"})
    return _said({**item})


def _block(part: Json) -> Json:
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": part.get("text", "")}
        case "input_image":
            return {"type": "image", "source": {"type": "url", "url": part.get("image_url", "")}}
        case "input_file":
            return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}}  # fmt: skip
    return {**part}
