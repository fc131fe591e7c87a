"""Turn → chat completions: every request passes a strict backend's rules."""

from __future__ import annotations

import base64
from json import dumps, loads
from typing import Any

import msgspec
import pytest

from antiphon.backends.chat.profiles import PROFILES, find
from antiphon.core.request.text_format import resolve_text
from antiphon.core.tools.history import NOT_KEPT
from antiphon.core.tools.offers import Offer, Target
from antiphon.errors import APIError, InvalidRequest
from antiphon.types.request import CreateResponse, TextConfig
from antiphon.types.tools import ToolChoice
from tests.backends.chat.chats import PARAMETERS, PATCH, TIME, USER, WEATHER, ask, sent

Json = dict[str, Any]
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"}
ANSWER = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def schema_text() -> Any:
    config = msgspec.json.decode(
        dumps({"format": {"type": "json_schema", "name": "n", "schema": ANSWER, "strict": True}}), type=TextConfig
    )
    return resolve_text(config)


def call(id: str, name: str = "get_weather", arguments: str = "{}", **fields: Any) -> Json:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments, **fields}


def output(id: str, value: Any = "ok") -> Json:
    return {"type": "function_call_output", "call_id": id, "output": value}


def thoughts(text: str) -> Json:
    return {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}


def messages(*items: Json, profile: str = "generic", roles: str = "system", **fields: Any) -> list[Json]:
    found: list[Json] = sent(ask(*items, **fields), profile, roles=roles)["messages"]
    return found


def roles_of(found: list[Json]) -> list[str]:
    return [message["role"] for message in found]


# Messages


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (
            "keep",
            [("system", "be"), ("developer", "a"), ("developer", "b"), ("user", "Hi"), ("system", "c"), ("user", "Hi")],
        ),
        (
            "system",
            [("system", "be"), ("system", "a"), ("system", "b"), ("user", "Hi"), ("system", "c"), ("user", "Hi")],
        ),
        ("merge", [("system", "be\n\na\n\nb"), ("user", "Hi"), ("system", "c"), ("user", "Hi")]),
        ("merge-first", [("system", "be\n\na\n\nb\n\nc"), ("user", "Hi"), ("user", "Hi")]),
    ],
)
def test_roles(roles: str, expected: list[tuple[str, str]]) -> None:
    items = [{"role": "developer", "content": "a"}, {"role": "developer", "content": "b"}, USER]
    items += [{"role": "system", "content": "c"}, USER]
    found = messages(*items, roles=roles, instructions="be")
    assert [(message["role"], message["content"]) for message in found] == expected
    items.insert(3, {"role": "assistant", "content": "Ho"})
    found = messages(*items, roles=roles, instructions="be")
    told = [("user", "<system-reminder>\nc\n</system-reminder>")] if roles == "merge-first" else [("system", "c")]
    assert [(message["role"], message["content"]) for message in found[-3:]] == [
        ("assistant", "Ho"),
        *told,
        ("user", "Hi"),
    ]


def test_a_reply_is_one_message() -> None:
    found = messages(
        USER,
        thoughts("hm"),
        {"role": "assistant", "content": "Let me see."},
        call("1"),
        call("2"),
        output("1"),
        output("2", "no"),
    )
    assert found[1]["content"] == "Let me see." and found[1]["reasoning_content"] == "hm"
    assert [entry["id"] for entry in found[1]["tool_calls"]] == ["1", "2"]
    assert [(message["tool_call_id"], message["content"]) for message in found[2:]] == [("1", "ok"), ("2", "no")]


def test_turns_of_calls_stay_apart() -> None:
    found = messages(USER, thoughts("a"), call("1"), output("1"), thoughts("b"), call("2"), output("2"))
    assert roles_of(found) == ["user", "assistant", "tool", "assistant", "tool"]
    assert [found[1]["reasoning_content"], found[3]["reasoning_content"]] == ["a", "b"]


