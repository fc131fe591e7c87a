"""What engines tell of their models beside the list."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from antiphon.backends import engine_details
from antiphon.backends.base import BackendModel, Capabilities
from antiphon.backends.chat.backend import ChatBackend
from antiphon.config import BackendConfig
from antiphon.errors import BackendError
from tests.net.upstream import Call, running

Json = dict[str, Any]

SHOWN = {
    "capabilities": ["completion", "tools", "thinking"],
    "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960, "qwen3.block_count": 28},
    "parameters": 'stop "<|im_end|>"\ntemperature 0.6',
    "license": "x" * 5000,
}
MODELS = {"data": [{"id": "q:latest", "created": 5, "owned_by": "library"}]}


async def listed(answers: dict[str, Any], profile: str) -> tuple[list[BackendModel], list[str]]:
    """Return the models of a server that answers these paths, and the paths that it was asked for."""

    async def handle(call: Call) -> None:
        answer = answers.get(call.path)
        if isinstance(answer, bytes | dict):
            await call.answer(answer)
        else:
            await call.answer({"error": "no such path"}, 404)

    async with running(handle) as upstream:
        backend = ChatBackend("b", BackendConfig(url=upstream.url, profile=profile))
        try:
            await backend.models()
            return list(await backend.models()), [call.path for call in upstream.calls]
        finally:
            await backend.close()


async def test_ollama_shows_windows_and_abilities_once() -> None:
    (model,), paths = await listed({"/v1/models": MODELS, "/api/show": SHOWN}, "ollama")
    assert model.context_length == 40960
    assert model.capabilities == Capabilities(images=False, functions=True, reasoning=True)
    assert paths.count("/api/show") == 1


@pytest.mark.parametrize(
    ("more", "loaded", "window"),
    [
        ({"parameters": "num_ctx                        8192\nstop x"}, {}, 8192),
        ({}, {"models": [{"name": "q", "model": "q:latest", "context_length": 4096}]}, 4096),
        ({"parameters": "num_ctx 8192"}, {"models": [{"model": "q:latest", "context_length": 16384}]}, 16384),
        ({"model_info": {"qwen3.context_length": "many"}}, {}, None),
        ({"model_info": None, "parameters": None, "capabilities": None}, {"models": None}, None),
    ],
)
async def test_the_window_of_ollama_is_the_one_in_use(more: Json, loaded: Json, window: int | None) -> None:
    answers = {"/v1/models": MODELS, "/api/show": {**SHOWN, **more}, "/api/ps": loaded}
    (model,), _ = await listed(answers, "ollama")
    assert model.context_length == window


@pytest.mark.parametrize("shown", [None, b"not JSON", b"[]", b'{"capabilities":"all"}'])
async def test_an_ollama_that_shows_nothing_lists_its_models(shown: bytes | None) -> None:
    (model,), _ = await listed({"/v1/models": MODELS, "/api/show": shown}, "ollama")
    assert model == BackendModel(id="q:latest", created=5, owned_by="library")


async def test_llama_cpp_has_the_window_of_a_slot_and_its_media() -> None:
    one = {"data": [{"id": "m.gguf", "owned_by": "llamacpp", "meta": {"n_ctx_train": 131072}}]}
    props = {
        "default_generation_settings": {"n_ctx": 4096, "params": {}},
        "modalities": {"vision": False, "audio": True},
        "total_slots": 4,
    }
    (model,), paths = await listed({"/v1/models": one, "/props": props}, "auto")
    assert (model.context_length, model.capabilities) == (4096, Capabilities(images=False, audio=True))
    assert "/props" in paths
    (model,), _ = await listed({"/v1/models": one}, "auto")
    assert (model.context_length, model.capabilities) == (131072, Capabilities())


async def test_lm_studio_tells_what_it_has_loaded() -> None:
    data = [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    told = [
        {"id": "a", "type": "vlm", "max_context_length": 32768, "loaded_context_length": 4096},
        {"id": "b", "type": "llm", "max_context_length": 32768, "state": "not-loaded"},
    ]
    models, _ = await listed({"/v1/models": {"data": data}, "/api/v0/models": {"data": told}}, "lmstudio")
    assert [(model.context_length, model.capabilities.images) for model in models] == [
        (4096, True),
        (32768, False),
        (None, True),
    ]


async def test_lists_that_say_it_themselves() -> None:
    data: list[Json] = [
        {"id": "vllm", "max_model_len": 2048},
        {"id": "litellm", "max_input_tokens": 8192, "max_output_tokens": 1024},
        {"id": "mistral", "max_context_length": 32768, "capabilities": {"vision": False, "function_calling": True}},
        {"id": "other", "capabilities": ["completion"]},
        {"id": "odd", "capabilities": "all", "max_model_len": "x"},
    ]
    models, paths = await listed({"/v1/models": {"data": data}}, "generic")
    assert [model.context_length for model in models] == [2048, 8192, 32768, None, None]
    assert [model.capabilities.images for model in models] == [True, True, False, True, True]
    assert set(paths) == {"/v1/models"}


async def test_a_server_that_hangs_does_not_keep_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_details, "SECONDS", 0.05)

    async def handle(call: Call) -> None:
        if call.path == "/v1/models":
            await call.answer(MODELS)
        elif call.path == "/api/ps":
            await asyncio.sleep(60)

    async with running(handle) as upstream:
        backend = ChatBackend("b", BackendConfig(url=upstream.url, profile="ollama"))
        assert [model.id for model in await backend.models()] == ["q:latest"]
        await backend.close()


async def test_the_list_itself_must_come() -> None:
    with pytest.raises(BackendError):
        await listed({}, "ollama")
