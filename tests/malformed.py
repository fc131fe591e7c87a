"""Requests that are refused, as data: what is sent, and the status, `param` and `code` that must come back.

At the level of the core in `tests/core/request/test_decoding.py`, over HTTP in `tests/server`. `setting` is `unknown_fields`.
"""

from __future__ import annotations

from json import dumps
from typing import Any, NamedTuple

INVALID_TYPE = "invalid_type"
INVALID_VALUE = "invalid_value"
INVALID_JSON = "invalid_json"
MISSING = "missing_required_parameter"
UNSUPPORTED = "unsupported_parameter"


class Refused(NamedTuple):
    name: str
    body: bytes
    param: str
    code: str
    status: int = 400
    setting: str = "forward"


def _body(**fields: Any) -> bytes:
    return dumps({"model": "golden", "input": "Hello.", **fields}).encode()


def _field(field: str, value: Any, code: str, param: str = "") -> Refused:
    return Refused(f"{field} {str(dumps(value))[:90]}", _body(**{field: value}), param or field, code)


def _item(item: Any, param: str, code: str) -> Refused:
    return Refused(f"item {str(dumps(item))[:90]}", _body(input=[_USER, item]), f"input[1]{param}", code)


def _part(part: Any, param: str, code: str) -> Refused:
    content = [{"type": "input_text", "text": "Look."}, part]
    return Refused(
        f"part {str(dumps(part))[:90]}",
        _body(input=[{"role": "user", "content": content}]),
        f"input[0].content[1]{param}",
        code,
    )


def _tool(tool: Any, param: str, code: str) -> Refused:
    return Refused(f"tool {str(dumps(tool))[:90]}", _body(tools=[_FUNCTION, tool]), f"tools[1]{param}", code)


def _choice(choice: Any, param: str, code: str) -> Refused:
    return Refused(
        f"tool_choice {str(dumps(choice))[:90]}",
        _body(tools=[_FUNCTION], tool_choice=choice),
        f"tool_choice{param}",
        code,
    )


def _raw(name: str, body: bytes, param: str = "", code: str = INVALID_JSON) -> Refused:
    return Refused(f"JSON: {name}", body, param, code)


_USER = {"type": "message", "role": "user", "content": "Hello."}
_FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
_SCHEMA = {"type": "object"}

