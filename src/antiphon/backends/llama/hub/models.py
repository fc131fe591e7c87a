"""Models from a hub (Hugging Face): which files of a repository to take, and where they lie once they are here.

A model that is here already is used as it is, without a look at the network.
"""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from antiphon.backends.llama.hub.client import HubClient, HubFile, Report
from antiphon.errors import ConfigError

NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(?::(?P<quant>[\w.-]+))?")
SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
QUANT = re.compile(
    r"(?:^|[-._])((?:UD-)?(?:I?Q\d\w*|TQ\d_\d|MXFP4\w*|NVFP4|BF16|F16|FP16|F32))(?=$|[-.])", re.IGNORECASE
)
PREFERRED = ("Q4_K_M", "UD-Q4_K_XL", "Q4_K_S", "Q4_0", "MXFP4", "MXFP4_MOE", "Q5_K_M", "Q8_0", "F16", "BF16")
PROJECTORS = ("F16", "BF16", "Q8_0", "F32")
SPARE_BYTES = 64 * 1024 * 1024


class HubModel(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a model on this machine. `path` is the first one of a split model."""

    path: Path
    mmproj: Path | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The files to take from a repository."""

    shards: Sequence[HubFile]
    mmproj: HubFile | None = None

    @property
    def files(self) -> Sequence[HubFile]:
        return [*self.shards, *([self.mmproj] if self.mmproj else [])]


def is_hub_name(name: str) -> bool:
    """Tell whether a name reads as `owner/repo[:quant]`, not as a file's."""
    return NAME.fullmatch(name) is not None and not name.lower().endswith(".gguf") and not name.startswith(".")


def download(name: str, cache: Path, report: Report, client: HubClient | None = None) -> HubModel:
    """Return the model `owner/repo[:quant]`, downloading what is not in `cache` yet. Blocks; raises ConfigError."""
    match = NAME.fullmatch(name)
    if match is None:
        raise ConfigError(f"{name} is neither a file nor a hub repository owner/repo[:quant].")
    repo, quant = match["repo"], match["quant"] or ""
    folder = cache / repo.replace("/", "--")
    marker = folder / f"{quant.upper() or 'default'}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder):
            choice = _chosen_before(marker, folder)
            if choice is None:
                choice = _fetch(client or HubClient(), repo, quant, folder, report)
                marker.write_bytes(msgspec.json.encode(choice))
    except OSError as error:
        raise ConfigError(f"The model cache {folder} cannot be used: {error.strerror or error}.") from None
    mmproj = folder / choice.mmproj.path if choice.mmproj else None
    return HubModel(path=folder / choice.shards[0].path, mmproj=mmproj)


def choose(files: Sequence[HubFile], repo: str, quant: str) -> Choice:
    """Pick the files of a quantisation, or of the best default. Raises ConfigError that names what there is."""
    models = _models(files)
    if not models:
        raise ConfigError(f"{repo} has no GGUF files. Look for a repository whose name ends with -GGUF.")
    if quant:
        shards = _named(models, quant)
    else:
        shards = min(models, key=lambda shards: (_rank(shards[0], PREFERRED), sum(file.size for file in shards)))
    if shards is None:
        names = ", ".join(sorted({quant_of(shards[0]) for shards in models} - {""})) or "none by name"
        raise ConfigError(f"{repo} has no quantisation {quant}. Available: {names}.")
    projectors = [file for file in files if _is_projector(file)]
    return Choice(shards=shards, mmproj=min(projectors, key=lambda file: _rank(file, PROJECTORS), default=None))


def quant_of(file: HubFile) -> str:
    """Return the quantisation that a file's name tells, in capitals; "" where it tells none."""
    found = QUANT.findall(SHARD.sub("", Path(file.path).stem))
    return str(found[-1]).upper() if found else ""


def _fetch(client: HubClient, repo: str, quant: str, folder: Path, report: Report) -> Choice:
    choice = choose(client.files(repo), repo, quant)
    missing = sum(file.size - client.present(folder / file.path, file) for file in choice.files)
    free = shutil.disk_usage(folder).free
    if missing + SPARE_BYTES > free:
        raise ConfigError(
            f"{folder} has {free // 10**6} MB of free space, {missing // 10**6} MB are to be downloaded. "
            "Free some, or name another folder with engine.cache."
        )
    for file in choice.files:
        client.fetch(repo, file, folder / file.path, report)
    return choice


def _chosen_before(marker: Path, folder: Path) -> Choice | None:
    try:
        choice = msgspec.json.decode(marker.read_bytes(), type=Choice)
        complete = all((folder / file.path).stat().st_size == file.size for file in choice.files)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return choice if complete else None


def _models(files: Sequence[HubFile]) -> list[list[HubFile]]:
    """Group the files into models: split ones by their common name, those with all parts only."""
    groups: dict[str, list[HubFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        stem = file.path.removesuffix(".gguf")
        if stem != file.path and not _is_projector(file) and "imatrix" not in stem.lower():
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


def _rank(file: HubFile, order: Sequence[str]) -> int:
    quant = quant_of(file)
    return order.index(quant) if quant in order else len(order)


def _is_projector(file: HubFile) -> bool:
    name = Path(file.path).name.lower()
    return "mmproj" in name and name.endswith(".gguf")


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one process at a time work in a folder; the others wait and find its files."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
