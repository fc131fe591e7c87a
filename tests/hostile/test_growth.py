"""What a request can make large costs in proportion to its size, and no more: every parser and join on its way, by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.backends.chat import codec
from antiphon.backends.chat.profiles import PROFILES
from antiphon.core import context, token_count
from antiphon.core.request.decoding import decode_items, decode_request, resolve_text
from antiphon.core.request.json_text import check_json, offset_of
from antiphon.core.request.tool_decoding import check_tool_choice, decode_tools
from antiphon.core.tools.tool_map import ToolMap
from antiphon.core.turn import Turn
from antiphon.errors import InvalidRequest
from antiphon.runtime.offload import by_size
from antiphon.server.api.chat.meter import demand
from antiphon.stores.item_ids import ResponseItems, positions
from antiphon.stores.open import open_memory
from tests.growth import assert_linear, cpu_time, loop_delay
from tests.hostile.server import local

pytestmark = pytest.mark.slow

Work = Callable[[], object]

USER = {"type": "message", "role": "user", "content": "hi"}


def _function(number: int) -> dict[str, Any]:
    return {
        "type": "function",
        "name": f"f{number}",
        "parameters": {"type": "object", "properties": {"a": {"enum": [1]}}},
    }


def _turn(body: bytes) -> Turn:
    request, extra = decode_request(check_json(body))
    tools = decode_tools(request.tools)
    check_tool_choice(request.tool_choice, tools)
    return Turn(
        model="m",
        request=request,
        instructions=request.instructions,
        items=context.input_items(request.input),
        tools=tools,
        tool_choice=request.tool_choice or "auto",
        parallel_tool_calls=True,
        text=resolve_text(request.text),
        temperature=None,
        top_p=None,
        max_output_tokens=None,
        reasoning_effort=None,
        extra=extra,
    )


def _to_a_backend(**fields: Any) -> Work:
    """Go all the way from a body to a backend's request."""
    body = json.dumps({"model": "m", "input": "x", **fields}).encode()
    options = codec.CodecOptions(profile=PROFILES["llama_cpp"])

    def work() -> object:
        turn = _turn(body)
        context.keep_input(turn.items, "0" * 48)
        token_count.size(turn)
        return codec.request(turn, options)

    return work


def _refused(body: bytes) -> Work:
    def work() -> None:
        with contextlib.suppress(InvalidRequest):
            decode_request(check_json(body))

    return work


def _calls(count: int) -> list[dict[str, Any]]:
    calls = [{"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{}"} for n in range(count)]
    return [*calls, *({"type": "function_call_output", "call_id": f"c{n}", "output": "x"} for n in range(count))]


def _stored(count: int) -> bytes:
    return json.dumps([{**USER, "id": f"foreign_{n}"} for n in range(count)]).encode()


def _find(count: int) -> Work:
    array = _stored(count)

    def work() -> None:
        items = ResponseItems(array, b"[]")
        for n in range(count):
            assert items.find(f"foreign_{n}", count - 1 - n)

    return work


def _resolve(count: int) -> Work:
    wanted = decode_items([*map(_raw, ({"type": "item_reference", "id": f"foreign_{n}"} for n in range(count)))])
    found = {f"foreign_{n}": json.dumps({**USER, "id": f"foreign_{n}"}).encode() for n in range(count)}
    return lambda: context.resolve_references(wanted, found)


def _raw(value: Any) -> Any:
    from msgspec import Raw

    return Raw(json.dumps(value).encode())


def _allowed(count: int) -> Work:
    chosen = [{"type": "function", "name": f"f{n}"} for n in range(count)]
    tools = [_function(n) for n in range(count)]
    return _to_a_backend(tools=tools, tool_choice={"type": "allowed_tools", "mode": "auto", "tools": chosen})


def _again(count: int) -> Work:
    chosen = [{"type": "mcp", "server_label": "s"}, {"type": "function", "name": "f1"}] * count
    tools = [_function(n) for n in range(count)]
    return _to_a_backend(tools=tools, tool_choice={"type": "allowed_tools", "mode": "auto", "tools": chosen})


def _namespaces(count: int) -> Work:
    tools = [{"type": "namespace", "name": f"n{n}", "description": "", "tools": [_function(1)]} for n in range(count)]
    chosen = [{"type": "function", "name": "f1", "namespace": f"n{n}"} for n in range(count)]
    return _to_a_backend(tools=tools, tool_choice={"type": "allowed_tools", "mode": "auto", "tools": chosen})


def _history(count: int) -> Work:
    arrays = [json.dumps([{**USER, "id": f"msg_{n}"}]).encode() for n in range(count)]
    own = decode_items([_raw({**USER, "id": f"msg_{n}"}) for n in range(count)])
    return lambda: context.without_doubles(context.decode_history(arrays, count + 1), own)


def _search_output(count: int) -> Work:
    output = {"type": "tool_search_output", "call_id": "c", "tools": [_function(n) for n in range(count)]}
    return _to_a_backend(input=[USER, {"type": "tool_search_call", "call_id": "c", "arguments": {}}, output])


def _chat(count: int) -> Work:
    body = json.dumps({"model": "m", "messages": [USER] * count}).encode()
    return lambda: demand(check_json(body), {})


