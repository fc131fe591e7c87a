"""Items and tools of a Turn as strict servers take them: known fields, no nulls, no ids of items that they have not kept.

Every call says `store: false`, so a server keeps no item: an id can only be looked up in vain. The document's own form is
what all known servers take: parts of the type that a role has, thoughts sealed or as text, a status that is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import OWN_CALLERS
from antiphon.core.relay.shapes import NEEDS_ID, NEEDS_STATUS, OTHER_ITEMS, STATUSES, WORKED_ON
from antiphon.core.request.validation import decode, decode_fields
from antiphon.core.seals import is_seal
from antiphon.core.tools.call_ids import LONGEST_OF_RESPONSES, BackendIds, is_plain, responses_id
from antiphon.core.tools.call_pairs import pair, sides_of
from antiphon.core.tools.offers import NO_PARAMETERS
from antiphon.core.tools.schemas import tidy
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputFile,
    InputImage,
    InputText,
    Item,
    ItemReference,
    Message,
    OtherItem,
    OutputText,
    Part,
    Reasoning,
    ReasoningText,
    Refusal,
    ToolCaller,
)
from antiphon.types.tools import CustomTool, FunctionTool, NamespaceTool, OtherTool, Tool

_text = msgspec.json.Decoder(str)

Fields = dict[str, object]
MARK = "prompt_cache_breakpoint"


class RequestForm(msgspec.Struct, frozen=True, kw_only=True):
    """What a server takes of a request, as far as that differs.

    `asks_seals`: it can be asked for sealed thoughts. `thoughts`: it takes thoughts as text. `seals`: it takes sealed
    thoughts. `ids`: it wants an id for each item that a model made, whatever it is.
    """

    asks_seals: bool = True
    thoughts: bool = True
    seals: bool = True
    ids: bool = False


DOCUMENTED = RequestForm()
"""The form that the API's document has."""


def sent_items(items: Sequence[Item], form: RequestForm, *, continues: bool = False) -> list[object]:
    """Return items as they are sent. Thoughts of which nothing is left that the server takes are left out.

    `continues`: the answer goes on where the last one ends. vLLM does so behind a message with an id that is in progress,
    llama.cpp behind any.
    """
    given = _call_ids(items)
    found = sent_alone(items, form) if not given else _sent_as(given, items, form)
    if form.ids:
        _give_ids(found)
    if continues and isinstance(last := found[-1], dict):
        last |= {"id": f"msg_{len(found):016x}", "status": "in_progress"}
    return found


def sent_alone(items: Sequence[Item], form: RequestForm) -> list[object]:
    """Return items as they are sent where all ids stay: what each becomes does not depend on the others."""
    return [one for item in items if (one := _SENT[type(item)](item, form)) is not None]


def _sent_as(call_ids: Mapping[int, str], items: Sequence[Item], form: RequestForm) -> list[object]:
    """Return items as they are sent, with the ids that some get."""
    sent = [_SENT[type(item)](item, form) for item in items]
    for index, call_id in call_ids.items():
        one = sent[index]
        if isinstance(one, dict):
            one["call_id"] = call_id
    return [one for one in sent if one is not None]


def all_ids_stay(items: Sequence[Item], form: RequestForm) -> bool:
    """Tell whether no item is given another id, which would depend on the items around it."""
    return not form.ids and not _call_ids(items)


def _call_ids(items: Sequence[Item]) -> dict[int, str]:
    """Return the ids of calls and their outputs, by index, that are to be sent: none where all of them can stay.

    Backends want one call per id, in letters that they know (servers of Claude's models behind a gateway).
    """
    ids = [item.call_id for item in items if type(item) in _CALLS]  # type: ignore[union-attr]  # `type` narrows nothing
    if not ids or (len(set(ids)) == len(ids) and all(map(is_plain, ids))):
        return {}
    own = BackendIds("plain")
    given = {
        index: own.next(item.call_id, item.name)
        for index, item in enumerate(items)
        if isinstance(item, FunctionCall | CustomToolCall)
    }
    pairs = pair(sides_of(items))
    outputs = {**pairs.calls, **pairs.doubles}
    return given | {output: given[call] for output, call in outputs.items() if call in given}


