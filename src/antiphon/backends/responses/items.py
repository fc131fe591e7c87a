"""Items and tools of a Turn as strict servers take them: known fields, no nulls, no ids of items that they have not kept.

Every call says `store: false`, so a server keeps no item: an id can only be looked up in vain. The document's own form is
what all known servers take: parts of the type that a role has, thoughts sealed or as text, a status that is one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.relay.shapes import OTHER_ITEMS, STATUSES, WORKED_ON
from antiphon.core.request.validation import decode_fields
from antiphon.core.seals import is_seal
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
    OtherItem,
    OutputText,
    Part,
    Reasoning,
    ReasoningText,
    Refusal,
)
from antiphon.types.tools import FunctionTool, NamespaceTool, OtherTool, Tool

NEEDS_ID = frozenset(
    """
    file_search_call computer_call web_search_call image_generation_call code_interpreter_call local_shell_call
    local_shell_call_output mcp_list_tools mcp_approval_request mcp_call program program_output
    """.split()
)
"""Types of items whose id the document requires; an answer to an approval request names it by its id."""
NEEDS_STATUS = frozenset(
    """
    file_search_call computer_call web_search_call image_generation_call code_interpreter_call local_shell_call
    apply_patch_call apply_patch_call_output program_output
    """.split()
)
_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')

Fields = dict[str, object]


class RequestForm(msgspec.Struct, frozen=True, kw_only=True):
    """What a server takes of a request, as far as that differs.

    `asks_seals`: it can be asked for sealed thoughts. `thoughts`: it takes thoughts as text. `seals`: it takes sealed
    thoughts. `ids`: it wants an id for each item that a model made, whatever it is.
    """

    asks_seals: bool = True
    thoughts: bool = True
    seals: bool = True
    ids: bool = False


def sent_items(items: Sequence[Item], form: RequestForm) -> list[object]:
    """Return items as they are sent. Thoughts of which nothing is left that the server takes are left out."""
    found = []
    for index, item in enumerate(items):
        sent = _sent(item, form)
        if sent is not None:
            if form.ids and isinstance(sent, dict) and (sent["type"] == "reasoning" or sent.get("role") == "assistant"):
                sent["id"] = f"{'rs' if sent['type'] == 'reasoning' else 'msg'}_{index:016x}"
            found.append(sent)
    return found


def _sent(item: Item, form: RequestForm) -> object | None:
    match item:
        case Message():
            return _message(item)
        case FunctionCall() | CustomToolCall():
            return _call(item)
        case FunctionCallOutput() | CustomToolCallOutput():
            output = item.output
            parts = output if isinstance(output, str) else [_part(part, "user") for part in output]
            return {"type": item.__struct_config__.tag, "call_id": item.call_id, "output": parts}
        case Reasoning():
            return _thoughts(item, form)
        case OtherItem():
            return _other(item)
        case _:
            return item


def _message(item: Message) -> Fields:
    role, content = item.role, item.content
    if role != "assistant":
        parts = content if isinstance(content, str) else [_part(part, role) for part in content]
        return {"type": "message", "role": role, "content": parts}
    fields: Fields = {
        "type": "message",
        "role": role,
        "status": item.status if item.status in WORKED_ON else "completed",
        "content": [OutputText(text=content)] if isinstance(content, str) else [_part(part, role) for part in content],
    }
    if isinstance(item.phase, str):
        fields["phase"] = item.phase
    return fields


def _part(part: Part, role: str) -> object:
    """Return a part as the document has it for a role: others are refused (OpenAI: `input_text` of an assistant)."""
    match part:
        case InputImage():
            return {"type": "input_image", "detail": part.detail or "auto", **_said(part, "image_url", "file_id")}
        case InputFile():
            return {"type": "input_file", **_said(part, "file_id", "filename", "file_data", "file_url")}
        case OutputText() | Refusal() if role == "assistant":
            return part
        case Refusal():
            return InputText(text=part.refusal)
        case InputText() if role != "assistant":
            return part
        case _ if hasattr(part, "text"):
            return OutputText(text=part.text) if role == "assistant" else InputText(text=part.text)
        case _:
            return part


def _said(part: msgspec.Struct, *names: str) -> Fields:
    """Return the fields of a struct that are neither null nor absent."""
    pairs = ((name, getattr(part, name)) for name in names)
    return {name: value for name, value in pairs if value is not None and value is not UNSET}


def _call(item: FunctionCall | CustomToolCall) -> Fields:
    fields: Fields = {"type": item.__struct_config__.tag, "call_id": item.call_id, "name": item.name}
    if isinstance(item, FunctionCall):
        fields["arguments"] = item.arguments or "{}"
    else:
        fields["input"] = item.input
    if isinstance(item.namespace, str):
        fields["namespace"] = item.namespace
    if item.status in WORKED_ON:
        fields["status"] = item.status
    return fields


def _thoughts(item: Reasoning, form: RequestForm) -> Fields | None:
    """Return thoughts that the server can read: what it has sealed itself, else text; a summary alone is taken for the text."""
    sealed = item.encrypted_content
    sealed = sealed if form.seals and isinstance(sealed, str) and not is_seal(sealed) else ""
    texts = [part.text for part in item.content or () if part.text]
    if not sealed and not texts:
        texts = [part.text for part in item.summary if part.text]
    if not form.thoughts:
        texts = []
    if not sealed and not texts:
        return None
    fields: Fields = {"type": "reasoning", "summary": item.summary, **_said(item, "signature", "format")}
    if texts:
        fields["content"] = [ReasoningText(text=text) for text in texts]
    if sealed:
        fields["encrypted_content"] = sealed
    return fields


def _other(item: OtherItem) -> Fields:
    """Return an item of a rarer type as it came, but for nulls, its id and a status that is none."""
    nullable = OTHER_ITEMS.get(item.type, {})
    fields: Fields = {
        name: value
        for name, value in decode_fields(item.raw).items()
        if bytes(value) != b"null" or nullable.get(name, "").endswith("?")
    }
    if item.type not in NEEDS_ID:
        fields.pop("id", None)
    known = STATUSES.get(item.type, WORKED_ON)
    if not any(fields.get("status") == Raw(to_json(status)) for status in known):
        fields.pop("status", None)
        if item.type in NEEDS_STATUS:
            fields["status"] = "completed"
    return fields


def sent_tool(tool: Tool) -> object:
    """Return a declaration without nulls; one that has none passes as it came."""
    match tool:
        case OtherTool():
            return _without_nulls(tool.raw)
        case NamespaceTool():
            return {
                "type": "namespace",
                "name": tool.name,
                "description": tool.description,
                "tools": [sent_tool(one) for one in tool.tools],
            }
        case FunctionTool():
            fields = _said(tool, "name", "description", "parameters", "strict", "defer_loading")
            return {"type": "function", "parameters": _NO_PARAMETERS, **fields}
        case _:
            return {"type": "custom", **_said(tool, "name", "description", "format", "defer_loading")}


def _without_nulls(raw: Raw) -> object:
    if b"null" not in bytes(raw):
        return raw
    return {name: value for name, value in decode_fields(raw).items() if bytes(value) != b"null"}