def test_outputs_are_moved_behind_their_calls() -> None:
    found = messages(output("2", "two"), USER, call("1"), call("2"), USER, output("1", "one"))
    assert roles_of(found) == ["user", "assistant", "tool", "tool", "user"]
    assert [message["content"] for message in found[2:4]] == ["one", "two"]


def test_a_call_without_an_output_is_answered() -> None:
    assert messages(USER, call("1"), USER)[2] == {"role": "tool", "tool_call_id": "1", "content": "(no output)"}


def test_an_output_without_its_call_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(ask(USER, output("9")))
    assert (caught.value.status, caught.value.param) == (400, "input") and "9" in caught.value.message


@pytest.mark.parametrize(
    ("arguments", "expected"), [("", {}), ("{bad", {"arguments": "{bad"}), ("[1]", {}), ('{"a":1}', {"a": 1})]
)
def test_arguments_are_always_an_object(arguments: str, expected: Json) -> None:
    found = messages(call("1", arguments=arguments), output("1"))
    assert loads(found[0]["tool_calls"][0]["function"]["arguments"]) == expected


def test_reasoning_goes_where_the_server_reads_it() -> None:
    items = (USER, thoughts("hm"), {"role": "assistant", "content": "x"})
    assert messages(*items, profile="openrouter")[1]["reasoning"] == "hm"
    assert messages(*items, profile="mistral")[1] == {"role": "assistant", "content": "x"}
    assert len(messages(USER, thoughts("alone"), USER)) == 2


