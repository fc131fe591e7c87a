"""Model file of the embedded engine: found from the settings, with its metadata."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from antiphon.backends.base import BackendModel, Capabilities
from antiphon.backends.llama.child import RANK
from antiphon.backends.llama.gguf import GgufInfo, read_gguf
from antiphon.backends.llama.hub.choosing import SHARD
from antiphon.backends.llama.hub.client import Report
from antiphon.backends.llama.hub.local_model import plain_name
from antiphon.backends.llama.hub.models import HubModel, download, is_hub_name
from antiphon.backends.llama.hub.progress import Progress
from antiphon.backends.llama.memory import needed_memory
from antiphon.config import EngineConfig
from antiphon.core.model_types import EMBEDDING, RERANK, TEXT_GENERATION
from antiphon.errors import ConfigError

DEMO_FILE = Path(__file__).parent / "demo" / "antiphon-demo.gguf"
DEMO_ID = "antiphon-demo"
DEMO_NOTICE = (
    "antiphon-demo is a tiny demo model: it shows that everything works, it knows next to nothing. "
    "For a real one: --model FILE.gguf, --model OWNER/REPO[:QUANT], or --backend URL of a server that you run."
)
CONTEXT_CAP = 8192
LONGEST_NAME = 200  # characters of what a file calls itself
MOST_PARTS = 999
ENCODERS = frozenset(
    (
        "bert",
        "nomic-bert",
        "nomic-bert-moe",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "gemma-embedding",
        "t5encoder",
    )
)
"""Architectures of models that give vectors and no text."""


class EngineModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model file, ready to be loaded.

    `embeds`: it is to give vectors. `weights` are the bytes of its files, `memory` those that it takes when it is loaded, about.
    """

    path: Path
    card: BackendModel
    context: int
    mmproj: Path | None = None
    demo: bool = False
    embeds: bool = False
    weights: int = 0
    memory: int = 0


def find_model(config: EngineConfig, report: Report | None = None, *, embeds: bool = False) -> EngineModel:
    """Return the model that the settings name, downloaded if need be: this blocks. Raises ConfigError.

    `report` is told how far a download is; by default that is printed to stderr. `embeds`: it is to give vectors, whatever
    its file says that it is for.
    """
    mmproj = Path(config.mmproj).expanduser() if config.mmproj else None
    if not config.model:
        return describe(config, HubModel(path=DEMO_FILE, mmproj=mmproj), DEMO_ID, demo=True, embeds=embeds)
    path = Path(config.model).expanduser()
    if path.is_file() or not is_hub_name(config.model):
        return describe(config, HubModel(path=path, mmproj=mmproj), "", embeds=embeds)
    found = download(config.model, Path(config.cache).expanduser(), report or Progress())
    files = HubModel(path=found.path, mmproj=mmproj or found.mmproj)
    return describe(config, files, plain_name(config.model), embeds=embeds)


def describe(
    config: EngineConfig, files: HubModel, id: str, *, demo: bool = False, embeds: bool = False
) -> EngineModel:
    """Read what a model's file says of it; without an `id` the model is named as its file says. Raises ConfigError."""
    info = read_gguf(files.path)
    if info.text("general.architecture") in ("clip", ""):
        raise ConfigError(f"{files.path} contains no language model.")
    own = max(info.number(f"{info.text('general.architecture')}.context_length") or 0, 0)
    context = min(config.context or CONTEXT_CAP, own or config.context or CONTEXT_CAP)
    card = BackendModel(
        id=id or _id(info, files.path),
        created=int(files.path.stat().st_mtime),
        owned_by="antiphon",
        context_length=context,
        capabilities=_capabilities(info, files.mmproj),
        parameters_number=_size(info),
        type=EMBEDDING if embeds and _type(info) == TEXT_GENERATION else _type(info),
    )
    embeds = card.type in (EMBEDDING, RERANK)
    parts = [*_parts(files.path, info), *([files.mmproj] if files.mmproj else [])]
    weights = sum(path.stat().st_size for path in parts)
    return EngineModel(
        path=files.path,
        card=card,
        context=context,
        mmproj=files.mmproj,
        demo=demo,
        embeds=embeds,
        weights=weights,
        memory=needed_memory(info, weights, context=context, parallel=config.parallel, embeds=embeds),
    )


def _parts(path: Path, info: GgufInfo) -> list[Path]:
    """Return all parts of a split model. Raises ConfigError where one is missing."""
    split = SHARD.search(path.stem)
    count = info.number("split.count") or 1
    if split is None or count <= 1 or count > MOST_PARTS:
        return [path]
    stem = path.stem[: split.start()]
    parts = [path.with_name(f"{stem}-{at:05d}-of-{count:05d}.gguf") for at in range(1, count + 1)]
    missing = next((part for part in parts if not part.is_file()), None)
    if missing is not None:
        raise ConfigError(f"{missing} is missing: it is a part of {path}.")
    return parts


def _id(info: GgufInfo, path: Path) -> str:
    name = info.text("general.name")[:LONGEST_NAME] or re.sub(r"-\d{5}-of-\d{5}$", "", path.stem)
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-") or "model"


def _capabilities(info: GgufInfo, mmproj: Path | None) -> Capabilities:
    """Read off the chat template what the model was trained to do, and off the projector what it can see and hear."""
    template = info.text("tokenizer.chat_template")
    projector = read_gguf(mmproj) if mmproj else None
    return Capabilities(
        functions="tools" in template,
        reasoning=any(sign in template for sign in ("<think>", "enable_thinking", "reasoning_content", "thinking")),
        images=projector is not None and projector.flag("clip.has_vision_encoder", True),
        audio=projector is not None and projector.flag("clip.has_audio_encoder", False),
    )


def _type(info: GgufInfo) -> str:
    """Tell what a model is for: whether its file says how the vectors of its tokens become one, or a score."""
    architecture = info.text("general.architecture")
    pooling = info.number(f"{architecture}.pooling_type") or 0
    if pooling == RANK:
        return RERANK
    return EMBEDDING if pooling > 0 or architecture in ENCODERS else TEXT_GENERATION


def _size(info: GgufInfo) -> str | None:
    """Return the number of parameters as people write it, such as 7B; of a split model only if it says so itself."""
    if label := info.text("general.size_label"):
        return label[:LONGEST_NAME]
    if (info.number("split.count") or 1) > 1 or not info.parameters:
        return None
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if info.parameters >= unit:
            return (
                f"{info.parameters / unit:.2g}{name}"
                if info.parameters < 10 * unit
                else f"{info.parameters // unit}{name}"
            )
    return str(info.parameters)
