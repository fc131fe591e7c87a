"""Models that a Messages backend lists, and tokens that it counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.config import ModelConfig
from antiphon.errors import BackendError, InvalidRequest
from tests.backends.anthropic.backend_setup import Json, pair, play
from tests.backends.turns import read_all, turn
from tests.net.upstream import Call

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
