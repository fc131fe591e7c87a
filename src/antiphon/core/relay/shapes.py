"""The shapes of another server's events and items (OpenAI's document of 2026-08-21, `ResponseStreamEvent`, `OutputItem`).

Each field is named with its kind: `s` text, `i` number, `b` boolean, `o` object, `l` list, `ls` list of texts, `lo` list of
objects, `sl` text or list, `*` anything; with `?` it may be null, and null stands for one that is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from antiphon.core.deltas import LONGEST_NAME
from antiphon.core.request.json_text import nested_deeper
from antiphon.errors import BackendError

Json = dict[str, Any]

MOST_NESTED = 128  # levels

WORKED_ON = ("in_progress", "completed", "incomplete")


class Text(NamedTuple):
    """Where the text of a delta goes: a field of a part in the item's `list`, or of the item itself where that is ""."""

    item: str
    list: str
    part: str
    field: str


TEXTS: Mapping[str, Text] = {
    "response.output_text.delta": Text("message", "content", "output_text", "text"),
    "response.refusal.delta": Text("message", "content", "refusal", "refusal"),
    "response.reasoning_text.delta": Text("reasoning", "content", "reasoning_text", "text"),
    "response.reasoning.delta": Text("reasoning", "content", "reasoning_text", "text"),
    "response.reasoning_summary_text.delta": Text("reasoning", "summary", "summary_text", "text"),
    "response.reasoning_summary.delta": Text("reasoning", "summary", "summary_text", "text"),
    "response.function_call_arguments.delta": Text("function_call", "", "", "arguments"),
    "response.custom_tool_call_input.delta": Text("custom_tool_call", "", "", "input"),
}
WHOLE_TEXTS: Mapping[str, Text] = {type.replace(".delta", ".done"): text for type, text in TEXTS.items()}
PARTS: Mapping[str, str] = {
    "response.content_part.added": "content",
    "response.content_part.done": "content",
    "response.reasoning_summary_part.added": "summary",
    "response.reasoning_summary_part.done": "summary",
}
LIFE = frozenset(("response.created", "response.queued", "response.in_progress", "keepalive", "ping"))
"""Events that tell of no progress; what a client is told of its own response comes from here."""
ENDS = frozenset(("response.completed", "response.incomplete", "response.failed"))

_STEPS: Mapping[str, Sequence[str]] = {
    "code_interpreter_call": ("completed", "in_progress", "interpreting"),
    "file_search_call": ("completed", "in_progress", "searching"),
    "image_generation_call": ("completed", "in_progress", "generating"),
    "mcp_call": ("completed", "failed", "in_progress"),
    "mcp_list_tools": ("completed", "failed", "in_progress"),
    "web_search_call": ("completed", "in_progress", "searching"),
}
# Events of items that are passed on as they are, and what they hold beside their indexes.
OTHER_EVENTS: Mapping[str, Mapping[str, str]] = {
    "response.code_interpreter_call_code.delta": {"delta": "s"},
    "response.code_interpreter_call_code.done": {"code": "s"},
    "response.shell_call_command.added": {"command_index": "i", "command": "s"},
    "response.shell_call_command.delta": {"command_index": "i", "delta": "s"},
    "response.shell_call_command.done": {"command_index": "i", "command": "s"},
    "response.shell_call_output_content.delta": {"command_index": "i", "delta": "o"},
    "response.shell_call_output_content.done": {"command_index": "i", "output": "lo"},
    "response.image_generation_call.partial_image": {"partial_image_index": "i", "partial_image_b64": "s"},
    "response.mcp_call_arguments.delta": {"delta": "s"},
    "response.mcp_call_arguments.done": {"arguments": "s"},
    **{f"response.{item}.{step}": {} for item, steps in _STEPS.items() for step in steps},
}