def test_parts_of_a_user_message() -> None:
    pdf = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}
    code = {"type": "input_file", "filename": "a.py", "file_data": base64.b64encode(b"x = 1").decode()}
    sound = {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}
    found = messages({"role": "user", "content": [{"type": "input_text", "text": "See:"}, IMAGE, pdf, code, sound]})
    assert found[0]["content"] == [
        {"type": "text", "text": "See:\nFile a.py:\nx = 1"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.ts", b"let x = 1", None),  # no video, as the tables of some machines have it
        ("a.toml", b"x = 1", None),
        ("a.yaml", b"x: 1", None),
        ("a.svg", b"<svg/>", "image/svg+xml"),
        ("a.docx", b"PK", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.unheard-of", b"%PDF-", "application/pdf"),
    ],
)
def test_the_type_of_a_file_without_one_is_that_of_the_one_table(name: str, data: bytes, kind: str | None) -> None:
    raw = base64.b64encode(data).decode()
    part = {"type": "input_file", "filename": name, "file_data": raw}
    (message,) = messages({"role": "user", "content": [part]})
    url = f"data:{kind};base64,{raw}"
    if kind is None:
        assert message["content"] == f"File {name}:\n{data.decode()}"
    elif kind.startswith("image/"):
        assert message["content"] == [{"type": "image_url", "image_url": {"url": url}}]
    else:
        assert message["content"] == [{"type": "file", "file": {"filename": name, "file_data": url}}]


@pytest.mark.parametrize(
    "part", [{"type": "input_image", "file_id": "f"}, {"type": "input_file", "file_url": "https://x/y"}]
)
def test_files_that_were_not_fetched_are_refused(part: Json) -> None:
    with pytest.raises(InvalidRequest):
        sent(ask({"role": "user", "content": [part]}))


def test_images_of_tool_outputs_follow_in_a_user_message() -> None:
    found = messages(
        call("1"), call("2"), output("1", [{"type": "input_text", "text": "seen"}, IMAGE]), output("2", [IMAGE])
    )
    assert roles_of(found) == ["assistant", "tool", "tool", "user", "user"]
    assert [message["content"] for message in found[1:3]] == ["seen", "(The output is in the next message.)"]
    assert found[3]["content"][0] == {"type": "text", "text": "Output of the tool call 1:"}


def test_refusals_and_empty_messages() -> None:
    refusal = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    empty = {"role": "assistant", "content": []}
    assert [message["content"] for message in messages(USER, refusal, USER, empty)] == ["Hi", "No.", "Hi"]


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


@pytest.mark.parametrize(("item", "answer", "name", "arguments", "result"), HISTORY)
def test_history_of_rarer_tools(item: Json, answer: Json | None, name: str, arguments: Json, result: str) -> None:
    found = messages(USER, item, *([answer] if answer else []))
    (made,) = found[1]["tool_calls"]
    assert (made["function"]["name"], loads(made["function"]["arguments"])) == (name, arguments)
    assert found[2] == {"role": "tool", "tool_call_id": made["id"], "content": result}


def test_items_that_say_nothing_to_a_chat_model() -> None:
    others: list[Json] = [
        {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "AA=="},
        {"type": "mcp_list_tools", "id": "l", "server_label": "s", "tools": []},
        {"type": "mcp_approval_request", "id": "a", "server_label": "s", "name": "t", "arguments": "{}"},
        {"type": "mcp_approval_response", "approval_request_id": "a", "approve": True},
        {"type": "compaction_trigger"},
    ]
    assert messages(USER, *others) == [{"role": "user", "content": "Hi"}]


def test_short_call_ids() -> None:
    found = messages(call("call_with_a_long_id"), output("call_with_a_long_id"), profile="mistral")
    id = found[0]["tool_calls"][0]["id"]
    assert len(id) == 9 and id.isalnum() and found[1]["tool_call_id"] == id


# Tools and their choice


def test_tools_without_a_choice() -> None:
    body = sent(ask(tools=[{**WEATHER, "strict": True}], parallel_tool_calls=False))
    function = {"name": "get_weather", "description": "Weather", "parameters": PARAMETERS, "strict": True}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert "tool_choice" not in body and body["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("choice", "expected", "offered"),
    [
        ("none", "none", ["get_weather", "apply_patch"]),
        ("required", "required", ["get_weather", "apply_patch"]),
        (
            ToolChoice(type="function", name="get_weather"),
            {"type": "function", "function": {"name": "get_weather"}},
            ["get_weather", "apply_patch"],
        ),
        (
            ToolChoice(type="custom", name="apply_patch"),
            {"type": "function", "function": {"name": "apply_patch"}},
            ["get_weather", "apply_patch"],
        ),
        (
            ToolChoice(type="allowed_tools", mode="auto", tools=[{"type": msgspec.Raw(b'"custom"')}]),
            None,
            ["apply_patch"],
        ),
        (
            ToolChoice(
                type="allowed_tools",
                mode="required",
                tools=[{"type": msgspec.Raw(b'"function"'), "name": msgspec.Raw(b'"get_weather"')}],
            ),
            "required",
            ["get_weather"],
        ),
    ],
)
def test_tool_choice(choice: Any, expected: Any, offered: list[str]) -> None:
    body = sent(ask(tools=[WEATHER, PATCH, {"type": "web_search"}], tool_choice=choice))
    assert body.get("tool_choice") == expected
    assert [tool["function"]["name"] for tool in body["tools"]] == offered


def test_a_choice_of_a_server() -> None:
    remote = [Offer(target=Target("mcp", "t", label)) for label in ("a", "b")]
    choice = ToolChoice(type="mcp", server_label="b")
    body = sent(ask(tools=[WEATHER], server_tools=remote, tool_choice=choice))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["b__t"] and body["tool_choice"] == "required"


def test_a_choice_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(ask(tools=[WEATHER], tool_choice=ToolChoice(type="function", name="x")))
    assert caught.value.param == "tool_choice"


def test_without_tools_there_is_no_choice() -> None:
    assert "tool_choice" not in sent(ask(tools=[{"type": "web_search"}], tool_choice="auto"))
    assert "tools" not in sent(ask(tools=[WEATHER], tool_choice="none"), "ollama")


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        (ToolChoice(type="web_search"), "web_search"),
        ("required", "web_search"),
        (
            ToolChoice(type="allowed_tools", mode="required", tools=[{"type": msgspec.Raw(b'"web_search"')}]),
            "web_search",
        ),
    ],
)
def test_a_forced_tool_that_nobody_runs_is_refused(choice: Any, named: str) -> None:
    with pytest.raises(InvalidRequest, match=f"does not run the tool '{named}'") as refused:
        sent(ask(tools=[{"type": "web_search"}], tool_choice=choice))
    assert refused.value.param == "tool_choice"


