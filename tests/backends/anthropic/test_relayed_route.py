"""Messages requests that are passed on as they are, through a Route: endpoints, refusals, models that stand in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Raw

from antiphon.backends.base import MessagesCaller, RelayedAnswer
from antiphon.backends.open import open_backend
from antiphon.backends.routing.registry import Registry
from antiphon.config import BackendConfig, ModelConfig
from antiphon.errors import BackendError
from tests.backends.anthropic.streams import message, sse, text
from tests.net.upstream import Call, Upstream, running

HELLO = sse(message(text(0, "Hello")))
CALLER = MessagesCaller("2026-10-21", ("a-1",))
FIELDS = {"model": Raw(b'"ours"'), "max_tokens": Raw(b"5"), "messages": Raw(b'[ {"role":"user","content":"a"} ]')}


async def answer(call: Call) -> None:
    """Answer, or refuse as the model's name says."""
    name = call.json["model"]
    if name.isdigit():
        await call.answer({"type": "error", "error": {"type": "x", "message": "no"}}, int(name))
    else:
        await call.answer(HELLO, type="text/event-stream")


@asynccontextmanager
async def registry(models: Mapping[str, ModelConfig], **apis: str) -> AsyncIterator[tuple[Registry, Upstream]]:
    async with running(answer) as upstream:
        backends = {name: open_backend(name, BackendConfig(url=upstream.url, api=api)) for name, api in apis.items()}
        found = Registry(models, backends)
        try:
            yield found, upstream
        finally:
            await found.close()


def model(name: str, *backends: str, **fields: Any) -> ModelConfig:
    return ModelConfig(name=name, backends=list(backends) or ["a"], **fields)


async def body_of(answered: RelayedAnswer) -> bytes:
    said = b""
    while data := await answered.read():
        said += data
    return said


async def test_only_the_model_is_replaced() -> None:
    async with registry({"ours": model("theirs")}, a="anthropic") as (found, upstream):
        route = found.resolve("ours")
        assert route.relays_messages
        answered = await route.relay_messages(FIELDS, CALLER)
        assert await body_of(answered) == HELLO
        usage = answered.usage()
        assert usage is not None and (usage.input_tokens, usage.output_tokens) == (18, 5)
        assert answered.said == 6
        (call,) = upstream.calls
        assert call.body == b'{"model":"theirs","max_tokens":5,"messages":[ {"role":"user","content":"a"} ]}'
        assert (call.headers["anthropic-version"], call.headers["anthropic-beta"]) == ("2026-10-21", "a-1")
        assert found.health()[0].outstanding == 0


async def test_a_refusal_of_the_request_passes_and_frees_the_backend() -> None:
    async with registry({"ours": model("400", fallbacks=["other"]), "other": model("x")}, a="anthropic") as (found, _):
        answered = await found.resolve("ours").relay_messages(FIELDS, CALLER)
        assert (answered.status, json.loads(await body_of(answered))["error"]["message"]) == (400, "no")
        assert found.health()[0].outstanding == 0


async def test_a_model_stands_in_where_the_other_is_overloaded() -> None:
    models = {"ours": model("529", fallbacks=["other"]), "other": model("x"), "alone": model("529")}
    async with registry(models, a="anthropic") as (found, upstream):
        assert await body_of(await found.resolve("ours").relay_messages(FIELDS, CALLER)) == HELLO
        assert [call.json["model"] for call in upstream.calls] == ["529", "x"]
        with pytest.raises(BackendError) as raised:
            await found.resolve("alone").relay_messages(FIELDS, CALLER)
        assert raised.value.status == 503


async def test_counting_is_relayed_without_the_operators_fields() -> None:
    models = {"ours": model("theirs", extra_body={"top_k": Raw(b"5")})}
    async with registry(models, a="anthropic") as (found, upstream):
        route = found.resolve("ours")
        await body_of(await route.relay_messages(FIELDS, CALLER, count=True))
        await body_of(await route.relay_messages(FIELDS, CALLER))
        assert [call.path for call in upstream.calls] == ["/v1/messages/count_tokens", "/v1/messages"]
        assert ["top_k" in call.json for call in upstream.calls] == [False, True]


@pytest.mark.parametrize(
    ("backends", "fallbacks", "relays"),
    [(["a"], [], True), (["a", "b"], [], False), (["b"], [], False), (["a"], ["chat"], False), (["a"], ["same"], True)],
)
async def test_what_other_backends_may_answer_is_not_relayed(
    backends: list[str], fallbacks: list[str], relays: bool
) -> None:
    models = {
        "ours": model("theirs", *backends, fallbacks=fallbacks),
        "chat": model("x", "b", functions=True),
        "same": model("x", "a"),
    }
    async with registry(models, a="anthropic", b="chat") as (found, _):
        assert found.resolve("ours").relays_messages is relays
