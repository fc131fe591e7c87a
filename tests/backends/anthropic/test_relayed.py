"""Requests that go to a Messages backend as the client sent them."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from antiphon.backends.anthropic.backend import AnthropicBackend
from antiphon.backends.anthropic.relay import UsageReader, relay_body
from antiphon.backends.base import MessagesCaller
from antiphon.errors import BackendError
from antiphon.types.response import InputTokensDetails
from tests.backends.anthropic.backend_setup import pair
from tests.backends.anthropic.streams import end, message, sse, start, text, whole
from tests.backends.turns import turn
from tests.net.upstream import Call

# Relayed


async def relayed(backend: AnthropicBackend, body: bytes, **fields: Any) -> tuple[int, bytes, Any]:
    caller = MessagesCaller(fields.pop("version", ""), fields.pop("betas", ()))
    answer = await backend.relay_messages(body, caller, **fields)
    said = b""
    while data := await answer.read():
        said += data
    return answer.status, said, answer.usage()


ASKED = b'{"model":"m", "new_field":[1.0],"messages":[{"role":"user","content":"a"}]}'


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_relayed_request_and_its_answer_are_the_same_bytes(streamed: bool) -> None:
    events = message(text(0, "Hel", "lo"), cache_read_input_tokens=40)
    said = (
        sse([*events[:2], {"type": "from_tomorrow"}, *events[2:]]) if streamed else json.dumps(whole(events)).encode()
    )

    async def handle(call: Call) -> None:
        kind = "text/event-stream" if streamed else "application/json"
        await call.answer(said, headers={"request-id": "req_1"}, type=kind)

    async with pair(handle, api="anthropic", anthropic_beta=["a-1"]) as (backend, upstream):
        status, answered, usage = await relayed(backend, ASKED, version="2026-10-21", betas=["b-2", "a-1", "x\r\ny: z"])
        assert (status, answered) == (200, said)
        assert (usage.input_tokens, usage.input_tokens_details) == (54, InputTokensDetails(40, 2))
        assert usage.output_tokens == 5
        (call,) = upstream.calls
        assert (call.body, call.headers["x-api-key"]) == (ASKED, "sk-x")
        assert (call.headers["anthropic-version"], call.headers["anthropic-beta"]) == ("2026-10-21", "a-1,b-2")


async def test_a_relayed_refusal_has_the_servers_own_words() -> None:
    error = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "messages.0: no"},
        "request_id": "r",
    }

    async def handle(call: Call) -> None:
        await call.answer(error, 400, {"request-id": "r"})

    async with pair(handle) as (backend, _):
        answer = await backend.relay_messages(ASKED, MessagesCaller())
        assert answer.status == 400
        assert json.loads(await answer.read()) == error
        assert await answer.read() == b""
        assert (b"request-id", b"r") in answer.headers
        answer.abort()


@pytest.mark.parametrize(("status", "told"), [(401, 502), (429, 429), (529, 503), (500, 502)])
async def test_other_relayed_refusals_are_ours(status: int, told: int) -> None:
    async def handle(call: Call) -> None:
        await call.answer({"type": "error", "error": {"type": "x", "message": "no"}}, status)

    async with pair(handle) as (backend, _):
        with pytest.raises(BackendError) as raised:
            await backend.relay_messages(ASKED, MessagesCaller())
        assert (raised.value.status, raised.value.retriable) == (told, True)


async def test_a_relayed_count() -> None:
    async def handle(call: Call) -> None:
        await call.answer({"input_tokens": 5})

    async with pair(handle) as (backend, upstream):
        assert (await relayed(backend, ASKED, count=True))[1] == b'{"input_tokens": 5}'
        assert upstream.calls[0].path == "/v1/messages/count_tokens"


def test_breakpoints_of_a_relayed_request() -> None:
    mark = {"type": "ephemeral"}
    asked = {
        "cache_control": mark,
        "system": [{"type": "text", "text": "cache_control", "cache_control": mark}],
        "messages": [
            {"role": "user", "content": [{"type": "tool_use", "input": {"cache_control": 1}, "cache_control": mark}]}
        ],
    }
    body = json.dumps(asked).encode()
    assert relay_body(body, "client") is body
    assert relay_body(body, "auto") is body
    assert json.loads(relay_body(body, "off")) == {
        "system": [{"type": "text", "text": "cache_control"}],
        "messages": [{"role": "user", "content": [{"type": "tool_use", "input": {"cache_control": 1}}]}],
    }
    assert relay_body(b'{"cache_control', "off") == b'{"cache_control'


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_counts_are_read_from_pieces(size: int) -> None:
    reader = UsageReader(streamed=True)
    data = sse([start(), *text(0, "x"), *end()])
    for begin in range(0, len(data), size):
        reader.feed(data[begin : begin + size])
    usage = reader.usage()
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (18, 5)


def test_without_counts_pieces_are_counted() -> None:
    reader = UsageReader(streamed=True)
    reader.feed(b"data: {}\n\ndata: x\n\n")
    assert (reader.usage(), reader.chunks) == (None, 2)
    reader.feed(b"data: " + b"x" * 5_000_000)
    assert reader.usage() is None


async def test_a_refusal_is_logged_with_the_servers_id(caplog: pytest.LogCaptureFixture) -> None:
    async def handle(call: Call) -> None:
        await call.answer(
            {"type": "error", "error": {"type": "api_error", "message": "no"}}, 500, {"request-id": "req_77"}
        )

    caplog.set_level(logging.INFO)
    async with pair(handle) as (backend, _):
        with pytest.raises(BackendError):
            await backend.open(turn("a"))
    assert "req_77" in caplog.text