def test_a_forced_call_where_the_server_does_not_obey() -> None:
    recursive = {
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/N"}},
        "$defs": {"N": {"anyOf": [{"$ref": "#/$defs/N"}]}},
    }
    tools = [WEATHER, {"type": "function", "name": "tree", "parameters": recursive}]
    body = sent(ask(tools=tools, tool_choice="required"), "llama_cpp")
    schema = body["response_format"]["json_schema"]["schema"]
    assert body["tool_choice"] == "none" and len(body["tools"]) == 2
    assert [form["properties"]["name"]["const"] for form in schema["anyOf"]] == ["get_weather", "tree"]
    assert schema["anyOf"][1]["properties"]["arguments"]["properties"] == {"n": {"$ref": "#/$defs/t1_N"}}
    assert schema["$defs"] == {"t1_N": {"anyOf": [{"$ref": "#/$defs/t1_N"}]}}
    named = sent(ask(tools=tools, tool_choice=ToolChoice(type="function", name="get_weather")), "llama_cpp")
    assert named["response_format"]["json_schema"]["schema"]["properties"]["name"] == {"const": "get_weather"}


@pytest.mark.parametrize(
    ("profile", "syntax", "definition", "fields"),
    [
        ("llama_cpp", "regex", "a|b", {"grammar": 'root ::= "a" | "b"\n'}),
        ("llama_cpp", "lark", 'start: "a"', {"grammar": 'root ::= l-start\nl-start ::= "a"\n'}),
        ("vllm", "regex", "a|b", {"structured_outputs": {"regex": "a|b"}}),
        ("vllm", "lark", 'start: "a"', {"structured_outputs": {"grammar": 'root ::= l-start\nl-start ::= "a"\n'}}),
        ("sglang", "regex", "a|b", {"regex": "a|b"}),
        ("sglang", "lark", 'start: "a"', {"ebnf": 'root ::= l-start\nl-start ::= "a"\n'}),
    ],
)
def test_a_forced_custom_tool_is_held_to_its_grammar(profile: str, syntax: str, definition: str, fields: Json) -> None:
    tool = {**PATCH, "format": {"type": "grammar", "syntax": syntax, "definition": definition}}
    body = sent(ask(tools=[tool], tool_choice=ToolChoice(type="custom", name="apply_patch")), profile)
    assert {name: body[name] for name in fields} == fields and body["tool_choice"] == "none"
    assert definition in body["tools"][0]["function"]["description"]


# Format


