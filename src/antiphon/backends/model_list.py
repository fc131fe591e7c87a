"""What a backend lists at /v1/models, in the dialects of the known servers."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.base import BackendModel, Capabilities
from antiphon.core.model_types import said_type
from antiphon.errors import BackendError

log = logging.getLogger("antiphon.backends")

MOST_MODELS = 10_000
LONGEST_ID = 256  # characters
MOST_NUMBER = 2**40


class _Meta(msgspec.Struct):
    """llama.cpp's own figures."""

    n_ctx: int | None = None
    n_ctx_train: int | None = None


class _Architecture(msgspec.Struct):
    input_modalities: list[str] | None = None
    output_modalities: Any = None


class _MistralAbilities(msgspec.Struct):
    function_calling: bool | None = None
    vision: bool | None = None


class _Model(msgspec.Struct):
    id: str
    created: float | None = 0
    owned_by: str | None = ""
    max_model_len: int | None = None  # vLLM, SGLang
    context_length: int | None = None  # OpenRouter, Together, ourselves
    context_window: int | None = None  # Groq
    max_context_length: int | None = None  # LM Studio, Mistral
    max_input_tokens: int | None = None  # LiteLLM
    capabilities: _MistralAbilities | list[Any] | None = None
    meta: _Meta | None = None
    architecture: _Architecture | None = None  # OpenRouter
    supported_parameters: list[str] | None = None  # OpenRouter
    type: Any = None  # Together, LM Studio
    mode: Any = None  # LiteLLM
    task: Any = None


class _Name(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[Raw] | None


_list = msgspec.json.Decoder(_List | list[Raw])
_model = msgspec.json.Decoder(_Model, strict=False)
_name = msgspec.json.Decoder(_Name)


def parse_models(body: bytes) -> list[BackendModel]:
    """Read a list of models, leniently: an entry that is odd but has an id counts. Raises BackendError for anything else.

    Of a list that is too long, the first MOST_MODELS entries count.
    """
    try:
        found = _list.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BackendError(502, "The backend's model list is not valid.") from None
    entries = found if isinstance(found, list) else found.data or []
    if len(entries) > MOST_MODELS:
        log.warning("backend model list: %d models, only the first %d are served", len(entries), MOST_MODELS)
    models = (_parse(entry) for entry in entries[:MOST_MODELS])
    return [model for model in models if model is not None and is_name(model.id)]


def is_name(id: str) -> bool:
    """Tell whether a model's id can be shown, logged and asked for."""
    return 0 < len(id) <= LONGEST_ID and id.isprintable()


def _parse(entry: Raw) -> BackendModel | None:
    try:
        model = _model.decode(entry)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _parse_name(entry)
    created = model.created or 0
    return BackendModel(
        id=model.id,
        created=int(created) if 0 <= created <= MOST_NUMBER else 0,
        owned_by=(model.owned_by or "")[:LONGEST_ID],
        context_length=_window(model),
        capabilities=_capabilities(model),
        type=_type(model),
    )


def _parse_name(entry: Raw) -> BackendModel | None:
    try:
        return BackendModel(id=_name.decode(entry).id)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _window(model: _Model) -> int | None:
    meta = model.meta or _Meta()
    sizes = (
        model.max_model_len,
        meta.n_ctx,
        model.context_length,
        model.context_window,
        model.max_context_length,
        model.max_input_tokens,
        meta.n_ctx_train,
    )
    return next((size for size in sizes if size and 0 < size <= MOST_NUMBER), None)


def _type(model: _Model) -> str:
    """What the entry says that the model is for, "" where it says nothing."""
    outputs = model.architecture.output_modalities if model.architecture else None
    return next(filter(None, map(said_type, (model.type, model.mode, model.task, model.capabilities, outputs))), "")


def _capabilities(model: _Model) -> Capabilities:
    """What the entry says of the model; where it says nothing, the model is given the benefit of the doubt."""
    modalities = model.architecture.input_modalities if model.architecture else None
    parameters = model.supported_parameters
    told = model.capabilities if isinstance(model.capabilities, _MistralAbilities) else _MistralAbilities()
    return Capabilities(
        images=told.vision is not False and (modalities is None or "image" in modalities),
        audio=modalities is not None and "audio" in modalities,
        functions=told.function_calling is not False and (parameters is None or "tools" in parameters),
        structured_outputs=parameters is None or not {"structured_outputs", "response_format"}.isdisjoint(parameters),
        reasoning=parameters is None or not {"reasoning", "include_reasoning"}.isdisjoint(parameters),
    )