def _give_ids(sent: Sequence[object]) -> None:
    for index, item in enumerate(sent):
        if isinstance(item, dict) and (item["type"] == "reasoning" or item.get("role") == "assistant"):
            item["id"] = f"{'rs' if item['type'] == 'reasoning' else 'msg'}_{index:016x}"


def _message(item: Message, form: RequestForm) -> Fields:
    role, content = item.role, item.content
    if role != "assistant":
        parts = content if isinstance(content, str) else [_part(part, InputText) for part in content]
        fields: Fields = {"type": "message", "role": role, "content": parts}
        return fields if item.agent is UNSET else fields | _agent(item)
    status = item.status if item.status in WORKED_ON else "completed"
    parts = [OutputText(text=content)] if isinstance(content, str) else [_part(part, OutputText) for part in content]
    fields = {"type": "message", "role": role, "status": status, "content": parts}
    if item.agent is not UNSET:
        fields |= _agent(item)
    if type(item.phase) is str:
        fields["phase"] = item.phase
    return fields


def _part(part: Part, own: type[InputText] | type[OutputText]) -> object:
    """Return a part as the document has it for a role: others are refused (OpenAI: `input_text` of an assistant)."""
    kind = type(part)
    if kind is own or (kind is Refusal and own is OutputText):
        return part
    if isinstance(part, InputImage):
        return {"type": "input_image", "detail": part.detail or "auto", **_said(part, "image_url", "file_id", MARK)}
    if isinstance(part, InputFile):
        return {"type": "input_file", **_said(part, "file_id", "filename", "file_data", "file_url", MARK)}
    if isinstance(part, InputAudio):
        return part
    return own(text=part.refusal if isinstance(part, Refusal) else part.text)


def _said(part: msgspec.Struct, *names: str) -> Fields:
    """Return the fields of a struct that are neither null nor absent."""
    pairs = ((name, getattr(part, name)) for name in names)
    return {name: value for name, value in pairs if value is not None and value is not UNSET}


def _function_call(item: FunctionCall, form: RequestForm) -> Fields:
    return _call("function_call", item, "arguments", item.arguments or "{}")


def _custom_call(item: CustomToolCall, form: RequestForm) -> Fields:
    return _call("custom_tool_call", item, "input", item.input)


def _call(type: str, item: FunctionCall | CustomToolCall, field: str, text: str) -> Fields:
    fields: Fields = {"type": type, "call_id": item.call_id, "name": item.name, field: text}
    if item.caller is not UNSET:
        fields |= _caller(item)
    if item.agent is not UNSET:
        fields |= _agent(item)
    if item.asynchronous is not UNSET:
        fields |= _async(item)
    if isinstance(item.namespace, str):
        fields["namespace"] = item.namespace
    if item.status in WORKED_ON:
        fields["status"] = item.status
    return fields


def _output(item: FunctionCallOutput | CustomToolCallOutput, form: RequestForm) -> Fields:
    type_name = "function_call_output" if isinstance(item, FunctionCallOutput) else "custom_tool_call_output"
    output, call_id = item.output, item.call_id
    parts = [_part(part, InputText) for part in output] if isinstance(output, list) else output
    if len(call_id) > LONGEST_OF_RESPONSES:
        call_id = responses_id(call_id)
    fields: Fields = {"type": type_name, "call_id": call_id, "output": parts}
    if item.caller is not UNSET:
        fields |= _caller(item)
    return fields if item.agent is UNSET else fields | _agent(item)