def _store_items(count: int) -> Work:
    from antiphon.stores.records import StoredResponse

    store = open_memory()
    response = StoredResponse(
        id="resp_1", owner="o", model="m", status="completed", created_at=1, body=b'{"output":[]}', output_span=(10, 12),
        input=_stored(count), foreign_ids={f"foreign_{n}": n for n in range(count)},
    )  # fmt: skip
    asyncio.run(store.responses.put(response))
    return lambda: asyncio.run(store.responses.items([f"foreign_{n}" for n in range(count)], "o"))


PARSERS: dict[str, tuple[int, Callable[[int], Work]]] = {
    "a long text": (1_000_000, lambda n: _to_a_backend(input="a" * n)),
    "a text of escapes": (200_000, lambda n: _to_a_backend(input="\n" * n)),
    "a text of quotes": (200_000, lambda n: _refused(b'{"model":"m","input":"x","a":["[[",%b""]}' % (b'"[",' * n))),
    "backslashes": (500_000, lambda n: _refused(b'{"a":"%b","b":%b}' % (b"\\" * n, b"[" * 400))),
    "halves of characters": (50_000, lambda n: _refused(b'{"model":"m","input":"%b"}' % (b"\\ud83d" * n))),
    "whole characters": (50_000, lambda n: _refused(b'{"model":"m","input":"%b"}' % (b"\\ud83d\\ude00" * n))),
    "brackets": (200_000, lambda n: _refused(b"[" * n)),
    "closing brackets": (200_000, lambda n: _refused(b"]" * n)),
    "chains": (100, lambda n: _refused(b"[%b[]]" % ((b"[" * 120 + b"]" * 120 + b",") * n))),
    "pairs": (5_000, lambda n: _refused(b"[%b[]]" % (b"[],{}," * n))),
    "keys": (20_000, lambda n: _refused(json.dumps({f"k{i}": i for i in range(n)}).encode())),
    "the place of a fault": (50_000, lambda n: lambda: offset_of(b'{"a":[' + b'"\\"",' * n)),
    "an endless text": (100_000, lambda n: lambda: offset_of(b'{"a":"' + b'\\"' * n)),
    "items": (1_000, lambda n: _to_a_backend(input=[USER] * n)),
    "parts": (2_000, lambda n: _to_a_backend(input=[{**USER, "content": [{"type": "input_text", "text": "x"}] * n}])),
    "calls and outputs": (500, lambda n: _to_a_backend(input=_calls(n))),
    "calls of one id": (500, lambda n: _to_a_backend(input=[one for _ in range(n) for one in _calls(1)])),
    "tools": (300, lambda n: _to_a_backend(tools=[_function(i) for i in range(n)])),
    "tools of one name": (300, lambda n: _to_a_backend(tools=[_function(1)] * n)),
    "required as a text": (2_000, lambda n: _to_a_backend(tools=[{**_function(1), "required": "a", "x": [{}] * n}])),
    "tools found later": (300, _search_output),
    "allowed tools": (300, _allowed),
    "allowed tools, the same again and again": (300, _again),
    "allowed tools in namespaces": (300, _namespaces),
    "items found by id": (1_000, _find),
    "items found in the store": (1_000, _store_items),
    "references": (1_000, _resolve),
    "history": (1_000, _history),
    "ids that look like ours": (20_000, lambda n: lambda: list(positions("msg_" + "i" * n + "f" * n))),
    "chat completions": (5_000, _chat),
    "a tool map": (300, lambda n: lambda: ToolMap(decode_tools([_raw(_function(i)) for i in range(n)]))),
}  # fmt: skip


@pytest.mark.parametrize("name", PARSERS)
def test_the_cost_grows_with_the_size(name: str) -> None:
    size, make = PARSERS[name]

    def cost(n: int) -> float:
        return cpu_time(make(n))

    assert_linear(cost, size)


LARGE: dict[str, Callable[[], bytes]] = {
    "16 MB of text": lambda: b'{"model":"vllm","store":false,"input":"%b"}' % (b"a" * 16_000_000),
    "10,000 items": lambda: json.dumps({"model": "vllm", "store": False, "input": [USER] * 10_000}).encode(),
    "4,000 tools": lambda: json.dumps(
        {"model": "vllm", "store": False, "input": "x", "tools": [_function(n) for n in range(4_000)]}
    ).encode(),
    "100,000 items": lambda: json.dumps({"model": "vllm", "input": [USER] * 100_000}).encode(),
    "100,000 tools": lambda: json.dumps({"model": "vllm", "input": "x", "tools": [_function(1)] * 100_000}).encode(),
    "16,000,000 brackets": lambda: b"[" * 16_000_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_request_leaves_the_loop_to_others(name: str) -> None:
    """The measure that is meant is 50 ms on a machine of its own; here others compute beside it."""
    body = LARGE[name]()

    async def run() -> float:
        async with local() as server, loop_delay() as delay:
            answer = await server.send("POST", "/v1/responses", body)
            assert answer.status in (400, 503), answer
        return delay.worst

    assert min(asyncio.run(run()) for _ in range(3)) < 0.25


def test_small_work_is_done_at_once_and_large_work_elsewhere() -> None:
    import threading

    async def run() -> tuple[str, str]:
        name = lambda: threading.current_thread().name  # noqa: E731
        return await by_size(10, name), await by_size(10**6, name)

    small, large = asyncio.run(run())
    assert small == threading.main_thread().name
    assert large.startswith("antiphon-large")
