"""What becomes of every event: rows of docs/compatibility.md beside those of `compatibility`."""

from __future__ import annotations

from tests.compatibility import Kind

EVENTS = (
    Kind("response.created, response.queued, response.in_progress", "`queued` in background mode only."),
    Kind(
        "response.completed, response.incomplete, response.failed",
        "One of them ends each stream, before `[DONE]`. An answer is completed only if the backend says so: text that ends "
        "without a `finish_reason` is failed (setting `finish_reason` of a backend), and so is an answer that says nothing.",
    ),
    Kind("error", "Before `response.failed`; flat and nested fields at once."),
    Kind("keepalive", "After ten seconds of silence."),
    Kind("response.output_item.added, response.output_item.done", "For every item, in every ending."),
    Kind("response.content_part.added, response.content_part.done", ""),
    Kind("response.output_text.delta, response.output_text.done", "With logprobs where asked for."),
    Kind(
        "response.output_text.annotation.added",
        "Right behind the text that came with it. A chat backend's sources become `url_citation`: `annotations` of a message,"
        " and `citations`, `search_results` or `web_search` beside it; those without a place stand at the end of the text so"
        " far. Other annotations of chat backends are passed over.",
    ),
    Kind(
        "response.image_generation_call.in_progress, response.image_generation_call.generating,"
        " response.image_generation_call.partial_image, response.image_generation_call.completed",
        "Of `image_generation`, where a server of images is set; `partial_image` where it streams. Pictures that a chat model"
        " makes (`images` of a message, or parts of it) are items `image_generation_call`, whole from the start. One that is but"
        " a URL becomes a link in the text. In a history a chat model does not see them.",
    ),
    Kind(
        "response.mcp_list_tools.in_progress, response.mcp_list_tools.completed, response.mcp_list_tools.failed, "
        "response.mcp_call.in_progress, response.mcp_call_arguments.delta, response.mcp_call_arguments.done, "
        "response.mcp_call.completed, response.mcp_call.failed",
        "Of `mcp`.",
    ),
    Kind(
        "response.web_search_call.in_progress, response.web_search_call.searching, response.web_search_call.completed, "
        "response.file_search_call.in_progress, response.file_search_call.searching, response.file_search_call.completed, "
        "response.code_interpreter_call.in_progress, response.code_interpreter_call_code.delta, "
        "response.code_interpreter_call_code.done, response.code_interpreter_call.interpreting, "
        "response.code_interpreter_call.completed, response.shell_call_output_content.delta, "
        "response.shell_call_output_content.done",
        "Of hosted tools, where they run here; from a Responses backend as it sends them.",
    ),
    Kind(
        "response.compaction.compacting",
        "Before a `compaction` item, from a Responses backend; also where this server compacts a conversation.",
    ),
    Kind(
        "response.steer.accepted, response.steer.pending, response.steer.failed",
        "Over WebSocket, of `response.steer`.",
    ),
    Kind(
        "response.audio.delta, response.audio.done, response.audio.transcript.delta, response.audio.transcript.done",
        "Not sent: answers are text.",
    ),
    Kind("response.refusal.delta, response.refusal.done", ""),
    Kind(
        "response.reasoning_text.delta, response.reasoning_text.done",
        "Named `response.reasoning.delta` and `.done` with the setting `open_responses_names`.",
    ),
    Kind(
        "response.reasoning_summary_part.added, response.reasoning_summary_part.done, "
        "response.reasoning_summary_text.delta, response.reasoning_summary_text.done",
        "Where a summary was asked for.",
    ),
    Kind("response.function_call_arguments.delta, response.function_call_arguments.done", ""),
    Kind("response.custom_tool_call_input.delta, response.custom_tool_call_input.done", ""),
    Kind(
        "response.shell_call_command.added, response.shell_call_command.delta, response.shell_call_command.done",
        "Of `shell`: each command, once the call is whole.",
    ),
    Kind(
        "any other",
        "From a Responses backend: passed on with our numbers and places, where it belongs to an item that is open.",
    ),
)
