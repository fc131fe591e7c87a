"""Turn → chat completions: every request passes a strict backend's rules."""

from __future__ import annotations

import base64
from json import dumps, loads
from typing import Any

import msgspec
import pytest

from antiphon.backends.chat.profiles import PROFILES, find
from antiphon.core.request.text_format import resolve_text
from antiphon.errors import InvalidRequest
from antiphon.types.request import CreateResponse, TextConfig
from tests.backends.chat.chats import PARAMETERS, PATCH, USER, WEATHER, ask, sent
from tests.backends.chat.codec_requests import HISTORY, SELF_ANSWERED, Json, call, messages, output

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"}
ANSWER = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def schema_text() -> Any:
    config = msgspec.json.decode(
        dumps({"format": {"type": "json_schema", "name": "n", "schema": ANSWER, "strict": True}}), type=TextConfig
    )
    return resolve_text(config)


def thoughts(text: str) -> Json:
    return {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}


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
    assert roles_of(found) == ["user", "user", "assistant", "tool", "tool"]
    assert [message["content"] for message in found[3:]] == ["one", "two"]


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


# Tools and their choice


def test_tools_without_a_choice() -> None:
    body = sent(ask(tools=[{**WEATHER, "strict": True}], parallel_tool_calls=False))
    function = {"name": "get_weather", "description": "Weather", "parameters": PARAMETERS, "strict": True}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert "tool_choice" not in body and body["parallel_tool_calls"] is False


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
