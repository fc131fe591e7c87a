"""Settings of the embedded engine."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from antiphon.config.tables import Settings

ALL_MODELS = "*"
"""In `engine.models`: all models of this machine."""


class EngineConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """The embedded engine (llama.cpp)."""

    model: Annotated[
        str, Meta(description="Model: FILE.gguf or hub repository OWNER/REPO[:QUANT]; empty: the demo model.")
    ] = ""
    mmproj: Annotated[str, Meta(description="Image projector, FILE.gguf.")] = ""
    models: Annotated[
        list[str],
        Meta(
            description="Further models, loaded on demand: FILE.gguf, OWNER/REPO[:QUANT], or `*`, all that `antiphon list` shows."
            ' With an empty `model`: ["*"] where nothing is set.'
        ),
    ] = []
    keep_alive: Annotated[
        float,
        Meta(
            description="Seconds after its last call until a model of `models` is unloaded; 0: at once, -1: never."
            " The one of `model` stays loaded, unless another needs its memory.",
            ge=-1,
        ),
    ] = 300.0
    memory: Annotated[
        int,
        Meta(
            description="Bytes that loaded models may take together; 0: nine tenths of the machine's, no more than is free.",
            ge=0,
        ),
    ] = 0
    embeddings: Annotated[
        str,
        Meta(
            description="A second model, for /v1/embeddings or /v1/rerank: FILE.gguf or OWNER/REPO[:QUANT]; empty: none."
        ),
    ] = ""
    context: Annotated[int, Meta(description="Context window in tokens; 0: the model's own, capped at 8192.", ge=0)] = 0
    threads: Annotated[int, Meta(description="CPU threads; 0: all cores.", ge=0)] = 0
    gpu_layers: Annotated[int, Meta(description="Number of layers on the GPU; -1: as many as fit.")] = -1
    parallel: Annotated[int, Meta(description="Maximum number of concurrent requests.", ge=1)] = 4
    cache: Annotated[str, Meta(description="Folder for downloaded models.")] = "~/.cache/antiphon/models"