def test_response_formats() -> None:
    strict = {"type": "json_schema", "json_schema": {"name": "n", "schema": ANSWER, "strict": True}}
    assert sent(ask(text=schema_text()))["response_format"] == strict
    degraded = sent(ask(text=schema_text()), "deepseek")
    assert (
        degraded["response_format"] == {"type": "json_object"} and "JSON Schema" in degraded["messages"][0]["content"]
    )
    object = resolve_text(msgspec.json.decode(b'{"format":{"type":"json_object"}}', type=TextConfig))
    assert sent(ask(text=object))["response_format"] == {"type": "json_object"}
    assert sent(ask(text=object), "lmstudio")["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_a_format_beside_tools() -> None:
    native = sent(ask(text=schema_text(), tools=[WEATHER]))
    assert native["response_format"]["json_schema"]["schema"] == ANSWER and "tool_choice" not in native
    joined = sent(ask(text=schema_text(), tools=[WEATHER]), "llama_cpp")
    forms = joined["response_format"]["json_schema"]["schema"]["anyOf"]
    assert forms[0]["properties"]["name"] == {"const": "get_weather"} and forms[1] == ANSWER


# The rest


def test_sampling_and_extra_fields() -> None:
    request = CreateResponse(model="m", input="x", presence_penalty=0.5, top_logprobs=2, user="u", metadata={"a": "b"})
    fields: Json = {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 7, "stream": False, "request": request}
    extra = {"seed": msgspec.Raw(b"3"), "temperature": msgspec.Raw(b"2"), "model": msgspec.Raw(b'"no"')}
    body = sent(ask(extra=extra, **fields))
    body.pop("messages")
    assert body == {
        "model": "m",
        "user": "u",
        "temperature": 0.5,
        "top_p": 0.9,
        "presence_penalty": 0.5,
        "max_tokens": 7,
        "logprobs": True,
        "top_logprobs": 2,
        "seed": 3,
    }
    openai = sent(ask(**fields), "openai")
    assert (openai["max_completion_tokens"], openai["user"], openai["metadata"]) == (7, "u", {"a": "b"})


def test_streams_ask_for_usage_where_that_is_known() -> None:
    assert sent(ask())["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent(ask(), "mistral")


@pytest.mark.parametrize(
    ("profile", "effort", "fields"),
    [
        ("generic", "low", {"reasoning_effort": "low"}),
        ("vllm", "xhigh", {"reasoning_effort": "high", "chat_template_kwargs": {"enable_thinking": True}}),
        ("vllm", "none", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("llama_cpp", "minimal", {"chat_template_kwargs": {"enable_thinking": False, "x": 1}}),
        ("openrouter", "high", {"reasoning": {"effort": "high"}}),
        ("ollama", "minimal", {"reasoning_effort": "none"}),
        ("mistral", "high", {}),
        ("generic", None, {}),
    ],
)
def test_effort(profile: str, effort: str | None, fields: Json) -> None:
    extra = {"chat_template_kwargs": msgspec.Raw(b'{"x":1}')} if "x" in fields.get("chat_template_kwargs", {}) else {}
    body = sent(ask(reasoning_effort=effort, extra=extra), profile)
    names = ("reasoning_effort", "chat_template_kwargs", "reasoning")
    assert {name: body[name] for name in names if name in body} == fields


@pytest.mark.parametrize(
    ("name", "url", "owners", "expected"),
    [
        ("vllm", "", (), "vllm"),
        ("auto", "http://127.0.0.1:8000/v1", ("vllm",), "vllm"),
        ("auto", "http://x:11434/v1", (), "ollama"),
        ("auto", "https://api.openai.com/v1", ("system",), "openai"),
        ("auto", "https://eu.api.openai.com/v1", (), "openai"),
        ("auto", "http://h:9/v1", ("llamacpp",), "llama_cpp"),
        ("auto", "http://h:9/v1", ("somebody",), "generic"),
        ("auto", "http://[bad", (), "generic"),
    ],
)
def test_profiles_are_found(name: str, url: str, owners: tuple[str, ...], expected: str) -> None:
    assert find(name, url, owners) is PROFILES[expected]
    assert find("nobody knows") is None


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_passes_a_long_history(profile: str) -> None:
    items: list[Json] = [{"role": "developer", "content": "d"}, USER, thoughts("t")]
    for item, answer, *_ in HISTORY[:SELF_ANSWERED]:
        items += [item | {"call_id": f"c{len(items)}"}, (answer or {}) | {"call_id": f"c{len(items)}"}]
    body = sent(
        ask(*items, tools=[WEATHER, PATCH, {"type": "shell"}, {"type": "image_generation"}], instructions="be"), profile
    )
    assert len(body["tools"]) == 5  # with the two tools that the search found


# Ids that repeat


def _read(id: str, path: str) -> Json:
    return {"type": "function_call", "call_id": id, "name": "read", "arguments": dumps({"path": path})}


def _gave(id: str, output: str) -> Json:
    return {"type": "function_call_output", "call_id": id, "output": output}


def _told(body: Json) -> list[tuple[str, str]]:
    """Return what the model is told of each call: its arguments and its output, paired by the ids that are sent."""
    outputs: dict[str, str] = {}
    calls: list[tuple[str, str]] = []
    for message in body["messages"]:
        calls += [(call["id"], call["function"]["arguments"]) for call in message.get("tool_calls", ())]
        if message["role"] == "tool":
            assert message["tool_call_id"] not in outputs
            outputs[message["tool_call_id"]] = message["content"]
    assert len({id for id, _ in calls}) == len(calls)
    return [(arguments, outputs[id]) for id, arguments in calls]


@pytest.mark.parametrize("profile", ["generic", "mistral"])
@pytest.mark.parametrize("id", ["read:0", "call_0", "functions.read:7"])
def test_each_call_has_its_own_output_where_ids_repeat(profile: str, id: str) -> None:
    history = [USER, _read(id, "a"), _gave(id, "A"), _read(id, "b"), _gave(id, "B"), USER]
    history += [_read(id, "c"), _read(id, "d"), _gave(id, "C"), _gave(id, "D")]
    assert _told(sent(ask(*history), profile)) == [(dumps({"path": name}), name.upper()) for name in "abcd"]


PAIRED = [
    (
        {"type": "custom_tool_call", "name": "apply_patch", "input": "x"},
        {"type": "custom_tool_call_output"},
    ),
    ({"type": "shell_call", "action": {"commands": ["ls"]}}, {"type": "shell_call_output"}),
    ({"type": "local_shell_call", "id": "l", "action": {"command": ["ls"]}}, {"type": "local_shell_call_output"}),
    (
        {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "x"}},
        {"type": "apply_patch_call_output"},
    ),
]


@pytest.mark.parametrize(("call", "output"), PAIRED)
def test_every_kind_of_call_is_paired_so(call: Json, output: Json) -> None:
    history = []
    for turn in range(3):
        history += [_read("x", f"f{turn}"), call | {"call_id": "x"}]
        history += [output | {"call_id": "x", "output": f"other {turn}"}, _gave("x", f"read {turn}")]
    told = [found for _, found in _told(sent(ask(USER, *history)))]
    assert told == [word for turn in range(3) for word in (f"read {turn}", f"other {turn}")]


def test_a_second_output_for_a_call_is_refused_unless_it_says_the_same() -> None:
    history = [USER, _read("x", "a"), _gave("x", "A")]
    with pytest.raises(InvalidRequest, match=r"Duplicate tool output for call_id x") as caught:
        sent(ask(*history, _gave("x", "B")))
    assert (caught.value.status, caught.value.param) == (400, "input")
    assert _told(sent(ask(*history, _gave("x", "A")))) == [(dumps({"path": "a"}), "A")]


def test_an_interrupted_call_does_not_get_a_later_ones_output() -> None:
    history = [_read("x", "a"), USER, _read("x", "b"), _gave("x", "B")]
    assert [output for _, output in _told(sent(ask(*history)))] == ["(no output)", "B"]


# Names of fields


@pytest.mark.parametrize("quote", ['"', '\\"', "\\u0022", "\n", "\x7f", "é😀"])
def test_the_name_of_a_field_stays_a_name(quote: str) -> None:
    name = f'z{quote}:0,"model":"other","messages":[],{quote}y'
    body = sent(ask(extra={name: msgspec.Raw(b"0"), "model": msgspec.Raw(b'"other"')}))
    assert (body["model"], body[name]) == ("m", 0)
    assert body["messages"]


@pytest.mark.parametrize("given", ["5", "[1]", '"x"', "[" * 5000 + "]" * 5000, '{"a":1}'])
def test_template_arguments_that_are_no_object_are_the_clients_fault(given: str) -> None:
    turn = ask(extra={"chat_template_kwargs": msgspec.Raw(given.encode())}, reasoning_effort="high")
    if given.startswith("{"):
        assert sent(turn, "vllm")["chat_template_kwargs"]["enable_thinking"] is True
        return
    with pytest.raises(InvalidRequest) as caught:
        sent(turn, "vllm")
    assert (caught.value.status, caught.value.param) == (400, "chat_template_kwargs")


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000 + "]" * 5000])
def test_allowed_tools_that_cannot_be_read_are_the_clients_fault(value: str) -> None:
    choice = ToolChoice(type="allowed_tools", mode="auto", tools=[{"type": msgspec.Raw(value.encode())}])
    with pytest.raises(InvalidRequest):
        sent(ask(tools=[WEATHER], tool_choice=choice))


