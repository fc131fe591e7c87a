"""What engines tell of their models beside the list: Ollama's /api/show and /api/ps, llama.cpp's /props, LM Studio's /api/v0.

Nothing depends on it: what cannot be had within `SECONDS` is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from antiphon.backends.base import BackendModel
from antiphon.backends.model_list import MOST_NUMBER
from antiphon.errors import BackendError
from antiphon.net.http.client import HttpClient

SECONDS = 3.0  # for all of it
MOST_MODELS = 200  # of an Ollama that are asked about
LARGEST = 4 * 1024 * 1024  # bytes of one answer: Ollama's have the model's licence, and sometimes its vocabulary

T = TypeVar("T")
_NUM_CTX = re.compile(r"^num_ctx[ \t]{1,40}(\d{1,12})$", re.MULTILINE)


class _OllamaModel(msgspec.Struct):
    """Ollama's /api/show."""

    capabilities: list[str] | None = None
    model_info: dict[str, Any] | None = None
    parameters: str | None = None


class _Loaded(msgspec.Struct):
    """A model that Ollama has loaded."""

    model: str = ""
    context_length: int | None = None


class _LoadedList(msgspec.Struct):
    models: list[_Loaded] | None = None


class _Generation(msgspec.Struct):
    n_ctx: int | None = None


class _Modalities(msgspec.Struct):
    vision: bool | None = None
    audio: bool | None = None


class _Props(msgspec.Struct):
    """llama.cpp's /props."""

    default_generation_settings: _Generation | None = None
    modalities: _Modalities | None = None


class _StudioModel(msgspec.Struct):
    """A model of LM Studio."""

    id: str
    type: str | None = None
    max_context_length: int | None = None
    loaded_context_length: int | None = None


class _StudioList(msgspec.Struct):
    data: list[_StudioModel]


class EngineDetails:
    """Asks one server about its models. What Ollama says of a model is asked once."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._shown: dict[tuple[str, int], _OllamaModel] = {}

    async def added(self, kind: str, models: Sequence[BackendModel]) -> Sequence[BackendModel]:
        """Return the models with what a server of this kind tells of them."""
        ask = _KINDS.get(kind)
        if ask is None or not models:
            return models
        found = list(models)
        with contextlib.suppress(BackendError, TimeoutError):
            async with asyncio.timeout(SECONDS):
                await ask(self, found)
        return found

    async def _ollama(self, models: list[BackendModel]) -> None:
        loaded = await self._get("/api/ps", _LoadedList)
        windows = {one.model: one.context_length for one in (loaded and loaded.models) or ()}
        for index, model in enumerate(models[:MOST_MODELS]):
            shown = await self._show(model)
            models[index] = _shown_model(model, shown, _size(windows.get(model.id)))

    async def _show(self, model: BackendModel) -> _OllamaModel:
        key = (model.id, model.created)
        if key not in self._shown:
            body = msgspec.json.encode({"model": model.id})
            shown = await self._ask("POST", "/api/show", _OllamaModel, body)
            if len(self._shown) >= MOST_MODELS:
                self._shown.clear()
            self._shown[key] = shown or _OllamaModel()
        return self._shown[key]

    async def _llama_cpp(self, models: list[BackendModel]) -> None:
        props = await self._get("/props", _Props) if len(models) == 1 else None
        if props is None:
            return
        window, media = props.default_generation_settings or _Generation(), props.modalities or _Modalities()
        can = models[0].capabilities
        models[0] = replace(
            models[0],
            context_length=_size(window.n_ctx) or models[0].context_length,
            capabilities=replace(
                can,
                images=can.images if media.vision is None else media.vision,
                audio=can.audio if media.audio is None else media.audio,
            ),
        )

    async def _lmstudio(self, models: list[BackendModel]) -> None:
        listed = await self._get("/api/v0/models", _StudioList)
        known = {one.id: one for one in listed.data} if listed is not None else {}
        for index, model in enumerate(models):
            one = known.get(model.id)
            if one is not None:
                window = _size(one.loaded_context_length) or _size(one.max_context_length)
                can = model.capabilities if one.type is None else replace(model.capabilities, images=one.type == "vlm")
                models[index] = replace(model, context_length=window or model.context_length, capabilities=can)

    async def _get(self, path: str, type: type[T]) -> T | None:
        return await self._ask("GET", path, type)

    async def _ask(self, method: str, path: str, type: type[T], body: bytes = b"") -> T | None:
        """Return what the server says at a path beside `/v1`; None where it says nothing that is known."""
        address = self._client.address
        beside = replace(address, path=address.path.removesuffix("/v1"))
        response = await self._client.send(method, beside.target(path), body)
        try:
            if response.status != 200:
                return None
            return msgspec.json.decode(await response.read_all(LARGEST), type=type)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        finally:
            response.abort()


_KINDS: dict[str, Callable[[EngineDetails, list[BackendModel]], Awaitable[None]]] = {
    "ollama": EngineDetails._ollama,
    "llama_cpp": EngineDetails._llama_cpp,
    "lmstudio": EngineDetails._lmstudio,
}


def _shown_model(model: BackendModel, shown: _OllamaModel, loaded: int | None) -> BackendModel:
    """Return a model of Ollama: its window is that of the loaded model, else the one that its file sets, else the trained one."""
    info = shown.model_info or {}
    trained = next((value for key, value in info.items() if key.endswith(".context_length")), None)
    found = _NUM_CTX.search(shown.parameters or "")
    window = loaded or (_size(int(found[1])) if found else None) or _size(trained)
    can = model.capabilities
    if shown.capabilities:
        able = set(shown.capabilities)
        can = replace(can, functions="tools" in able, images="vision" in able, reasoning="thinking" in able)
    return replace(model, context_length=window or model.context_length, capabilities=can)


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_NUMBER else None
