"""Model file of the embedded engine: found from the settings, with its metadata."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from antiphon.backends.base import BackendModel, Capabilities
from antiphon.backends.llama.child import RANK
from antiphon.backends.llama.gguf import GgufInfo, read_gguf
from antiphon.backends.llama.hub.client import Report
from antiphon.backends.llama.hub.models import HubModel, download, is_hub_name
from antiphon.backends.llama.hub.progress import Progress
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
    """A model file, ready to be loaded."""

    path: Path
    card: BackendModel
    context: int
    mmproj: Path | None = None
    demo: bool = False


def find_model(config: EngineConfig, report: Report | None = None) -> EngineModel:
    """Return the model that the settings name, downloaded if need be: this blocks. Raises ConfigError.

    `report` is told how far a download is; by default that is printed to stderr.
    """
    mmproj = Path(config.mmproj).expanduser() if config.mmproj else None
    if not config.model:
        return _describe(config, HubModel(path=DEMO_FILE, mmproj=mmproj), DEMO_ID, demo=True)
    path = Path(config.model).expanduser()
    if path.is_file() or not is_hub_name(config.model):
        return _describe(config, HubModel(path=path, mmproj=mmproj), "")
    found = download(config.model, Path(config.cache).expanduser(), report or Progress())
    return _describe(config, HubModel(path=found.path, mmproj=mmproj or found.mmproj), config.model)


def _describe(config: EngineConfig, files: HubModel, id: str, demo: bool = False) -> EngineModel:
    info = read_gguf(files.path)
    if info.text("general.architecture") in ("clip", ""):
        raise ConfigError(f"{files.path} contains no language model.")
    own = info.number(f"{info.text('general.architecture')}.context_length")
    context = min(config.context or CONTEXT_CAP, own or config.context or CONTEXT_CAP)
    card = BackendModel(
        id=id or _id(info, files.path),
        created=int(files.path.stat().st_mtime),
        owned_by="antiphon",
        context_length=context,
        capabilities=_capabilities(info, files.mmproj),
        parameters_number=_size(info),
        type=_type(info),
    )
    return EngineModel(
        path=files.path,
        card=card,
        context=context,
        mmproj=files.mmproj,
        demo=demo,
    )


def _id(info: GgufInfo, path: Path) -> str:
    name = info.text("general.name") or re.sub(r"-\d{5}-of-\d{5}$", "", path.stem)
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
        return label
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