# What a client's declarations may not be


LARK = ['start: "\\x"', 'start: "\\N{foo}"..x', 'start: "a"..foo', 'start: "\0"', "", "start:" + " (" * 5000]


@pytest.mark.parametrize("profile", ["llama_cpp", "vllm", "sglang"])
@pytest.mark.parametrize("definition", LARK)
def test_a_wrong_grammar_names_its_tool(profile: str, definition: str) -> None:
    tool = {**PATCH, "format": {"type": "grammar", "syntax": "lark", "definition": definition}}
    space = {"type": "namespace", "name": "n", "description": "", "tools": [tool]}
    choice = ToolChoice(type="custom", name="apply_patch")
    for tools, where in (([WEATHER, tool], "tools[1]"), ([space], "tools[0].tools[0]")):
        with pytest.raises(InvalidRequest) as refused:
            sent(ask(tools=tools, tool_choice=choice), profile)
        assert refused.value.param == f"{where}.format.definition"


def test_a_wrong_expression_names_its_tool() -> None:
    tool = {**PATCH, "format": {"type": "grammar", "syntax": "regex", "definition": "(" * 5000}}
    with pytest.raises(InvalidRequest) as refused:
        sent(ask(tools=[tool], tool_choice=ToolChoice(type="custom", name="apply_patch")), "llama_cpp")
    assert refused.value.param == "tools[0].format.definition"


