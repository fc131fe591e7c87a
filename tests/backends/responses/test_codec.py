"""What a server that speaks Responses is asked: the document's own form, whatever a history holds."""

from __future__ import annotations

import pytest
from openai.types.responses import ResponseInputItemParam
from pydantic import TypeAdapter

from tests.backends.responses.codec_requests import Json, asked, sent

_their_item: TypeAdapter[ResponseInputItemParam] = TypeAdapter(ResponseInputItemParam)
TEXT = {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}


ITEMS: dict[str, tuple[Json, Json | None]] = {
    "a user's message": (
        {"id": "msg_1", "type": "message", "role": "user", "status": "completed", "content": "Hi"},
        {"type": "message", "role": "user", "content": "Hi"},
    ),
    "its parts": (
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "input_text", "text": "b"},
                {"type": "output_text", "text": "c"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "file_id": None, "detail": None},
                {"type": "input_file", "file_id": "file_1", "filename": None, "file_data": None},
            ],
        },
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a"},
                {"type": "input_text", "text": "b"},
                {"type": "input_text", "text": "c"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
                {"type": "input_file", "file_id": "file_1"},
            ],
        },
    ),
    "an answer as text": (
        {"role": "assistant", "content": "Hi"},
        {"type": "message", "role": "assistant", "status": "completed", "content": [TEXT]},
    ),
    "an answer of another server": (
        {
            "id": "chatcmpl-1",
            "type": "message",
            "role": "assistant",
            "status": "done",
            "phase": None,
            "content": [{"type": "input_text", "text": "Hi"}],
        },
        {"type": "message", "role": "assistant", "status": "completed", "content": [TEXT]},
    ),
    "an answer with nulls and a phase": (
        {
            "id": None,
            "type": "message",
            "role": "assistant",
            "status": None,
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "Hi", "annotations": None, "logprobs": None}],
        },
        {"type": "message", "role": "assistant", "status": "completed", "phase": "commentary", "content": [TEXT]},
    ),
    "sealed thoughts": (
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [],
            "content": None,
            "status": None,
            "encrypted_content": "gAAA",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
    ),
    "thoughts as text": (
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "text", "text": "hm"}],
            "encrypted_content": "",
        },
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
    ),
    "thoughts with this server's own seal": (
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "encrypted_content": "ANT2.0.reasoning.2.x",
        },
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
    ),
    "a summary alone (oMLX)": (
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "s"}],
            "content": None,
            "encrypted_content": None,
        },
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "s"}],
            "content": [{"type": "reasoning_text", "text": "s"}],
        },
    ),
    "thoughts of which nothing is left": (
        {"id": "rs_1", "type": "reasoning", "summary": [], "content": [], "encrypted_content": ""},
        None,
    ),
    "thoughts with a signature (OpenRouter)": (
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "signature": "sig",
            "format": "f",
        },
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "signature": "sig",
            "format": "f",
        },
    ),
    "a call": (
        {
            "id": "fc_1",
            "type": "function_call",
            "call_id": "c",
            "name": "f",
            "arguments": "",
            "namespace": None,
            "status": "failed",
        },
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ),
    "a call that was cut": (
        {
            "type": "custom_tool_call",
            "call_id": "c",
            "name": "f",
            "input": "",
            "namespace": "n",
            "status": "incomplete",
        },
        {
            "type": "custom_tool_call",
            "call_id": "c",
            "name": "f",
            "input": "",
            "namespace": "n",
            "status": "incomplete",
        },
    ),
    "a search": (
        {
            "id": "ws_1",
            "type": "web_search_call",
            "status": "open",
            "caller": None,
            "action": {"type": "search", "query": "x"},
        },
        {
            "id": "ws_1",
            "type": "web_search_call",
            "status": "completed",
            "action": {"type": "search", "query": "x"},
        },
    ),
    "a shell call": (
        {
            "id": "sh_1",
            "type": "shell_call",
            "call_id": "c",
            "status": None,
            "action": {"commands": ["ls"]},
            "environment": None,
        },
        {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}, "environment": None},
    ),
}


@pytest.mark.parametrize(("item", "expected"), ITEMS.values(), ids=ITEMS)
def test_an_item(item: Json, expected: Json | None) -> None:
    assert sent(item) == expected


@pytest.mark.parametrize(("item", "expected"), ITEMS.values(), ids=ITEMS)
def test_with_ids_it_is_an_item_to_the_letter(item: Json, expected: Json | None) -> None:
    """For servers that check each item against the types of the `openai` package (vLLM before 0.20)."""
    made = sent(item, ids=True)
    if made is None:
        assert expected is None
        return
    _their_item.validate_python(made)
    id = made.get("id", "")
    assert made == ({**(expected or {}), "id": id} if id else expected)


def test_an_output_of_parts() -> None:
    item = {
        "id": "fco_1",
        "type": "function_call_output",
        "call_id": "c",
        "status": "completed",
        "output": [
            {"type": "text", "text": "a"},
            {"type": "input_image", "image_url": "https://a/b", "file_id": None, "detail": None},
        ],
    }
    assert sent(item) == {
        "type": "function_call_output",
        "call_id": "c",
        "output": [
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": "https://a/b", "detail": "auto"},
        ],
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None},
            {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}},
        ),
        (
            {"type": "function", "name": "f", "parameters": {"type": "object", "default": None}, "strict": False},
            {
                "type": "function",
                "name": "f",
                "parameters": {"type": "object", "default": None, "properties": {}},
                "strict": False,
            },
        ),
        (
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": {"type": "object", "properties": {}},
                "strict": True,
            },
        ),
        ({"type": "custom", "name": "f", "format": None}, {"type": "custom", "name": "f"}),
        (
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f", "strict": None}]},
            {
                "type": "namespace",
                "name": "n",
                "description": "",
                "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
            },
        ),
        (
            {"type": "web_search", "filters": None, "user_location": {"city": None}},
            {"type": "web_search", "user_location": {"city": None}},
        ),
    ],
)
def test_a_tool(given: Json, expected: Json) -> None:
    assert asked([], tools=[given])["tools"] == [expected]