# Items that are passed on as they are: what they hold beside `id`, `type` and `status`.
OTHER_ITEMS: Mapping[str, Mapping[str, str]] = {
    "additional_tools": {"role": "s", "tools": "lo"},
    "agent_message": {"author": "s", "recipient": "s", "content": "lo"},
    "apply_patch_call": {"call_id": "s", "operation": "o"},
    "apply_patch_call_output": {"call_id": "s"},
    "code_interpreter_call": {"container_id": "s", "code": "s?", "outputs": "lo?"},
    "compaction": {"encrypted_content": "s"},
    "computer_call": {"call_id": "s", "pending_safety_checks": "lo"},
    "computer_call_output": {"call_id": "s", "output": "o"},
    "custom_tool_call_output": {"call_id": "s", "output": "sl"},
    "file_search_call": {"queries": "ls"},
    "function_call_output": {"call_id": "s", "output": "sl"},
    "image_generation_call": {"result": "s?"},
    "local_shell_call": {"call_id": "s", "action": "o"},
    "local_shell_call_output": {"output": "s"},
    "mcp_approval_request": {"server_label": "s", "name": "s", "arguments": "s"},
    "mcp_approval_response": {"request_id": "s", "approve": "b", "approval_request_id": "s"},
    "mcp_call": {"server_label": "s", "name": "s", "arguments": "s"},
    "mcp_list_tools": {"server_label": "s", "tools": "lo"},
    "multi_agent_call": {"call_id": "s", "action": "s", "arguments": "s"},
    "multi_agent_call_output": {"call_id": "s", "action": "s", "output": "lo"},
    "program": {"call_id": "s", "code": "s", "fingerprint": "s"},
    "program_output": {"call_id": "s", "result": "s"},
    "shell_call": {"call_id": "s", "action": "o", "environment": "o?"},
    "shell_call_output": {"call_id": "s", "output": "lo", "max_output_length": "i?"},
    "tool_search_call": {"call_id": "s?", "execution": "s", "arguments": "*"},
    "tool_search_output": {"call_id": "s?", "execution": "s", "tools": "lo"},
    "web_search_call": {"action": "o"},
}
# What an item's object or list of objects holds in turn.
INNER: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "apply_patch_call": ("operation", {"type": "s", "path": "s"}),
    "computer_call": ("pending_safety_checks", {"id": "s"}),
    "computer_call_output": ("output", {"type": "s"}),
    "local_shell_call": ("action", {"type": "s", "command": "ls", "env": "o"}),
    "mcp_list_tools": ("tools", {"name": "s", "input_schema": "o"}),
    "shell_call": ("action", {"commands": "ls"}),
    "web_search_call": ("action", {"type": "s"}),
}
WEB_ACTIONS: Mapping[str, Mapping[str, str]] = {
    "search": {},
    "open_page": {},
    "find_in_page": {"url": "s", "pattern": "s"},
}
WEB_OPTIONAL: Mapping[str, str] = {"query": "s", "queries": "ls", "sources": "lo", "url": "s"}
# What may be left out; a value of another kind counts as left out.
OPTIONAL: Mapping[str, Mapping[str, str]] = {
    "message": {"phase": "s"},
    "reasoning": {"encrypted_content": "s"},
    "function_call": {"namespace": "s", "caller": "o"},
    "custom_tool_call": {"namespace": "s"},
    "file_search_call": {"results": "lo"},
    "mcp_call": {"output": "s", "approval_request_id": "s"},
    "mcp_list_tools": {"error": "s"},
}
STATUSES: Mapping[str, Sequence[str]] = {
    "additional_tools": (),
    "agent_message": (),
    "apply_patch_call": ("in_progress", "completed"),
    "apply_patch_call_output": ("completed", "failed"),
    "code_interpreter_call": (*WORKED_ON, "interpreting", "failed"),
    "compaction": (),
    "computer_call_output": ("completed", "incomplete", "failed", "in_progress"),
    "file_search_call": (*WORKED_ON, "searching", "failed"),
    "image_generation_call": ("in_progress", "completed", "generating", "failed"),
    "mcp_approval_request": (),
    "mcp_approval_response": (),
    "mcp_call": (*WORKED_ON, "calling", "failed"),
    "mcp_list_tools": (),
    "multi_agent_call": (),
    "multi_agent_call_output": (),
    "program": (),
    "program_output": ("completed", "incomplete"),
    "web_search_call": ("in_progress", "completed", "searching", "failed"),
}
NEEDS_ID = frozenset(
    """
    file_search_call computer_call web_search_call image_generation_call code_interpreter_call local_shell_call
    local_shell_call_output mcp_list_tools mcp_approval_request mcp_call program program_output
    agent_message multi_agent_call multi_agent_call_output
    """.split()
)
"""Types of items whose id the document requires; an answer to an approval request names it by its id."""
NEEDS_STATUS = frozenset(
    """
    file_search_call computer_call web_search_call image_generation_call code_interpreter_call local_shell_call
    apply_patch_call apply_patch_call_output program_output
    """.split()
)
ANNOTATIONS: Mapping[str, Mapping[str, str]] = {
    "container_file_citation": {
        "container_id": "s",
        "file_id": "s",
        "filename": "s",
        "start_index": "i",
        "end_index": "i",
    },
    "file_citation": {"file_id": "s", "index": "i", "filename": "s"},
    "file_path": {"file_id": "s", "index": "i"},
    "url_citation": {"url": "s", "title": "s", "start_index": "i", "end_index": "i"},
}


def wrong(what: str) -> BackendError:
    """Return the 502 for an event that cannot be passed on; `what` is a whole clause without its full stop."""
    return BackendError(502, f"The backend sent an event that cannot be used: {what}.", code="backend_error")


def fits(value: object, kind: str) -> bool:
    """Tell whether a value is of a kind."""
    if kind.endswith("?"):
        return value is None or fits(value, kind[:-1])
    match kind:
        case "s":
            return isinstance(value, str)
        case "i":
            return isinstance(value, int) and not isinstance(value, bool)
        case "b":
            return isinstance(value, bool)
        case "o":
            return isinstance(value, dict)
        case "l":
            return isinstance(value, list)
        case "ls":
            return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
        case "lo":
            return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)
        case "sl":
            return isinstance(value, (str, list))
        case _:
            return True


def check(value: Json, shape: Mapping[str, str], what: str) -> None:
    """Make sure that fields are there and of their kinds; what may be null is filled in. Raises BackendError."""
    for name, kind in shape.items():
        if kind.endswith("?"):
            value.setdefault(name, None)
        if name not in value:
            raise wrong(f"{what} has no '{name}'")
        if not fits(value[name], kind):
            raise wrong(f"the '{name}' of {what} has the wrong type")


def good_name(value: object) -> str:
    """Return an id or a name if it is one, "" for anything else."""
    return value if isinstance(value, str) and len(value) <= LONGEST_NAME else ""


def index_of(value: object) -> int | None:
    """Return an index if it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def annotations_of(value: object) -> list[Json]:
    """Return the annotations that are whole; one that is not is no reason to lose the answer."""
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if is_annotation(entry)]


def is_annotation(value: object) -> bool:
    """Tell whether a value is a citation as the document has it."""
    shape = ANNOTATIONS.get(str(value.get("type"))) if isinstance(value, dict) else None
    if shape is None or not isinstance(value, dict):
        return False
    return all(name in value and fits(value[name], kind) for name, kind in shape.items())


def too_deep(data: bytes) -> bool:
    """Tell whether JSON is nested beyond MOST_NESTED levels: linear, without a look at each value."""
    return nested_deeper(data, MOST_NESTED)