_JSON = (
    _raw("nothing", b""),
    _raw("blanks", b"  \n "),
    _raw("truncated", b'{"model":"golden","input":"Hel', "input"),
    _raw("truncated after a key", b'{"model"', "model"),
    _raw("text behind the object", b'{"model":"golden","input":"Hi"} x'),
    _raw("two objects", b'{"model":"golden","input":"Hi"}{}'),
    _raw("trailing comma", b'{"model":"golden","input":"Hi",}'),
    _raw("single quotes", b"{'model':'golden'}"),
    _raw("comment", b'{"model":"golden" /* x */,"input":"Hi"}', "model"),
    _raw("NaN", b'{"model":"golden","input":"Hi","temperature":NaN}', "temperature"),
    _raw("Infinity", b'{"model":"golden","input":"Hi","temperature":Infinity}', "temperature"),
    _raw("leading zero", b'{"model":"golden","input":"Hi","top_logprobs":01}', "top_logprobs"),
    _raw("hexadecimal", b'{"model":"golden","input":"Hi","top_logprobs":0x1}', "top_logprobs"),
    _raw("line break in a string", b'{"model":"golden","input":"Hi\nthere"}', "input"),
    _raw("control character in a string", b'{"model":"golden","input":"Hi\x00"}', "input"),
    _raw("unknown escape", b'{"model":"golden","input":"\\x41"}', "input"),
    _raw("half an escape", b'{"model":"golden","input":"\\u00"}', "input"),
    _raw("UTF-16", '{"model":"golden","input":"Hi"}'.encode("utf-16")),
    _raw("Latin-1", b'{"model":"golden","input":"caf\xe9"}', "input"),
    _raw("Latin-1 where nothing is decoded", b'{"model":"golden","input":"Hi","prompt":{"id":"\xe9"}}', "prompt.id"),
    _raw("overlong UTF-8", b'{"model":"golden","input":"\xc0\x80"}', "input"),
    _raw("half a character as bytes", b'{"model":"golden","input":"\xed\xa0\x80"}', "input"),
    _raw("deep arrays", b'{"model":"golden","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "input[0][0][0]"),
    _raw("deep objects", b'{"model":"golden","input":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "input.a.a.a"),
    _raw("deep and never closed", b'{"model":"golden","input":' + b"[" * 100_000, "input[0][0][0]"),
    _raw(
        "deep in a printed tool",
        b'{"model":"golden","input":"Hi",\n"tools":[{"type":"function","name":"a","parameters":'
        + b'{"required":"x","a":' * 50_000
        + b"1"
        + b"}" * 50_000
        + b"}]}",
        "tools[0].parameters.a",
    ),
    _raw("array", b"[]", code=INVALID_TYPE),
    _raw("array of a request", b'[{"model":"golden","input":"Hi"}]', code=INVALID_TYPE),
    _raw("string", b'"Hello."', code=INVALID_TYPE),
    _raw("number", b"1", code=INVALID_TYPE),
    _raw("null", b"null", code=INVALID_TYPE),
    _raw("same key twice, the last counts", b'{"model":"golden","model":1,"input":"Hi"}', "model", INVALID_TYPE),
    _raw("number beyond all", b'{"model":"golden","input":"Hi","temperature":1e999}', "temperature", INVALID_VALUE),
)

_FIELDS = (
    Refused("no fields", b"{}", "model", MISSING),
    Refused("no model", b'{"input":"Hi"}', "model", MISSING),
    Refused("no input", b'{"model":"golden"}', "input", MISSING),
    Refused("null input", b'{"model":"golden","input":null}', "input", MISSING),
    Refused("null input with history", _body(input=None, previous_response_id="resp_1"), "input", MISSING),
    Refused("empty array as input", _body(input=[]), "input", INVALID_VALUE),
    _field("model", None, INVALID_TYPE),
    _field("model", 4, INVALID_TYPE),
    _field("model", "", INVALID_VALUE),
    _field("model", "x" * 256, INVALID_VALUE),
    _field("model", ["golden"], INVALID_TYPE),
    _field("input", 1, INVALID_TYPE),
    _field("input", True, INVALID_TYPE),
    _field("input", {"role": "user", "content": "Hi"}, INVALID_TYPE),
    _field("instructions", 1, INVALID_TYPE),
    _field("instructions", ["Be brief."], INVALID_TYPE),
    _field("max_output_tokens", 0, INVALID_VALUE),
    _field("max_output_tokens", -1, INVALID_VALUE),
    _field("max_output_tokens", 1.5, INVALID_TYPE),
    _field("max_output_tokens", "100", INVALID_TYPE),
    _field("max_output_tokens", True, INVALID_TYPE),
    _field("max_output_tokens", 2**63, INVALID_VALUE),
    _field("max_output_tokens", 10**400, INVALID_VALUE),
    _field("max_tool_calls", 0, INVALID_VALUE),
    _field("max_tool_calls", "2", INVALID_TYPE),
    _field("max_tokens", 100, UNSUPPORTED),
    _field("messages", [{"role": "user", "content": "Hello."}], UNSUPPORTED),
    *(_field("n", value, UNSUPPORTED) for value in (2, 0, 1.5, "2", [1])),
    *(_field("modalities", value, UNSUPPORTED) for value in (["text", "audio"], ["audio"], "audio", {})),
    _field("temperature", 2.1, INVALID_VALUE),
    _field("temperature", -0.1, INVALID_VALUE),
    _field("temperature", "hot", INVALID_TYPE),
    _field("temperature", [1], INVALID_TYPE),
    _field("top_p", 1.01, INVALID_VALUE),
    _field("top_p", -1, INVALID_VALUE),
    _field("top_p", "1", INVALID_TYPE),
    _field("top_logprobs", 21, INVALID_VALUE),
    _field("top_logprobs", -1, INVALID_VALUE),
    _field("top_logprobs", 1.5, INVALID_TYPE),
    _field("presence_penalty", 2.5, INVALID_VALUE),
    _field("presence_penalty", "0", INVALID_TYPE),
    _field("frequency_penalty", -2.5, INVALID_VALUE),
    _field("frequency_penalty", False, INVALID_TYPE),
    _field("background", "true", INVALID_TYPE),
    _field("stream", "true", INVALID_TYPE),
    _field("stream", 1, INVALID_TYPE),
    _field("stream_options", True, INVALID_TYPE),
    _field("stream_options", {"include_obfuscation": 1}, INVALID_TYPE, "stream_options.include_obfuscation"),
    _field("store", "no", INVALID_TYPE),
    _field("parallel_tool_calls", 0, INVALID_TYPE),
    _field("previous_response_id", 7, INVALID_TYPE),
    _field("conversation", 7, INVALID_TYPE),
    _field("conversation", {}, MISSING, "conversation.id"),
    _field("conversation", {"id": 7}, INVALID_TYPE, "conversation.id"),
    Refused(
        "two histories",
        _body(previous_response_id="resp_1", conversation="conv_1"),
        "previous_response_id",
        INVALID_VALUE,
    ),
    _field("metadata", "x", INVALID_TYPE),
    _field("metadata", ["x"], INVALID_TYPE),
    _field("metadata", {"key": 1}, INVALID_TYPE),
    _field("metadata", {"key": None}, INVALID_TYPE),
    _field("metadata", {"k" * 65: "x"}, INVALID_VALUE),
    _field("metadata", {"key": "v" * 513}, INVALID_VALUE),
    _field("metadata", {str(n): "x" for n in range(17)}, INVALID_VALUE),
    _field("include", "reasoning.encrypted_content", INVALID_TYPE),
    _field("include", [1], INVALID_TYPE, "include[0]"),
    _field("reasoning", "high", INVALID_TYPE),
    _field("reasoning", {"effort": 3}, INVALID_TYPE, "reasoning.effort"),
    _field("reasoning", {"summary": "long"}, INVALID_VALUE, "reasoning.summary"),
    _field("truncation", "middle", INVALID_VALUE),
    _field("truncation", 5, INVALID_TYPE),
    _field("service_tier", 1, INVALID_TYPE),
    _field("user", 1, INVALID_TYPE),
    _field("safety_identifier", 1, INVALID_TYPE),
    _field("prompt_cache_key", {}, INVALID_TYPE),
    _field("prompt", "pmpt_1", INVALID_TYPE),
    _field("client_metadata", "x", INVALID_TYPE),
    _field("context_management", {}, INVALID_TYPE),
    _field("moderation", [], INVALID_TYPE),
    _field("moderation", {"model": 1}, INVALID_TYPE, "moderation.model"),
    _field(
        "moderation",
        {"model": "m", "policy": {"input": {"mode": "drop"}}},
        INVALID_VALUE,
        "moderation.policy.input.mode",
    ),
    _field("prompt_cache_options", 1, INVALID_TYPE),
    _field("file_id", 1, INVALID_TYPE),
    Refused("unknown field", _body(seed=1), "seed", "unknown_parameter", setting="reject"),
    Refused("bad field beside an unknown one", _body(seed=1, top_p=2), "top_p", INVALID_VALUE),
    Refused("bad field beside an ignored one", _body(seed=1, top_p=2), "top_p", INVALID_VALUE, setting="ignore"),
    Refused("max_tokens whatever the setting", _body(max_tokens=1), "max_tokens", UNSUPPORTED, setting="ignore"),
)

_ITEMS = (
    _item("Hello.", "", INVALID_TYPE),
    _item(None, "", INVALID_TYPE),
    _item([], "", INVALID_TYPE),
    _item({}, ".type", MISSING),
    _item({"content": "Hi"}, ".type", MISSING),
    _item({"type": "massage", "role": "user", "content": "Hi"}, ".type", INVALID_VALUE),
    _item({"type": 5}, ".type", INVALID_TYPE),
    _item({"role": "user"}, ".content", MISSING),
    _item({"type": "message", "content": "Hi"}, ".role", MISSING),
    _item({"role": "pirate", "content": "Hi"}, ".role", INVALID_VALUE),
    _item({"role": 1, "content": "Hi"}, ".role", INVALID_TYPE),
    _item({"role": "user", "content": 5}, ".content", INVALID_TYPE),
    _item({"role": "user", "content": {"type": "input_text", "text": "Hi"}}, ".content", INVALID_TYPE),
    _item({"role": "user", "content": ["Hi"]}, ".content[0]", INVALID_TYPE),
    _item({"type": "message", "role": "user", "content": "Hi", "id": 5}, ".id", INVALID_TYPE),
    _item({"type": "function_call", "name": "look", "arguments": "{}"}, ".call_id", MISSING),
    _item({"type": "function_call", "call_id": "call_1", "arguments": "{}"}, ".name", MISSING),
    _item({"type": "function_call", "call_id": "call_1", "name": "look"}, ".arguments", MISSING),
    _item({"type": "function_call", "call_id": "call_1", "name": "look", "arguments": []}, ".arguments", INVALID_TYPE),
    _item({"type": "function_call", "call_id": 1, "name": "look", "arguments": "{}"}, ".call_id", INVALID_TYPE),
    _item({"type": "function_call_output", "call_id": "call_1"}, ".output", MISSING),
    _item({"type": "function_call_output", "call_id": "call_1", "output": {"a": 1}}, ".output", INVALID_TYPE),
    _item({"type": "function_call_output", "call_id": "call_1", "output": [1]}, ".output[0]", INVALID_TYPE),
    _item({"type": "custom_tool_call", "call_id": "call_1", "name": "patch"}, ".input", MISSING),
    _item({"type": "custom_tool_call_output", "call_id": "call_1", "output": 1}, ".output", INVALID_TYPE),
    _item({"type": "reasoning", "summary": "x"}, ".summary", INVALID_TYPE),
    _item({"type": "reasoning", "summary": [{"type": "summary_text"}]}, ".summary[0].text", MISSING),
    _item({"type": "reasoning", "summary": [], "content": "x"}, ".content", INVALID_TYPE),
    _item({"type": "reasoning", "summary": [], "encrypted_content": 1}, ".encrypted_content", INVALID_TYPE),
    _item({"type": "item_reference"}, ".id", MISSING),
    _item({"type": "item_reference", "id": 1}, ".id", INVALID_TYPE),
    _item({"type": "computer_call", "id": 1}, ".id", INVALID_TYPE),
    _part("Hi", "", INVALID_TYPE),
    _part({}, ".type", MISSING),
    _part({"text": "Hi"}, ".type", MISSING),
    _part({"type": "input_txt", "text": "Hi"}, ".type", INVALID_VALUE),
    _part({"type": "input_text"}, ".text", MISSING),
    _part({"type": "input_text", "text": 5}, ".text", INVALID_TYPE),
    _part({"type": "input_text", "text": None}, ".text", INVALID_TYPE),
    _part({"type": "input_image", "image_url": {"href": "https://x"}}, ".image_url", INVALID_TYPE),
    _part({"type": "image_url", "image_url": {"url": 5}}, ".type", INVALID_VALUE),
    _part({"type": "image_url"}, ".type", INVALID_VALUE),
    _part({"type": "file", "file": "x"}, ".type", INVALID_VALUE),
    _part({"type": "input_file", "file_data": 1}, ".file_data", INVALID_TYPE),
    _part({"type": "input_audio", "input_audio": "x"}, ".input_audio", INVALID_TYPE),
    _part({"type": "input_audio", "input_audio": {"data": "x"}}, ".input_audio.format", MISSING),
    _part({"type": "refusal"}, ".refusal", MISSING),
)

_TOOLS = (
    _field("tools", {}, INVALID_TYPE),
    _field("tools", "look", INVALID_TYPE),
    _tool("look", "", INVALID_TYPE),
    _tool(None, "", INVALID_TYPE),
    _tool({}, ".type", MISSING),
    _tool({"name": "look"}, ".type", MISSING),
    _tool({"type": "functoin", "name": "look"}, ".type", INVALID_VALUE),
    _tool({"type": 1}, ".type", INVALID_TYPE),
    _tool({"type": "function"}, ".name", MISSING),
    _tool({"type": "function", "name": None}, ".name", MISSING),
    _tool({"type": "function", "name": ""}, ".name", INVALID_VALUE),
    _tool({"type": "function", "name": "x" * 129}, ".name", INVALID_VALUE),
    _tool({"type": "function", "name": 5}, ".name", INVALID_TYPE),
    _tool({"type": "function", "name": "a", "parameters": "x"}, ".parameters", INVALID_TYPE),
    _tool({"type": "function", "name": "a", "parameters": []}, ".parameters", INVALID_TYPE),
    _tool({"type": "function", "name": "a", "strict": "yes"}, ".strict", INVALID_TYPE),
    _tool({"type": "function", "function": {"description": "x"}}, ".function.name", MISSING),
    _tool({"type": "function", "function": {"name": 1}}, ".function.name", INVALID_TYPE),
    _tool({"type": "custom"}, ".name", MISSING),
    _tool({"type": "custom", "name": "p", "format": "lark"}, ".format", INVALID_TYPE),
    _tool({"type": "custom", "name": "p", "format": {}}, ".format.type", MISSING),
    _tool({"type": "namespace", "tools": []}, ".name", MISSING),
    _tool({"type": "namespace", "name": "n", "tools": {}}, ".tools", INVALID_TYPE),
    _tool({"type": "namespace", "name": "n", "tools": [{"type": "function"}]}, ".tools[0].name", MISSING),
    _tool(
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "a", "parameters": 1}]},
        ".tools[0].parameters",
        INVALID_TYPE,
    ),
    _choice("sometimes", "", INVALID_VALUE),
    _choice(1, "", INVALID_TYPE),
    _choice([], "", INVALID_TYPE),
    _choice({}, ".type", MISSING),
    _choice({"type": "magic"}, ".type", INVALID_VALUE),
    _choice({"type": "function"}, ".name", MISSING),
    _choice({"type": "function", "name": "absent"}, "", INVALID_VALUE),
    _choice({"type": "custom", "name": "absent"}, "", INVALID_VALUE),
    _choice({"type": "allowed_tools", "tools": []}, ".mode", MISSING),
    _choice({"type": "allowed_tools", "mode": "auto"}, ".tools", MISSING),
    _choice({"type": "allowed_tools", "mode": "never", "tools": []}, ".mode", INVALID_VALUE),
    _choice({"type": "allowed_tools", "mode": "auto", "tools": ["look"]}, ".tools[0]", INVALID_TYPE),
    _choice(
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "absent"}]},
        ".tools[0].name",
        INVALID_VALUE,
    ),
    _field("tool_choice", "required", INVALID_VALUE),
)

