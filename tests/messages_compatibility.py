"""What becomes of each field, block, tool and event of Anthropic's Messages API: data for docs/compatibility.md and its tests."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """Names, and what becomes of them."""

    names: str
    fate: str


REQUEST = [
    Row("model", "Honoured: an id, an alias, `anthropic/ID`, with or without `[1m]`, or a name of `messages_models`."),
    Row("messages, system, stream, tools, tool_choice, stop_sequences, metadata", "Honoured."),
    Row("max_tokens", "Honoured, brought down to the window; 0 reads the prompt alone."),
    Row(
        "temperature, top_p, top_k",
        "Honoured whatever version of the API is named; `top_k` where the backend knows it.",
    ),
    Row("thinking", "Honoured: `adaptive`, `between_tools`, `disabled`, `enabled` with a budget, `display`."),
    Row("output_config, output_format", "`effort` and `format` honoured; `task_budget` has no effect."),
    Row("context_management, compaction, thread", "Honoured."),
    Row("mcp_servers, container", "Honoured; a container that is not this server's is named in `x-antiphon-ignored`."),
    Row("cache_control", "Taken without effect and not named: backends cache by prefix. An Anthropic backend gets it."),
    Row(
        "billing_policy, diagnostics, fallback_credit_token, fallbacks, inference_geo, safeguards, service_tier, speed,"
        " user_profile_id, workspace_id",
        "Ignored, and named in `x-antiphon-ignored`. An Anthropic backend gets them.",
    ),
    Row("betas", "The header `anthropic-beta`; never refused."),
    Row("any other", "Ignored, and named in `x-antiphon-ignored`."),
]

MESSAGE = [
    Row("role", "`user`, `assistant`, `system`."),
    Row("content", "A string, or blocks. May be absent from a system message with `output_config`."),
    Row("output_config", "Of a system message: the last `effort` counts."),
    Row("clear_at", "Honoured: `next_user_message`, `never`."),
]

BLOCKS = [
    Row("text, image, document, search_result", "Honoured; `citations` of documents have no effect, and are named."),
    Row("tool_use, tool_result, tool_reference", "Honoured."),
    Row(
        "thinking, redacted_thinking",
        "Honoured where the seal is this server's, or there is a text; others are left out.",
    ),
    Row(
        "server_tool_use, web_search_tool_result, web_fetch_tool_result, code_execution_tool_result,"
        " bash_code_execution_tool_result, text_editor_code_execution_tool_result, tool_search_tool_result, mcp_tool_use,"
        " mcp_tool_result",
        "Honoured: earlier calls and what they gave.",
    ),
    Row("mcp_tool_listing", "Honoured: the server is not asked again for its tools before the model is."),
    Row("compaction", "Honoured: it stands for what is before it."),
    Row("tool_addition, tool_removal", "Honoured in system messages: tools, MCP tools, whole toolsets, definitions."),
    Row("advisor_tool_result, container_upload, fallback", "Left out, and named in `x-antiphon-ignored`."),
    Row("any other", "Left out, and named in `x-antiphon-ignored`."),
]

TOOLS = [
    Row("custom", "Honoured, also with `defer_loading` and `strict`."),
    Row(
        "bash_20241022, bash_20250124, text_editor_20241022, text_editor_20250124, text_editor_20250429,"
        " text_editor_20250728, memory_20250818",
        "Functions with a schema of this server; the client runs them.",
    ),
    Row(
        "web_search_20250305, web_search_20260209, web_search_20260318, web_fetch_20250910, web_fetch_20260209,"
        " web_fetch_20260309, web_fetch_20260318, code_execution_20250522, code_execution_20250825, code_execution_20260120,"
        " code_execution_20260521",
        "Run here, where they are on.",
    ),
    Row(
        "tool_search_tool_bm25, tool_search_tool_bm25_20251119, tool_search_tool_regex, tool_search_tool_regex_20251119",
        "Run here.",
    ),
    Row("mcp_toolset", "Honoured with `tools`, `configs`, `default_config`; `defer_loading` is named as ignored."),
    Row(
        "computer_20241022, computer_20250124, computer_20251124, computer_toolset_20260801, browser_toolset_20260801,"
        " advisor_20260301",
        "Not offered, and named in `x-antiphon-ignored`.",
    ),
]

ANSWERED = [
    Row("id, type, role, model, content, stop_reason, stop_sequence, stop_details, container, usage", "Always there."),
    Row("context_management, diagnostics", "With `?beta=true`; `diagnostics` is null."),
    Row("input_transformations", "With the beta `thinking-binding-controls`: thoughts that were left out."),
]

USAGE = [
    Row(
        "input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens, output_tokens_details",
        "As the backend reports them; else estimated.",
    ),
    Row("cache_creation", "What was written counts as `ephemeral_5m_input_tokens`."),
    Row("server_tool_use", "Searches and pages; null without any."),
    Row("service_tier, inference_geo", "`standard`, null."),
    Row("fallback_credit, iterations, speed", "With `?beta=true`; null."),
]

ANSWER_BLOCKS = [
    Row("text, thinking, tool_use, server_tool_use", "Sent."),
    Row(
        "web_search_tool_result, web_fetch_tool_result, code_execution_tool_result, tool_search_tool_result, mcp_tool_use,"
        " mcp_tool_result, compaction",
        "Sent, of what runs here.",
    ),
    Row("mcp_tool_listing", "Sent with the beta `mcp-client-2026-09-15` or a later one."),
    Row("image", "Pictures of models and of code. The API has no such block in answers; the SDKs let it pass."),
    Row(
        "redacted_thinking, bash_code_execution_tool_result, text_editor_code_execution_tool_result, advisor_tool_result,"
        " container_upload, fallback",
        "From an Anthropic backend only, whose answer passes as it is.",
    ),
]

EVENTS = [
    Row(
        "message_start, content_block_start, content_block_delta, content_block_stop, message_delta, message_stop",
        "Sent.",
    ),
    Row("ping", "After `keepalive` seconds of silence."),
    Row("error", "The last event of an answer that fails."),
]

DELTAS = [
    Row("text_delta, thinking_delta, signature_delta, input_json_delta, citations_delta, compaction_delta", "Sent."),
]

TABLES = {
    "Request fields": REQUEST,
    "Fields of a message": MESSAGE,
    "Blocks of a request": BLOCKS,
    "Types of tools": TOOLS,
    "Fields of a Message": ANSWERED,
    "Fields of its usage": USAGE,
    "Blocks of a Message": ANSWER_BLOCKS,
    "Events": EVENTS,
    "Types of deltas": DELTAS,
}


def named(rows: list[Row]) -> set[str]:
    """Return the names of rows."""
    return {name for row in rows for name in row.names.split(", ")}
