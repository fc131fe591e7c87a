"""Models from a hub (Hugging Face): downloaded into this program's own cache, found there again, removed.

A model that is here already, in this cache or in one of `shared_caches`, is used as it is, without a look at the network.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from antiphon.backends.llama.hub.choosing import Choice, choose, quant_of
from antiphon.backends.llama.hub.client import HubClient, HubFile, Report, is_tame
from antiphon.backends.llama.hub.local_model import OWN, LocalModel, matching, plain_name
from antiphon.backends.llama.hub.shared_caches import shared_models
from antiphon.errors import ConfigError

NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(?::(?P<quant>[\w.-]+))?")
SPARE_BYTES = 64 * 1024 * 1024
DEFAULT = "default"

Begin = Callable[[Choice, int], None]
"""Told what is downloaded, and how many bytes of it are missing, before the first is asked for."""


class HubModel(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a model on this machine. `path` is the first one of a split model."""

    path: Path
    mmproj: Path | None = None


def is_hub_name(name: str) -> bool:
    """Tell whether a name reads as `owner/repo[:quant]`, not as a file's."""
    name = plain_name(name)
    return NAME.fullmatch(name) is not None and not name.lower().endswith(".gguf") and not name.startswith(".")


def download(
    name: str, cache: Path, report: Report, client: HubClient | None = None, begin: Begin | None = None
) -> HubModel:
    """Return the model `owner/repo[:quant]`, downloading what is not here yet. Blocks; raises ConfigError."""
    match = NAME.fullmatch(plain_name(name))
    if match is None:
        raise ConfigError(f"{name} is neither a file nor a hub repository owner/repo[:quant].")
    repo, quant = match["repo"], match["quant"] or ""
    folder = _folder(cache, repo)
    marker = folder / f"{quant.upper() or DEFAULT}.json"
    choice = _chosen_before(marker, folder)
    if choice is None:
        here = _here(plain_name(name), quant, cache)
        if here is not None:
            return HubModel(path=here.path, mmproj=here.mmproj)
        choice = _downloaded(client or HubClient(), match, marker, report, begin)
    mmproj = folder / choice.mmproj.path if choice.mmproj else None
    return HubModel(path=folder / choice.shards[0].path, mmproj=mmproj)


def own_models(cache: Path) -> Sequence[LocalModel]:
    """Return the models that are whole in this program's cache, one for each choice of files."""
    found: dict[tuple[Path, ...], LocalModel] = {}
    for marker in sorted(cache.glob("*--*/*.json")):
        folder = marker.parent
        choice = _chosen_before(marker, folder)
        if choice is not None:
            model = _own_model(folder, choice, default=marker.stem == DEFAULT)
            before = found.get(tuple(model.files))
            if before is None or model.default:
                found[tuple(model.files)] = model
    return list(found.values())


def local_models(cache: Path) -> Sequence[LocalModel]:
    """Return the models of all caches of this machine: the own one first, and a model of several caches once."""
    found: dict[str, LocalModel] = {}
    for model in [*own_models(cache), *shared_models()]:
        found.setdefault(model.name.lower(), model)
    return list(found.values())


def remove(model: LocalModel, cache: Path) -> int:
    """Delete a model of the own cache; files that another one of it shares stay. Returns the bytes; raises ConfigError."""
    folder = _folder(cache, model.repo)
    freed = 0
    try:
        with _lock(folder):
            markers = {marker: _chosen_before(marker, folder) for marker in folder.glob("*.json")}
            going = [one for one, choice in markers.items() if choice and _paths(folder, choice) == list(model.files)]
            kept = {
                path
                for one, choice in markers.items()
                if choice and one not in going
                for path in _paths(folder, choice)
            }
            for marker in going:
                marker.unlink(missing_ok=True)  # first: a model whose removal is cut short is none any more
            for path in model.files:
                if path not in kept and path.is_file():
                    freed += path.stat().st_size
                    path.unlink()
            _clear(folder)
    except OSError as error:
        raise ConfigError(f"{model.name} cannot be removed: {error.strerror or error}.") from None
    return freed


