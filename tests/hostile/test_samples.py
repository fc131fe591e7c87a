"""Requests that were errors of the server's own once: each is refused, with the field at fault."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.hostile.server import local

DEEP = b"[" * 100_000


def _item(item: Any, path: str = "/v1/responses") -> tuple[str, bytes]:
    return path, json.dumps({"model": "llama_cpp", "input": [{"role": "user", "content": "hi"}, item]}).encode()


def _tool(tool: Any, **fields: Any) -> tuple[str, bytes]:
    return "/v1/responses", json.dumps({"model": "llama_cpp", "input": "hi", "tools": [tool], **fields}).encode()


def _deep_function(levels: int) -> tuple[str, bytes]:
    schema = b'{"required":"a","properties":{"a":' * levels + b"{}" + b"}}" * levels
    return "/v1/responses", (
        b'{"model":"llama_cpp","input":"hi","tools":[{"type":"function","name":"f","parameters":%b}]}' % schema
    )


LISTING = {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "s"}
SAMPLES: dict[str, tuple[tuple[str, bytes], str]] = {
    "a seal that is null": (_item({"type": "compaction", "encrypted_content": None}), "input[1].encrypted_content"),
    "a seal that is a number": (_item({"type": "compaction", "encrypted_content": 5}), "input[1].encrypted_content"),
    "a search by nobody": (_tool({"type": "tool_search", "execution": 5}), "tools[0].execution"),
    "a search for nothing": (
        _tool({"type": "tool_search", "execution": "client", "parameters": 5, "description": 7}), "tools[0].description"
    ),
    "tools that are a text": (_item({"type": "additional_tools", "tools": "x"}), "input[1].tools"),
    "tools found that are a text": (_item({"type": "tool_search_output", "tools": "x"}), "input[1].tools"),
    "a call's id that is a number": (
        _item({"type": "shell_call", "call_id": 5, "action": {}}, "/v1/responses/compact"), "input[1].call_id"
    ),
    "a listing of a text": (_item({**LISTING, "tools": "x"}), "input[1].tools"),
    "a listing of a nameless tool": (_item({**LISTING, "tools": [{"name": 5}]}), "input[1].tools[0].name"),
    "annotations that are a text": (
        _item({**LISTING, "tools": [{"name": "t", "annotations": "x"}]}), "input[1].tools[0].annotations"
    ),
    "an approval of a number": (
        _item({"type": "mcp_approval_response", "approval_request_id": 5, "approve": True}), "input[1].approval_request_id"
    ),
    "a count of no UTF-8": (("/v1/responses/input_tokens", b'{"model":"scripted","input":"\xff"}'), "input"),
    "a count of brackets": (("/v1/responses/input_tokens", b'{"model":"scripted","input":' + DEEP), "input[0][0][0]"),
    "a key of no UTF-8": (("/v1/conversations", b'{"items":[{"type":"message","\xff":1}]}'), "items[0]"),
    "a required text at 700 levels": (_deep_function(350), "tools[0].parameters"),
    "template arguments that are a number": (
        ("/v1/responses", b'{"model":"vllm","input":"x","reasoning":{"effort":"low"},"chat_template_kwargs":5}'),
        "chat_template_kwargs",
    ),
    "an endless choice": (
        _tool({"type": "function", "name": "f"}, tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{}] * 5000}),
        "tool_choice",
    ),
    "too many tools": (_tool({"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}] * 5000}), "tools"),
    "too many items": (
        ("/v1/responses", json.dumps({"model": "scripted", "input": [{"role": "user", "content": "x"}] * 10_001}).encode()),
        "input",
    ),
    "a long id": (_item({"type": "message", "role": "user", "content": "x", "id": "i" * 2000}), "input[1].id"),
    "too many images": (
        _item({"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA"}] * 3000}),
        "input[1].content",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_it_is_refused_where_the_fault_is(name: str) -> None:
    (path, body), param = SAMPLES[name]

    async def run() -> tuple[int, Any]:
        async with local() as server:
            answer = await server.send("POST", path, body)
            return answer.status, answer.json

    status, answer = asyncio.run(run())
    assert status == 400, answer
    assert answer["error"]["param"].startswith(param), answer


@pytest.mark.parametrize("schema", [{"$defs": [1]}, {"definitions": "x"}, {"$defs": {"b": 5}}], ids=str)
def test_definitions_that_are_none_reach_the_backend(schema: dict[str, Any]) -> None:
    """A backend says what it makes of them; nobody listens here."""
    tool = {"type": "function", "name": "f", "parameters": {"properties": {"a": {"$ref": "#/$defs/b"}}, **schema}}

    async def run() -> int:
        async with local() as server:
            path, body = _tool(tool, tool_choice={"type": "function", "name": "f"})
            return (await server.send("POST", path, body)).status

    assert asyncio.run(run()) in (400, 503)


def test_an_error_quotes_no_more_than_is_readable() -> None:
    async def run() -> list[int]:
        sizes = []
        async with local() as server:
            for item in ({"type": "x" * 1_000_000}, {"role": "x" * 1_000_000, "content": ""}):
                answer = await server.send("POST", *_item(item))
                assert answer.status == 400
                sizes.append(len(answer.body))
        return sizes

    assert max(asyncio.run(run())) < 20_000
