"""Turn → the body of a Messages request."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec import Raw

from antiphon.backends.anthropic.cache_control import NO_CACHE
from antiphon.backends.anthropic.codec import MessagesOptions, request
from antiphon.core.request.tool_decoding import decode_tool
from antiphon.errors import InvalidRequest
from antiphon.types.tools import ToolChoice
from tests.backends.anthropic.codec_requests import (
    PLAIN,
    PNG,
    STRICT,
    Json,
    assistant,
    body,
    called,
    item,
    output,
    tool,
    use,
    user,
)
from tests.backends.turns import turn

BEGIN = {"role": "user", "content": [{"type": "text", "text": "."}]}


def result(id: str, content: Any = "sunny", **fields: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **fields}


NOT_ANSWERED = {"content": "(not answered)", "is_error": True}
HISTORIES: dict[str, tuple[list[Json], list[Json]]] = {
    "one message": ([item("user", "Hi")], [user("Hi")]),
    "nothing": ([], [BEGIN]),
    "blank": ([item("user", "  \n")], [BEGIN]),
    "equal roles are one message": (
        [item("user", "a"), item("user", "b"), item("assistant", "c"), item("assistant", "d"), item("user", "e")],
        [user("a", "b"), assistant("c", "d"), user("e")],
    ),
    "the assistant does not begin": ([item("assistant", "a"), item("user", "b")], [BEGIN, assistant("a"), user("b")]),
    "no blanks at the end of a beginning": (
        [item("user", "a"), item("assistant", "Once \n")],
        [user("a"), assistant("Once")],
    ),
    "a call and its result": (
        [item("user", "a"), called("c1", '{"b": 1,"a":2}'), output("c1")],
        [user("a"), assistant(use("c1", {"b": 1, "a": 2})), {"role": "user", "content": [result("c1")]}],
    ),
    "results in the order of the calls, behind text that stood before them": (
        [
            item("user", "a"),
            item("assistant", "So"),
            called("c1"),
            called("c2"),
            item("user", "b"),
            output("c2", "2"),
            output("c1", "1"),
        ],
        [
            user("a", "b"),
            assistant("So", use("c1"), use("c2")),
            {"role": "user", "content": [result("c1", "1"), result("c2", "2")]},
        ],
    ),
    "a call without a result": (
        [item("user", "a"), called("c1"), item("user", "b")],
        [
            user("a"),
            assistant(use("c1")),
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", **NOT_ANSWERED},
                    {"type": "text", "text": "b"},
                ],
            },
        ],
    ),
    "an empty result": (
        [item("user", "a"), called("c1"), output("c1", "")],
        [user("a"), assistant(use("c1")), {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1"}]}],
    ),
    "a result with an image": (
        [
            item("user", "a"),
            called("c1"),
            output("c1", [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]),
        ],
        [
            user("a"),
            assistant(use("c1")),
            {
                "role": "user",
                "content": [
                    result(
                        "c1",
                        [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}],
                    )
                ],
            },
        ],
    ),
    "odd ids": (
        [item("user", "a"), called("functions.f:0"), output("functions.f:0")],
        [
            user("a"),
            assistant(use("call_1f0d66aacc1bc0cdbe44a3ee")),
            {"role": "user", "content": [result("call_1f0d66aacc1bc0cdbe44a3ee")]},
        ],
    ),
    "arguments that are no object": (
        [item("user", "a"), called("c1", "[1"), output("c1")],
        [user("a"), assistant(use("c1", {"arguments": "[1"})), {"role": "user", "content": [result("c1")]}],
    ),
    "system text in the middle": (
        [item("user", "a"), item("assistant", "b"), item("developer", "Be short."), item("user", "c")],
        [user("a"), assistant("b"), user("<system-reminder>\nBe short.\n</system-reminder>", "c")],
    ),
    "thoughts of another kind of model": (
        [
            item("user", "a"),
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
            item("assistant", "b"),
            item("user", "c"),
        ],
        [user("a"), assistant("b"), user("c")],
    ),
    "a custom tool": (
        [
            item("user", "a"),
            {"type": "custom_tool_call", "call_id": "c1", "name": "p", "input": "x\ny"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        ],
        [user("a"), assistant(use("c1", {"input": "x\ny"}, "p")), {"role": "user", "content": [result("c1", "ok")]}],
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history(name: str) -> None:
    items, expected = HISTORIES[name]
    found = body(items=items)["messages"]
    for one in (found, expected):
        for ids in [block for message in one for block in message["content"]]:
            for key in ("id", "tool_use_id"):  # a digest is any that is the same for call and result
                if str(ids.get(key, "")).startswith("call_"):
                    ids[key] = "call_"
    assert found == expected


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_that_goes_on_has_the_same_beginning(name: str) -> None:
    items, _ = HISTORIES[name]
    if not items or items[-1].get("role") == "assistant":
        return
    before = request(turn(items=items), PLAIN).fields["messages"]
    after = request(turn(items=[*items, item("assistant", "z"), item("user", "y")]), PLAIN).fields["messages"]
    assert after.startswith(before[:-1])


def test_arguments_go_as_their_own_bytes() -> None:
    raw = '{ "b":1.0,"a":"\\u00e9é"}'
    sent = request(turn(items=[item("user", "a"), called("c", raw), output("c")]), PLAIN).fields["messages"]
    assert raw.encode() in sent


def test_an_output_without_its_call_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="No tool call found"):
        body(items=[item("user", "a"), output("c")])


def test_instructions_and_leading_system_messages_are_the_system_text() -> None:
    found = body(items=[item("system", "b"), item("developer", "c"), item("user", "d")], instructions="a")
    assert found["system"] == [{"type": "text", "text": text} for text in "abc"]
    assert found["messages"] == [user("d")]
    assert "system" not in body(PLAIN, "d")


def test_a_model_that_takes_system_messages_gets_them_in_their_place() -> None:
    options = MessagesOptions(cache=NO_CACHE, keeps_system=True)
    found = body(options, items=[item("user", "a"), item("system", "b"), item("user", "c")])["messages"]
    assert found[1] == {"role": "system", "content": [{"type": "text", "text": "b"}]}


PDF = base64.b64encode(b"%PDF-1.7").decode()
WORDS = base64.b64encode("Grüße".encode()).decode()
PARTS: list[tuple[Json, Json]] = [
    ({"type": "input_text", "text": "a"}, {"type": "text", "text": "a"}),
    (
        {"type": "input_image", "image_url": f"data:image/PNG;base64,{PNG}"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ),
    (
        {"type": "input_image", "image_url": "https://a.example/b.png"},
        {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
    ),
    (
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            "title": "a.pdf",
        },
    ),
    (
        {"type": "input_file", "file_data": PDF},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
    ),
    (
        {"type": "input_file", "filename": "a.md", "file_data": WORDS},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"},
            "title": "a.md",
        },
    ),
    (
        {"type": "input_file", "filename": "a.png", "file_data": f"data:image/png;base64,{PNG}"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ),
    (
        {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,"},
        {"type": "text", "text": "(The file a.txt is empty.)"},
    ),
]


@pytest.mark.parametrize(("part", "block"), PARTS, ids=range(len(PARTS)))
def test_parts_of_messages(part: Json, block: Json) -> None:
    found = body(items=[{"type": "message", "role": "user", "content": [part]}])
    assert found["messages"] == [{"role": "user", "content": [block]}]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "input_image"}, "image_url"),
        ({"type": "input_file", "file_id": "file_1"}, "file_data"),
        ({"type": "input_file", "filename": "a.docx", "file_data": WORDS}, "cannot take files"),
        ({"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,/w=="}, "cannot take files"),
        ({"type": "input_audio", "input_audio": {"data": "YQ==", "format": "wav"}}, "cannot take audio"),
    ],
)
def test_what_has_no_block_is_refused(part: Json, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        body(items=[{"type": "message", "role": "user", "content": [part]}])


# Tools


def test_tools() -> None:
    free = {"type": "custom", "name": "p", "description": "Patch"}
    tools = [tool("f", description="Weather"), decode_tool(Raw(json.dumps(free).encode()))]
    found = body(PLAIN, "a", tools=tools)
    assert found["tools"][0] == {
        "name": "f",
        "description": "Weather",
        "input_schema": {"type": "object", "properties": {}},
    }
    assert found["tools"][1]["input_schema"]["required"] == ["input"]
    assert "tool_choice" not in found


def test_strict_tools_have_schemas_that_the_api_takes() -> None:
    (found,) = body(PLAIN, "a", tools=[tool(parameters=STRICT, strict=True)])["tools"]
    assert found["strict"] is True
    assert found["input_schema"] == {
        "type": "object",
        "properties": {
            "n": {"type": "integer"},
            "o": {"type": "object", "properties": {}, "additionalProperties": False},
        },
        "required": ["n"],
        "additionalProperties": False,
    }
    (found,) = body(MessagesOptions(drop=("strict",)), "a", tools=[tool(parameters=STRICT, strict=True)])["tools"]
    assert "strict" not in found


CHOICES: list[tuple[Any, bool, Any]] = [
    ("auto", True, None),
    ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
    ("none", True, {"type": "none"}),
    ("none", False, {"type": "none"}),
    ("required", True, {"type": "any"}),
    ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
    (ToolChoice(type="function", name="f"), True, {"type": "tool", "name": "f"}),
]


@pytest.mark.parametrize(("choice", "parallel", "said"), CHOICES, ids=range(len(CHOICES)))
def test_tool_choices(choice: Any, parallel: bool, said: Any) -> None:
    found = body(PLAIN, "a", tools=[tool()], tool_choice=choice, parallel_tool_calls=parallel)
    assert found.get("tool_choice") == said


def test_a_choice_that_no_tool_has_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not found in 'tools'"):
        body(PLAIN, "a", tools=[tool()], tool_choice=ToolChoice(type="function", name="g"))


def test_a_history_with_calls_has_tools_also_where_none_is_offered() -> None:
    found = body(items=[item("user", "a"), called("c1"), output("c1")])
    assert found["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert found["tool_choice"] == {"type": "none"}