def test_a_grammar_that_cannot_be_carried_over_stays_in_the_description() -> None:
    tool = {**PATCH, "format": {"type": "grammar", "syntax": "regex", "definition": "(?=a)b"}}
    body = sent(ask(tools=[tool], tool_choice=ToolChoice(type="custom", name="apply_patch")), "llama_cpp")
    assert "grammar" not in body and "(?=a)b" in body["tools"][0]["function"]["description"]


def nested(depth: int) -> Json:
    schema: Json = {"$ref": "#/$defs/x"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "$ref": "#/$defs/x", "$defs": [1]},
        {"type": "object", "$ref": "#/$defs/x", "$defs": 5},
        {"type": "object", "$ref": "#/definitions/x", "definitions": "x"},
        {"type": "object", "$ref": "#/$defs/x", "$defs": None},
        {"type": "object", "properties": {"a": nested(300)}},
        {"type": "object", "$defs": {"x": nested(300)}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/x", "enum": ["x" * 2**20]}}},
    ],
)
def test_a_schema_that_cannot_be_put_into_another_names_its_tool(parameters: Json) -> None:
    tool = {"type": "function", "name": "f", "parameters": parameters}
    with pytest.raises(InvalidRequest) as refused:
        sent(ask(tools=[WEATHER, tool], tool_choice=ToolChoice(type="function", name="f")), "llama_cpp")
    assert refused.value.param == "tools[1].parameters"


def test_a_format_that_cannot_be_put_into_another_is_named() -> None:
    for schema in ({"$ref": "#/$defs/x", "$defs": [1]}, nested(300)):
        config = dumps({"format": {"type": "json_schema", "name": "n", "schema": schema}})
        text = resolve_text(msgspec.json.decode(config, type=TextConfig))
        with pytest.raises(InvalidRequest) as refused:
            sent(ask(text=text, tools=[WEATHER]), "llama_cpp")
        assert refused.value.param == "text.format.schema"


def test_what_an_mcp_server_declares_wrongly_is_its_fault() -> None:
    remote = [Offer(target=Target("mcp", "t", "s"), parameters=msgspec.Raw(b'{"$ref":"#/$defs/x","$defs":[1]}'))]
    turn = msgspec.structs.replace(ask(tools=[WEATHER], tool_choice="required"), server_tools=remote)
    with pytest.raises(APIError) as refused:
        sent(turn, "llama_cpp")
    assert (refused.value.status, refused.value.code) == (424, "mcp_server_error")
