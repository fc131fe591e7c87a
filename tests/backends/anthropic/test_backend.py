"""A backend that speaks the Messages API, over a real socket."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Raw

from antiphon.backends.anthropic.backend import AnthropicBackend
from antiphon.backends.anthropic.relay import UsageReader, relay_body
from antiphon.backends.base import MessagesCaller, read
from antiphon.backends.open import made_of
from antiphon.config import BackendConfig, Config, ModelConfig
from antiphon.core.deltas import CallStart, Finish, FinishReason, TextDelta
from antiphon.core.request.decoding import ResolvedText
from antiphon.core.request.tool_decoding import decode_tool
from antiphon.errors import BackendError, InvalidRequest
from antiphon.types.request import TextFormat
from antiphon.types.response import InputTokensDetails
from tests.backends.anthropic.streams import block, call, end, message, sse, start, text, thoughts, whole
from tests.backends.turns import read_all, text_of, thoughts_of, turn
from tests.net.upstream import Call, Handler, Upstream, running

Json = dict[str, Any]
HELLO = message(text(0, "Hel", "lo"))
TOOL = decode_tool(Raw(b'{"type":"function","name":"f","strict":true,"parameters":{"type":"object","properties":{}}}'))


@asynccontextmanager
async def pair(
    handler: Handler, models: dict[str, ModelConfig] | None = None, learn: bool = True, **fields: Any
) -> AsyncIterator[tuple[AnthropicBackend, Upstream]]:
    async with running(handler) as upstream:
        settings: dict[str, Any] = {"url": upstream.url.removesuffix("/v1"), "key": "sk-x", "idle_timeout": 2}
        settings |= {"api": "anthropic", **fields}
        backend = AnthropicBackend("a", BackendConfig(**settings), models, learn=learn)
        try:
            yield backend, upstream
        finally:
            await backend.close()


async def play(call: Call) -> None:
    await call.start()
    await call.chunk(sse(HELLO))
    await call.end()


def refusing(refuses: Callable[[Json], str | None], status: int = 400) -> Handler:
    """Return a server that refuses requests with the words that it is given for them, and answers others."""

    async def handle(call: Call) -> None:
        words = refuses(call.json)
        if words is None:
            await play(call)
        else:
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": words}}
            await call.answer(error, status)

    return handle


# Reaching it


@pytest.mark.parametrize("path", ["", "/v1", "/v1/", "/v1/messages", "/messages"])
@pytest.mark.parametrize("root", ["", "/anthropic"])
async def test_a_url_with_or_without_its_version(root: str, path: str) -> None:
    async with running(play) as upstream:
        url = f"http://127.0.0.1:{upstream.port}{root}{path}"
        backend = AnthropicBackend("a", BackendConfig(url=url, api="anthropic"))
        assert text_of(await read_all(await backend.open(turn("a")))) == "Hello"
        await backend.close()
        assert [call.path for call in upstream.calls] == [f"{root}/v1/messages"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"x-api-key": "sk-x", "anthropic-version": "2023-06-01"}),
        ({"key_header": "authorization"}, {"authorization": "Bearer sk-x", "anthropic-version": "2023-06-01"}),
        (
            {"key": "", "anthropic_version": "2026-10-21", "anthropic_beta": ["a-1", "b-2"]},
            {"anthropic-version": "2026-10-21", "anthropic-beta": "a-1,b-2"},
        ),
    ],
)
async def test_headers(fields: Json, expected: Json) -> None:
    async with pair(play, api="anthropic", **fields) as (backend, upstream):
        await read_all(await backend.open(turn("a")))
        headers = upstream.calls[0].headers
        names = ("x-api-key", "authorization", "anthropic-version", "anthropic-beta")
        assert {name: headers[name] for name in names if name in headers} == expected


# Answers


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
async def test_an_answer_in_pieces_of_any_size(size: int) -> None:
    body = sse(
        message(
            thoughts(0, "Hm"), text(1, "Gr\u00fc\u00dfe", "!"), call(2, "t1", "f", '{"a":', "1}"), reason="tool_use"
        )
    )

    async def handle(call: Call) -> None:
        await call.start()
        for begin in range(0, len(body), size):
            await call.chunk(body[begin : begin + size])
        await call.end()

    async with pair(handle) as (backend, upstream):
        for _ in range(2):
            deltas = await read_all(await backend.open(turn("a", tools=[TOOL])))
            assert (thoughts_of(deltas), text_of(deltas)) == ("Hm", "Gr\u00fc\u00dfe!")
            assert deltas[-1] == Finish(FinishReason.TOOL_CALLS)
        assert upstream.accepted == 1


async def test_an_answer_that_comes_whole() -> None:
    async def handle(call: Call) -> None:
        await call.answer(whole(message(thoughts(0, "Hm"), text(1, "Hello"))))

    async with pair(handle) as (backend, _):
        deltas = await read_all(await backend.open(turn("a")))
        assert (thoughts_of(deltas), text_of(deltas)) == ("Hm", "Hello")


async def test_what_is_said_comes_before_the_answer_has_ended() -> None:
    more = asyncio.Event()

    async def handle(call: Call) -> None:
        await call.start()
        await call.chunk(sse(HELLO[:3]))
        await more.wait()
        await call.chunk(sse(HELLO[3:]))
        await call.end()

    async with pair(handle) as (backend, _):
        stream = await backend.open(turn("a"))
        first = await read(stream)
        assert text_of(first) == "Hel"
        more.set()
        assert text_of(await read_all(stream)) == "lo"


async def test_pings_are_signs_of_life_and_comments_are_none() -> None:
    async def handle(call: Call) -> None:
        await call.start()
        await call.chunk(sse(HELLO[:3]))
        for _ in range(6):
            await asyncio.sleep(0.15)
            await call.chunk(b": comment\n\n" if call.json["model"] == "comments" else sse([{"type": "ping"}]))
        await call.chunk(sse(HELLO[3:]))
        await call.end()

    async with pair(handle, idle_timeout=0.5) as (backend, _):
        assert text_of(await read_all(await backend.open(turn("a", model="pings")))) == "Hello"
        with pytest.raises(BackendError, match="in time"):
            await read_all(await backend.open(turn("a", model="comments")))


@pytest.mark.parametrize("cut", range(1, len(HELLO)))
@pytest.mark.parametrize("politely", [True, False])
async def test_a_stream_that_breaks_off(cut: int, politely: bool) -> None:
    async def handle(call: Call) -> None:
        await call.start()
        await call.chunk(sse(HELLO[:cut]))
        await (call.end() if politely else call.raw(b""))
        if not politely:
            call.hang_up()

    async with pair(handle) as (backend, _):
        stream = await backend.open(turn("a"))
        with pytest.raises(BackendError, match="ended early") as raised:
            await read_all(stream)
        assert raised.value.status == 502
        assert raised.value.retriable


async def test_a_page_in_the_place_of_a_stream() -> None:
    async def handle(call: Call) -> None:
        await call.answer(b"<html><title>Gateway</title></html>", type="text/html")

    async with pair(handle) as (backend, _):
        with pytest.raises(BackendError, match="Gateway"):
            await read_all(await backend.open(turn("a")))


async def test_an_answer_that_pauses_is_asked_for_the_rest() -> None:
    searched = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}

    async def handle(call: Call) -> None:
        await call.start()
        if len(call.json["messages"]) == 1:
            await call.chunk(sse(message(text(0, "See. "), block(1, searched), reason="pause_turn")))
        else:
            await call.chunk(sse(message(text(0, "It is."))))
        await call.end()

    async with pair(handle) as (backend, upstream):
        deltas = await read_all(await backend.open(turn("a")))
        assert text_of(deltas) == "See. It is."
        assert deltas[-1] == Finish(FinishReason.STOP)
        assert upstream.calls[1].json["messages"][1] == {
            "role": "assistant",
            "content": [{"type": "text", "text": "See. "}, searched],
        }


async def test_an_answer_that_always_pauses_ends() -> None:
    async def handle(call: Call) -> None:
        await call.start()
        await call.chunk(sse(message(text(0, "x"), reason="pause_turn")))
        await call.end()

    async with pair(handle) as (backend, upstream):
        deltas = await read_all(await backend.open(turn("a")))
        assert (text_of(deltas), deltas[-1]) == ("x" * 11, Finish(FinishReason.LENGTH))
        assert len(upstream.calls) == 11


async def test_a_forced_call_that_does_not_come_is_told() -> None:
    async with pair(play) as (backend, _):
        stream = await backend.open(turn("a", tools=[TOOL], tool_choice="required"))
        deltas = await read_all(stream)
        assert text_of(deltas) and deltas[-1] == Finish(FinishReason.STOP)
        assert "tool_choice" in getattr(stream, "ignored", ())


async def test_ids_of_calls_are_not_those_of_the_history() -> None:
    async def handle(call_: Call) -> None:
        await call_.start()
        await call_.chunk(sse(message(call(0, "t1", "f", "{}"), reason="tool_use")))
        await call_.end()

    items = [
        {"type": "message", "role": "user", "content": "a"},
        {"type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t1", "output": "x"},
    ]
    async with pair(handle) as (backend, _):
        deltas = await read_all(await backend.open(turn(items=items, tools=[TOOL])))
        (started,) = [delta for delta in deltas if isinstance(delta, CallStart)]
        assert started.call_id != "t1"


async def test_letting_go_closes_the_connection() -> None:
    async def handle(call: Call) -> None:
        await call.start()
        await call.chunk(sse(HELLO[:3]))
        await call.gone.wait()

    async with pair(handle) as (backend, upstream):
        stream = await backend.open(turn("a"))
        assert isinstance((await read(stream))[-1], TextDelta)
        stream.abort()
        stream.abort()
        async with asyncio.timeout(5):
            await upstream.calls[0].gone.wait()


# Refusals

REFUSALS = [
    (529, "overloaded_error", "Overloaded", 503, "backend_unavailable", True),
    (429, "rate_limit_error", "This would exceed your rate limit", 429, "rate_limit_exceeded", True),
    (500, "api_error", "Internal server error", 502, "backend_error", True),
    (401, "authentication_error", "invalid x-api-key", 502, "backend_error", True),
    (403, "permission_error", "Not for you", 502, "backend_error", True),
    (404, "not_found_error", "model: claude-x", 400, "model_not_found", False),
    (413, "request_too_large", "Request exceeds the maximum size", 413, "invalid_value", False),
    (400, "invalid_request_error", "messages.0.content.1: bad", 400, "invalid_value", False),
    (
        400,
        "invalid_request_error",
        "prompt is too long: 41234 tokens > 32768 maximum",
        400,
        "context_length_exceeded",
        False,
    ),
]


@pytest.mark.parametrize(("status", "type", "words", "told", "code", "retriable"), REFUSALS, ids=range(len(REFUSALS)))
async def test_a_refusal(status: int, type: str, words: str, told: int, code: str, retriable: bool) -> None:
    async def handle(call: Call) -> None:
        error = {"type": "error", "error": {"type": type, "message": words}, "request_id": "req_1"}
        await call.answer(error, status, {"retry-after": "7", "request-id": "req_1"})

    async with pair(handle) as (backend, _):
        with pytest.raises(BackendError) as raised:
            await backend.open(turn("a"))
        error = raised.value
        assert (error.status, error.code, error.retriable) == (told, code, retriable)
        if told in (429, 503):
            assert error.headers["Retry-After"] == "7"


class Lesson:
    """What a model refuses, and how it is asked then."""

    def __init__(self, asked: Json, refuses: Callable[[Json], str | None], settings: Json, ignored: list[str]) -> None:
        self.asked = asked
        self.refuses = refuses
        self.settings = settings
        self.ignored = ignored


def thinks(kind: str, words: str) -> Callable[[Json], str | None]:
    return lambda body: words if body.get("thinking", {}).get("type") == kind else None


def has(name: str, words: str) -> Callable[[Json], str | None]:
    return lambda body: words if f'"{name}"' in json.dumps(body) else None


HIGH: Json = {"reasoning_effort": "high", "model": "claude-opus-5-5"}
FORMAT = ResolvedText(format=TextFormat(type="json_schema", name="n", schema=Raw(b'{"type":"object"}')), verbosity=None)
ONLY_ADAPTIVE = (
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" to'
    " control thinking behavior."
)
LESSONS = {
    "adaptive thoughts are not known": Lesson(
        HIGH,
        thinks("adaptive", "thinking: Input tag 'adaptive' found using 'type' does not match any of the expected tags"),
        {"thinking": "budget"},
        [],
    ),
    "a budget is not known": Lesson(
        {"reasoning_effort": "high", "model": "claude-x"},
        thinks("enabled", ONLY_ADAPTIVE),
        {"thinking": "adaptive"},
        [],
    ),
    "thoughts are not known": Lesson(
        {"reasoning_effort": "high", "model": "x"},
        has("thinking", "thinking: Extra inputs are not permitted"),
        {"thinking": "off"},
        ["reasoning.effort"],
    ),
    "the model always thinks": Lesson(
        {"reasoning_effort": "none", "model": "claude-opus-5-5"},
        thinks("disabled", "thinking.type: 'disabled' is not supported for this model"),
        {"drop": ("thinking.disabled",)},
        [],
    ),
    "display is not known": Lesson(
        HIGH,
        has("display", "thinking.adaptive.display: Extra inputs are not permitted"),
        {"drop": ("thinking.display",)},
        [],
    ),
    "an effort is not known": Lesson(
        {**HIGH, "reasoning_effort": "xhigh"},
        has("xhigh", "output_config.effort: Input should be 'low', 'medium' or 'high'"),
        {"efforts": ("low", "medium", "high")},
        ["reasoning.effort"],
    ),
    "efforts are not known": Lesson(
        HIGH,
        has("effort", "This model does not support the effort parameter."),
        {"drop": ("output_config.effort",)},
        [],
    ),
    "formats are not known": Lesson(
        {"text": FORMAT},
        has("output_config", "output_config: Extra inputs are not permitted"),
        {"response_format": "none"},
        [],
    ),
    "strict tools are not known": Lesson(
        {"tools": [TOOL]},
        has("strict", "tools.0.custom.strict: Extra inputs are not permitted"),
        {"drop": ("strict",)},
        [],
    ),
    "prompt caching is not known": Lesson(
        {"instructions": "Be kind."},
        has("cache_control", "system.0.cache_control: Extra inputs are not permitted"),
        {"drop": ("cache_control",)},
        [],
    ),
    "temperature is not known": Lesson(
        {"temperature": 0.5},
        has("temperature", "`temperature` is deprecated for this model."),
        {"drop": ("temperature",)},
        ["temperature"],
    ),
    "either temperature or top_p": Lesson(
        {"temperature": 0.5, "top_p": 0.5},
        has("top_p", "`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
        {"drop": ("top_p",)},
        ["top_p"],
    ),
    "a forced call is not known": Lesson(
        {"tools": [TOOL], "tool_choice": "required", "model": "x"},
        has("any", "tool_choice.type: 'any' is not supported"),
        {"drop": ("tool_choice",)},
        ["tool_choice"],
    ),
    "a shorter answer": Lesson(
        {"model": "x"},
        lambda body: (
            "max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for x"
            if body["max_tokens"] > 4096
            else None
        ),
        {"max_output_tokens": 4096},
        [],
    ),
}


@pytest.mark.parametrize("name", LESSONS)
async def test_a_refusal_teaches_how_a_model_is_asked(name: str) -> None:
    lesson = LESSONS[name]
    async with pair(refusing(lesson.refuses)) as (backend, upstream):
        for calls in (2, 3):  # the second time it is known
            stream = await backend.open(turn("a", **lesson.asked))
            assert text_of(await read_all(stream)) == "Hello"
            assert len(upstream.calls) == calls
            assert list(stream.ignored) == lesson.ignored
        (learned,) = backend.learned.values()
        assert learned.settings() == lesson.settings


@pytest.mark.parametrize("name", LESSONS)
async def test_without_learning_a_refusal_is_the_clients(name: str) -> None:
    lesson = LESSONS[name]
    async with pair(refusing(lesson.refuses), learn=False) as (backend, upstream):
        with pytest.raises(BackendError) as raised:
            await backend.open(turn("a", **lesson.asked))
        assert raised.value.status == 400
        assert len(upstream.calls) == 1


async def test_an_answer_is_shortened_where_the_window_is_full() -> None:
    def refuses(body: Json) -> str | None:
        if body["max_tokens"] + 190_000 <= 200_000:
            return None
        return f"input length and `max_tokens` exceed context limit: 190000 + {body['max_tokens']} > 200000, decrease input"

    async with pair(refusing(refuses)) as (backend, upstream):
        await read_all(await backend.open(turn("a", max_output_tokens=32_000)))
        assert [call.json["max_tokens"] for call in upstream.calls] == [32_000, 9_936]


async def test_a_signature_that_is_refused_is_left_out_of_that_request() -> None:
    from tests.backends.anthropic.test_codec import kept
    from tests.backends.anthropic.test_codec import thoughts as said

    def refuses(body: Json) -> str | None:
        return "messages.1.content.0: Invalid `signature` in `thinking` block" if "s+/=" in json.dumps(body) else None

    items = [
        {"type": "message", "role": "user", "content": "a"},
        said(),
        {"type": "message", "role": "assistant", "content": "b"},
        {"type": "message", "role": "user", "content": "c"},
    ]
    async with pair(refusing(refuses)) as (backend, upstream):
        asked = turn(items=items, model="claude-opus-4-5", opaque={"rs_1": (kept(),)})
        assert text_of(await read_all(await backend.open(asked))) == "Hello"
        assert len(upstream.calls) == 2
        assert not backend.learned


async def test_a_refusal_that_teaches_nothing_is_asked_once() -> None:
    async with pair(refusing(lambda body: "messages.0: nonsense")) as (backend, upstream):
        with pytest.raises(BackendError, match="nonsense"):
            await backend.open(turn("a", temperature=0.1, reasoning_effort="low"))
        assert len(upstream.calls) == 1


# Models and tokens


def listed(*ids: str, **fields: Any) -> list[Json]:
    return [
        {"type": "model", "id": id, "display_name": id, "created_at": "2026-01-02T00:00:00Z", **fields} for id in ids
    ]


async def test_the_list_comes_in_pages() -> None:
    names = [f"m{number}" for number in range(5)]

    async def handle(call: Call) -> None:
        assert call.headers["anthropic-version"] == "2023-06-01"
        assert "limit=1000" in call.path
        after = call.path.partition("after_id=")[2]
        rest = names[names.index(after) + 1 :] if after else names
        page = {"data": listed(*rest[:2]), "has_more": len(rest) > 2, "first_id": rest[0], "last_id": rest[:2][-1]}
        await call.answer(page)

    async with pair(handle) as (backend, upstream):
        models = await backend.models()
        assert [model.id for model in models] == names
        assert {model.created for model in models} == {1767312000}
        assert len(upstream.calls) == 3


ABLE = {
    "image_input": {"supported": False},
    "structured_outputs": {"supported": False},
    "thinking": {"supported": True, "types": {"enabled": {"supported": False}, "adaptive": {"supported": True}}},
}


async def test_what_a_list_says_of_a_model_counts() -> None:
    async def handle(call: Call) -> None:
        if call.method == "GET":
            entry = listed("m", max_input_tokens=200_000, max_tokens=4_000, capabilities=ABLE)
            await call.answer({"data": entry, "has_more": False})
        else:
            await play(call)

    async with pair(handle) as (backend, upstream):
        (model,) = await backend.models()
        assert model.context_length == 200_000
        able = model.capabilities
        assert (able.images, able.structured_outputs, able.reasoning, able.chat_completions) == (
            False,
            False,
            True,
            True,
        )
        await read_all(await backend.open(turn("a", model="m", reasoning_effort="low")))
        asked = upstream.calls[-1].json
        assert (asked["max_tokens"], asked["thinking"]["type"]) == (4_000, "adaptive")


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ({"object": "list", "data": [{"id": "m", "object": "model", "max_model_len": 4096}]}, ["m"]),
        ({"data": [{"id": "m", "created_at": 7, "capabilities": []}, {"id": "\x00"}, 5], "has_more": True}, ["m"]),
        ({"data": [], "has_more": True, "last_id": "x"}, []),
        ({"data": listed("m"), "has_more": True, "last_id": "m"}, ["m"]),
    ],
)
async def test_lists_of_compatible_servers(answer: Json, names: list[str]) -> None:
    async def handle(call: Call) -> None:
        await call.answer(answer)

    async with pair(handle) as (backend, upstream):
        assert [model.id for model in await backend.models()] == names
        assert len(upstream.calls) <= 2


async def test_a_server_without_a_list_lists_nothing() -> None:
    async def handle(call: Call) -> None:
        await call.answer({"detail": "Not Found"}, 404)

    async with pair(handle) as (backend, _):
        assert await backend.models() == []


async def test_counting_tokens() -> None:
    async def handle(call: Call) -> None:
        assert "max_tokens" not in call.json
        await call.answer({"input_tokens": 17})

    async with pair(handle) as (backend, upstream):
        assert await backend.count_tokens(turn("a")) == 17
        assert [call.path for call in upstream.calls] == ["/v1/messages/count_tokens"]


async def test_a_server_that_does_not_count_is_asked_once() -> None:
    async def handle(call: Call) -> None:
        await call.answer({"detail": "Not Found"}, 404)

    async with pair(handle) as (backend, upstream):
        assert [await backend.count_tokens(turn("a")) for _ in range(2)] == [None, None]
        assert len(upstream.calls) == 1


@pytest.mark.parametrize("answer", [{}, {"input_tokens": "many"}, []])
async def test_a_count_that_is_none(answer: object) -> None:
    async def handle(call: Call) -> None:
        await call.answer(answer)

    async with pair(handle) as (backend, _):
        with pytest.raises(BackendError, match="token count"):
            await backend.count_tokens(turn("a"))


async def test_configured_settings_of_a_model() -> None:
    models = {"m": ModelConfig(thinking="adaptive", efforts=["low"], drop=["metadata"], roles="keep")}
    async with pair(play, models, cache="client", max_tokens=100) as (backend, upstream):
        items = [{"type": "message", "role": role, "content": "a"} for role in ("user", "system")]
        stream = await backend.open(turn(items=items, model="m", reasoning_effort="high", instructions="b"))
        await read_all(stream)
        asked = upstream.calls[0].json
        assert (asked["max_tokens"], asked["output_config"], asked["messages"][1]["role"]) == (
            100,
            {"effort": "low"},
            "system",
        )
        assert "cache_control" not in json.dumps(asked)
        assert list(stream.ignored) == ["reasoning.effort"]


async def test_chat_completions_are_refused() -> None:
    async with pair(play) as (backend, _):
        with pytest.raises(InvalidRequest, match="chat completions"):
            await backend.chat_completions(b"{}")


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


@pytest.mark.parametrize(
    ("fields", "same"),
    [({"thinking": "budget"}, False), ({"drop": ["metadata"]}, False), ({"temperature": 0.5}, True), ({}, True)],
)
def test_a_reload_keeps_a_backend_whose_models_are_asked_as_before(fields: Json, same: bool) -> None:
    backends = {"a": BackendConfig(url="https://api.anthropic.com", api="anthropic")}
    before = Config(backends=backends, models={"m": ModelConfig(backends=["a"])})
    after = Config(backends=backends, models={"m": ModelConfig(backends=["a"], **fields)})
    assert (made_of("a", before) == made_of("a", after)) is same


async def test_large_tools_are_asked_for_all_the_same() -> None:
    schema = json.dumps(
        {"type": "object", "properties": {f"p{n}": {"type": "string", "minLength": n} for n in range(2000)}}
    )
    large = decode_tool(Raw(b'{"type":"function","name":"f","strict":true,"parameters":%b}' % schema.encode()))
    async with pair(play) as (backend, upstream):
        assert text_of(await read_all(await backend.open(turn("a", tools=[large])))) == "Hello"
        (sent,) = upstream.calls[0].json["tools"]
        assert len(sent["input_schema"]["properties"]) == 2000
        assert "minLength" not in json.dumps(sent)