def _caller(item: Item) -> Fields:
    """Return who made a call, where that is said: a program of the backend goes on with its outputs."""
    caller = getattr(item, "caller", None)
    return {"caller": caller} if isinstance(caller, ToolCaller) else {}


def _agent(
    item: Message | Reasoning | FunctionCall | CustomToolCall | FunctionCallOutput | CustomToolCallOutput,
) -> Fields:
    """Return the agent that an item comes from, where that is said: only servers that run several agents say it."""
    agent = item.agent
    return {"agent": agent} if agent is not UNSET and bytes(agent)[:1] == b"{" else {}


def _async(one: FunctionCall | CustomToolCall | FunctionTool | CustomTool) -> Fields:
    """Return that the model does not wait for a call, or for those of a tool, where it is so."""
    return {"async": True} if one.asynchronous is True else {}


def _thoughts(item: Reasoning, form: RequestForm) -> Fields | None:
    """Return thoughts that the server can read: what it has sealed itself, else text; a summary alone is taken for the text."""
    sealed = item.encrypted_content
    sealed = sealed if form.seals and type(sealed) is str and not is_seal(sealed) else ""
    texts = [part.text for part in item.content or () if part.text]
    if not sealed and not texts:
        texts = [part.text for part in item.summary if part.text]
    if not form.thoughts:
        texts = []
    if not sealed and not texts:
        return None
    fields: Fields = {"type": "reasoning", "summary": item.summary, **_agent(item)}
    if texts:
        fields["content"] = [ReasoningText(text=text) for text in texts]
    if sealed:
        fields["encrypted_content"] = sealed
    for name, value in (("signature", item.signature), ("format", item.format)):
        if type(value) is str:
            fields[name] = value
    return fields


def _other(item: OtherItem, form: RequestForm) -> Fields:
    """Return an item of a rarer type as it came, but for nulls, its id and a status that is none."""
    nullable = OTHER_ITEMS.get(item.type, {})
    fields: Fields = {
        name: value
        for name, value in decode_fields(item.raw).items()
        if bytes(value) != b"null" or nullable.get(name, "").endswith("?")
    }
    if item.type not in NEEDS_ID:
        fields.pop("id", None)
    if item.type in OWN_CALLERS:  # the document has no field there for the program that made a call
        fields.pop("call_id", None)
        fields.pop("caller", None)
    call_id = fields.get("call_id")
    if isinstance(call_id, Raw) and len(bytes(call_id)) > LONGEST_OF_RESPONSES:
        fields["call_id"] = responses_id(decode(_text, call_id, "input"))
    known = STATUSES.get(item.type, WORKED_ON)
    if not any(fields.get("status") == Raw(to_json(status)) for status in known):
        fields.pop("status", None)
        if item.type in NEEDS_STATUS:
            fields["status"] = "completed"
    return fields


_CALLS: frozenset[type] = frozenset((FunctionCall, CustomToolCall))
_SENT: dict[type, Callable[[Any, RequestForm], object | None]] = {
    Message: _message,
    Reasoning: _thoughts,
    FunctionCall: _function_call,
    FunctionCallOutput: _output,
    CustomToolCall: _custom_call,
    CustomToolCallOutput: _output,
    ItemReference: lambda item, _: item,
    OtherItem: _other,
}


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
            parameters = tidy(tool.parameters) if tool.parameters is not None else NO_PARAMETERS
            if parameters is tool.parameters and None not in (tool.description, tool.strict):
                return tool
            said = _said(tool, "name", "description", "strict", "defer_loading", "allowed_callers", "output_schema")
            return {"type": "function", **said, "parameters": parameters, **_async(tool)}
        case _:
            said = _said(tool, "name", "description", "format", "defer_loading", "allowed_callers")
            return {"type": "custom", **said, **_async(tool)}


def _without_nulls(raw: Raw) -> object:
    if b"null" not in bytes(raw):
        return raw
    return {name: value for name, value in decode_fields(raw).items() if bytes(value) != b"null"}