_TEXT = (
    _field("text", "json", INVALID_TYPE),
    _field("text", {"verbosity": "chatty"}, INVALID_VALUE, "text.verbosity"),
    _field("text", {"format": "json_object"}, INVALID_TYPE, "text.format"),
    _field("text", {"format": {}}, MISSING, "text.format.type"),
    _field("text", {"format": {"type": "xml"}}, INVALID_VALUE, "text.format.type"),
    _field("text", {"format": {"type": "json_schema", "name": "a"}}, MISSING, "text.format.schema"),
    _field("text", {"format": {"schema": None, "name": "a", "type": "json_schema"}}, MISSING, "text.format.schema"),
    _field("text", {"format": {"type": "json_schema", "schema": _SCHEMA}}, MISSING, "text.format.name"),
    _field("text", {"format": {"type": "json_schema", "name": 1, "schema": _SCHEMA}}, INVALID_TYPE, "text.format.name"),
    _field("text", {"format": {"type": "json_schema", "name": "a", "schema": []}}, INVALID_TYPE, "text.format.schema"),
    _field("text", {"type": "xml"}, INVALID_VALUE, "text.type"),
    _field("text", {"type": "json_schema", "name": "a"}, MISSING, "text.schema"),
    _field("text", {"type": "json_schema", "json_schema": {"name": "a"}}, MISSING, "text.schema"),
    _field("text", {"type": "json_schema", "json_schema": "a"}, INVALID_TYPE, "text.json_schema"),
    _field("text", {"type": "json_schema", "schema": "a"}, INVALID_TYPE, "text.schema"),
)

REFUSED = (*_JSON, *_FIELDS, *_ITEMS, *_TOOLS, *_TEXT)
