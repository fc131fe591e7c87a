"""Which files of a repository make a model: quantisations, parts of split files, image projectors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from antiphon.backends.llama.hub.client import HubFile
from antiphon.errors import ConfigError

SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
QUANT = re.compile(
    r"(?:^|[-._])((?:UD-)?(?:I?Q\d\w*|TQ\d_\d|MXFP4\w*|NVFP4|BF16|F16|FP16|F32))(?=$|[-.])", re.IGNORECASE
)
PREFERRED = ("Q4_K_M", "UD-Q4_K_XL", "Q4_K_S", "Q4_0", "MXFP4", "MXFP4_MOE", "Q5_K_M", "Q8_0", "F16", "BF16")
PROJECTORS = ("F16", "BF16", "Q8_0", "F32")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The files to download from a repository."""

    shards: Sequence[HubFile]
    mmproj: HubFile | None = None

    @property
    def files(self) -> Sequence[HubFile]:
        return [*self.shards, *([self.mmproj] if self.mmproj else [])]


def choose(files: Sequence[HubFile], repo: str, quant: str) -> Choice:
    """Pick the files of a quantisation, or of the best default. Raises ConfigError that names what there is."""
    models = groups(files)
    if not models:
        raise ConfigError(f"{repo} has no GGUF files. Look for a repository whose name ends with -GGUF.")
    if quant:
        shards = _named(models, quant)
    else:
        shards = min(models, key=lambda shards: (_rank(shards[0], PREFERRED), sum(file.size for file in shards)))
    if shards is None:
        names = ", ".join(sorted({quant_of(shards[0]) for shards in models} - {""})) or "none by name"
        raise ConfigError(f"{repo} has no quantisation {quant}. Available: {names}.")
    return Choice(shards=shards, mmproj=projector_of(files))


def projector_of(files: Sequence[HubFile]) -> HubFile | None:
    """Return the image projector to load among a repository's files, None where it has none."""
    projectors = [file for file in files if is_projector(file.path)]
    return min(projectors, key=lambda file: _rank(file, PROJECTORS), default=None)


def quant_of(file: HubFile) -> str:
    """Return the quantisation that a file's name tells, in capitals; "" where it tells none."""
    found = QUANT.findall(SHARD.sub("", Path(file.path).stem))
    return str(found[-1]).upper() if found else ""


def groups(files: Sequence[HubFile]) -> list[list[HubFile]]:
    """Group the files into models: split ones by their common name, those with all parts only."""
    groups: dict[str, list[HubFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        stem = file.path.removesuffix(".gguf")
        if stem != file.path and not is_projector(file.path) and "imatrix" not in stem.lower():
            groups.setdefault(SHARD.sub("", stem), []).append(file)
    return [shards for shards in groups.values() if len(shards) == _parts(shards[0])]


def _parts(file: HubFile) -> int:
    match = SHARD.search(file.path.removesuffix(".gguf"))
    return int(match[2]) if match else 1


def _named(models: Sequence[list[HubFile]], quant: str) -> list[HubFile] | None:
    wanted = quant.upper()
    exact = (shards for shards in models if quant_of(shards[0]) == wanted)
    near = (shards for shards in models if quant_of(shards[0]).removeprefix("UD-") == wanted)
    return next(exact, None) or next(near, None)


def preference(quant: str) -> int:
    """Return how far down a quantisation is among those that stand for a repository's name."""
    return _index(quant, PREFERRED)


def _rank(file: HubFile, order: Sequence[str]) -> int:
    return _index(quant_of(file), order)


def _index(quant: str, order: Sequence[str]) -> int:
    return order.index(quant) if quant in order else len(order)


def is_projector(path: str) -> bool:
    """Tell an image projector from a model by its name."""
    name = Path(path).name.lower()
    return "mmproj" in name and name.endswith(".gguf")
