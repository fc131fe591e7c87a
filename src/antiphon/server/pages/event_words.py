"""Events of a response's stream, for the API's document: what each says, and its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ITEM = "item_id output_index"
_PART = f"{_ITEM} content_index"
_SUMMARY = f"{_ITEM} summary_index"

EVENTS: Mapping[str, tuple[str, str]] = {
    "response.created": ("The response exists.", "response"),
    "response.queued": ("A background response waits for its turn.", "response"),
    "response.in_progress": ("The model is being asked.", "response"),
    "response.completed": ("The end: the whole response.", "response"),
    "response.incomplete": ("The end: cut off, for the reason in `incomplete_details`.", "response"),
    "response.failed": ("The end: failed, for the reason in `error`.", "response"),
    "error": ("What went wrong, before `response.failed`.", "code message param error"),
    "keepalive": ("Nothing has happened for ten seconds.", "queue_position?"),
    "response.output_item.added": ("An item begins.", "output_index item"),
    "response.output_item.done": ("An item is complete.", "output_index item"),
    "response.content_part.added": ("A part of a message or of reasoning begins.", f"{_PART} part"),
    "response.content_part.done": ("A part is complete.", f"{_PART} part"),
    "response.output_text.delta": ("A piece of the answer's text.", f"{_PART} delta logprobs?"),
    "response.output_text.done": ("The text of a part is complete.", f"{_PART} text logprobs?"),
    "response.output_text.annotation.added": ("A citation.", f"{_PART} annotation_index annotation"),
    "response.refusal.delta": ("A piece of a refusal.", f"{_PART} delta"),
    "response.refusal.done": ("A refusal is complete.", f"{_PART} refusal"),
    "response.reasoning_text.delta": ("A piece of the model's thoughts.", f"{_PART} delta"),
    "response.reasoning_text.done": ("The thoughts of a part are complete.", f"{_PART} text"),
    "response.reasoning_summary_part.added": ("A part of the summary of thoughts begins.", f"{_SUMMARY} part"),
    "response.reasoning_summary_part.done": ("A part of the summary is complete.", f"{_SUMMARY} part"),
    "response.reasoning_summary_text.delta": ("A piece of the summary.", f"{_SUMMARY} delta"),
    "response.reasoning_summary_text.done": ("The text of a part of the summary is complete.", f"{_SUMMARY} text"),
    "response.function_call_arguments.delta": ("A piece of a call's arguments.", f"{_ITEM} delta"),
    "response.function_call_arguments.done": ("A call's arguments are complete.", f"{_ITEM} name? arguments"),
    "response.custom_tool_call_input.delta": ("A piece of a custom tool's input.", f"{_ITEM} delta"),
    "response.custom_tool_call_input.done": ("A custom tool's input is complete.", f"{_ITEM} input"),
    "response.shell_call_command.added": ("A command of a shell call.", "output_index command_index command"),
    "response.shell_call_command.delta": ("A piece of a command.", "output_index command_index delta"),
    "response.shell_call_command.done": ("A command is complete.", "output_index command_index command"),
    "response.shell_call_output_content.delta": ("A piece of what a command printed.", "output_index"),
    "response.shell_call_output_content.done": ("A command has ended.", "output_index"),
    "response.mcp_list_tools.in_progress": ("An MCP server is asked for its tools.", _ITEM),
    "response.mcp_list_tools.completed": ("Its tools are known.", _ITEM),
    "response.mcp_list_tools.failed": ("It has not told its tools.", _ITEM),
    "response.mcp_call.in_progress": ("A tool of an MCP server is called.", _ITEM),
    "response.mcp_call_arguments.delta": ("A piece of its arguments.", f"{_ITEM} delta"),
    "response.mcp_call_arguments.done": ("Its arguments are complete.", f"{_ITEM} arguments"),
    "response.mcp_call.completed": ("The call has a result.", _ITEM),
    "response.mcp_call.failed": ("The call has failed.", _ITEM),
    "response.web_search_call.in_progress": ("A web search begins.", _ITEM),
    "response.web_search_call.searching": ("The provider is asked.", _ITEM),
    "response.web_search_call.completed": ("The search has ended.", _ITEM),
    "response.file_search_call.in_progress": ("A file search begins.", _ITEM),
    "response.file_search_call.searching": ("Vector stores are searched.", _ITEM),
    "response.file_search_call.completed": ("The search has ended.", _ITEM),
    "response.code_interpreter_call.in_progress": ("A call of the code interpreter begins.", _ITEM),
    "response.code_interpreter_call_code.delta": ("A piece of the code.", f"{_ITEM} delta"),
    "response.code_interpreter_call_code.done": ("The code is complete.", f"{_ITEM} code"),
    "response.code_interpreter_call.interpreting": ("The code runs.", _ITEM),
    "response.code_interpreter_call.completed": ("The code has ended.", _ITEM),
    "response.image_generation_call.in_progress": ("A picture is asked for.", _ITEM),
    "response.image_generation_call.generating": ("The picture is being made.", _ITEM),
    "response.image_generation_call.partial_image": (
        "The picture so far.",
        f"{_ITEM} partial_image_index partial_image_b64",
    ),
    "response.image_generation_call.completed": ("The picture is there.", _ITEM),
    "response.compaction.compacting": ("The conversation is being summed up.", _ITEM),
    "response.steer.accepted": ("Over WebSocket: a `response.steer` was taken.", ""),
    "response.steer.pending": ("Over WebSocket: it waits for the next tool boundary.", ""),
    "response.steer.failed": ("Over WebSocket: it was not taken.", ""),
}
"""Words and fields of each event; a field with `?` may be missing. All have `type` and `sequence_number`."""

_NUMBER, _TEXT, _OBJECT = {"type": "integer"}, {"type": "string"}, {"type": "object"}
FIELDS_OF_EVENTS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "sequence_number": (
        _NUMBER,
        "Number of the event, from 0: `starting_after` of `GET /v1/responses/{id}` resumes behind it.",
    ),
    "response": ({"$ref": "#/components/schemas/Response"}, "The response at this moment."),
    "item": ({"$ref": "#/components/schemas/Item"}, "The item."),
    "item_id": (_TEXT, "Id of the item."),
    "output_index": (_NUMBER, "Index of the item in `output`."),
    "content_index": (_NUMBER, "Index of the part in the item's `content`."),
    "summary_index": (_NUMBER, "Index of the part in the item's `summary`."),
    "command_index": (_NUMBER, "Index of the command in the call."),
    "annotation_index": (_NUMBER, "Index of the annotation in the part."),
    "partial_image_index": (_NUMBER, "Index of the partial image."),
    "part": (_OBJECT, "The part: `output_text`, `refusal`, `reasoning_text` or `summary_text`."),
    "delta": (_TEXT, "The piece."),
    "text": (_TEXT, "The whole text."),
    "refusal": (_TEXT, "The whole refusal."),
    "arguments": (_TEXT, "The whole arguments, as JSON text."),
    "input": (_TEXT, "The whole input."),
    "name": (_TEXT, "Name of the function."),
    "code": (_TEXT, "The whole code; of `error`: its code."),
    "command": (_TEXT, "The command."),
    "annotation": (_OBJECT, "`url_citation`, `file_citation` or another annotation."),
    "logprobs": ({"type": "array"}, "Probabilities of tokens, where they were asked for."),
    "partial_image_b64": (_TEXT, "The picture in base64."),
    "queue_position": (_NUMBER, "How many calls of the model's backend come first."),
    "message": (_TEXT, "The error in words."),
    "param": (_TEXT, "Field of the request at fault."),
    "error": (_OBJECT, "The same as an object."),
}


def event_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas of all events, and `StreamEvent`, which is one of them."""
    named = {
        f"event:{type}".replace(":", "."): _schema(type, words, fields) for type, (words, fields) in EVENTS.items()
    }
    union = {
        "description": "An event of the stream. Further ones of a Responses backend are passed on.",
        "anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in named],
    }
    return {"StreamEvent": union, **named}


def _schema(type: str, words: str, fields: str) -> dict[str, Any]:
    properties: dict[str, Any] = {"type": {"const": type, "description": words}}
    required = ["type", "sequence_number"]
    for field in ("sequence_number", *fields.split()):
        name = field.removesuffix("?")
        shape, meaning = FIELDS_OF_EVENTS[name]
        properties[name] = {**shape, "description": meaning}
        if name == field and name not in required:
            required.append(name)
    return {"title": type, "description": words, "type": "object", "properties": properties, "required": required}