def remove_unfinished(name: str, cache: Path) -> int:
    """Delete what unfinished downloads of a repository have left. Returns the bytes."""
    match = NAME.fullmatch(plain_name(name))
    folder = _folder(cache, match["repo"]) if match else cache / "none"
    if not folder.is_dir():
        return 0
    freed = 0
    with _lock(folder):
        for part in filter(Path.is_file, folder.rglob("*.part")):
            freed += part.stat().st_size
            part.unlink()
        for mark in filter(Path.is_file, folder.rglob("*.etag")):
            mark.unlink()
        _clear(folder)
    return freed


def _here(name: str, quant: str, cache: Path) -> LocalModel | None:
    """Return a model that is here under another name: downloaded as its repository's usual choice, or by another program."""
    own = matching(own_models(cache), name) if quant else None
    return own or matching(shared_models(), name)


def _own_model(folder: Path, choice: Choice, *, default: bool) -> LocalModel:
    repo, tag = folder.name.replace("--", "/", 1), quant_of(choice.shards[0])
    paths = _paths(folder, choice)
    return LocalModel(
        name=f"{repo}:{tag}" if tag else repo,
        path=paths[0],
        mmproj=paths[-1] if choice.mmproj else None,
        files=paths,
        size=sum(file.size for file in choice.files),
        modified=max(path.stat().st_mtime for path in paths),
        cache=OWN,
        digest=choice.shards[0].sha256,
        default=default,
    )


def _downloaded(client: HubClient, name: re.Match[str], marker: Path, report: Report, begin: Begin | None) -> Choice:
    folder = marker.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder):
            choice = _chosen_before(marker, folder)  # another process may have downloaded it meanwhile
            if choice is None:
                choice = choose(client.files(name["repo"]), name["repo"], name["quant"] or "")
                _fetch(client, name["repo"], choice, folder, report, begin)
                fresh = marker.with_suffix(".new")
                fresh.write_bytes(msgspec.json.encode(choice))
                fresh.replace(marker)
            return choice
    except OSError as error:
        raise ConfigError(f"The model cache {folder} cannot be used: {error.strerror or error}.") from None


def _fetch(client: HubClient, repo: str, choice: Choice, folder: Path, report: Report, begin: Begin | None) -> None:
    missing = sum(file.size - client.present(folder / file.path, file) for file in choice.files)
    free = shutil.disk_usage(folder).free
    if missing + SPARE_BYTES > free:
        raise ConfigError(
            f"{folder} has {free // 10**6} MB of free space, {missing // 10**6} MB are to be downloaded. "
            "Free some, or name another folder with engine.cache."
        )
    if begin is not None:
        begin(choice, missing)
    for file in choice.files:
        client.fetch(repo, file, folder / file.path, report)


def _folder(cache: Path, repo: str) -> Path:
    return cache / repo.replace("/", "--")


def _paths(folder: Path, choice: Choice) -> list[Path]:
    return [folder / file.path for file in choice.files]


def _chosen_before(marker: Path, folder: Path) -> Choice | None:
    try:
        choice = msgspec.json.decode(marker.read_bytes(), type=Choice)
        complete = choice.shards and all(_is_here(folder, file) for file in choice.files)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return choice if complete else None


def _is_here(folder: Path, file: HubFile) -> bool:
    """Tell whether a file is whole, and lies in the folder: not where a link leads out of it."""
    path = folder / file.path
    inside = is_tame(file.path) and path.parent.resolve().is_relative_to(folder.resolve())
    return inside and path.stat().st_size == file.size


def _clear(folder: Path) -> None:
    """Remove a folder in which there is nothing but its lock, and empty folders below it."""
    for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        if not any(inner.iterdir()):
            inner.rmdir()
    if all(path.name == ".lock" for path in folder.iterdir()):
        (folder / ".lock").unlink(missing_ok=True)
        os.rmdir(folder)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one process at a time work in a folder; the others wait and find its files."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
