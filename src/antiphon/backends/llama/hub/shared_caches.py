"""Models in the caches of other programs: Hugging Face's and llama.cpp's. They are read; only `remove_shared` deletes there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from antiphon.backends.llama.hub.choosing import groups, is_projector, projector_of, quant_of
from antiphon.backends.llama.hub.client import HubFile
from antiphon.backends.llama.hub.local_model import HUGGING_FACE, LLAMA_CPP, LocalModel
from antiphon.errors import ConfigError

MOST_FILES = 10_000
"""Files of one repository, or of a flat cache, that are looked at."""

SHA256_DIGITS = 64


class _ManifestFile(msgspec.Struct, frozen=True):
    rfilename: str = ""


class _Manifest(msgspec.Struct, frozen=True):
    """What llama.cpp keeps of a repository's answer, beside the files."""

    gguf: _ManifestFile = msgspec.field(default=_ManifestFile(), name="ggufFile")
    mmproj: _ManifestFile = msgspec.field(default=_ManifestFile(), name="mmprojFile")


def shared_models(environ: Mapping[str, str] = os.environ) -> Sequence[LocalModel]:
    """Return the models of both caches. What cannot be read is left out."""
    return [*hugging_face_models(hugging_face_cache(environ)), *llama_cpp_models(llama_cpp_cache(environ))]


def hugging_face_cache(environ: Mapping[str, str]) -> Path:
    """Return the folder of Hugging Face's cache, found as its own library finds it."""
    if named := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(named).expanduser()
    home = environ.get("HF_HOME") or str(Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(home).expanduser() / "hub"


def llama_cpp_cache(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Return the folder of llama.cpp's cache, found as it finds it."""
    if named := environ.get("LLAMA_CACHE"):
        return Path(named).expanduser()
    if platform == "darwin":
        return Path("~/Library/Caches/llama.cpp").expanduser()
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "llama.cpp"


# Hugging Face: models--OWNER--REPO/snapshots/REVISION/FILE, a link to blobs/SHA256


def hugging_face_models(cache: Path) -> Iterator[LocalModel]:
    """Return the GGUF models of Hugging Face's cache, of each repository's current revision."""
    for folder in _entries(cache):
        kind, _, rest = folder.name.partition("--")
        owner, _, name = rest.partition("--")
        snapshot = _snapshot(folder) if kind == "models" and owner and name else None
        if snapshot is not None:
            yield from _of_folder(snapshot, f"{owner}/{name}")


def _of_folder(root: Path, repo: str) -> Iterator[LocalModel]:
    files = list(_gguf_files(root))
    for shards in groups(files):
        projector = projector_of(files)
        chosen = [root / file.path for file in shards]
        yield local_model(repo, quant_of(shards[0]), chosen, root / projector.path if projector else None, HUGGING_FACE)


def _snapshot(folder: Path) -> Path | None:
    """Return the snapshot that `refs/main` names, else the newest."""
    try:
        revision = (folder / "refs" / "main").read_text()[:128].strip()
    except (OSError, ValueError):
        revision = ""
    snapshots = folder / "snapshots"
    if revision and "/" not in revision and ".." not in revision and (snapshots / revision).is_dir():
        return snapshots / revision
    return max((one for one in _entries(snapshots) if one.is_dir()), key=_modified, default=None)


def _gguf_files(root: Path) -> Iterator[HubFile]:
    looked = 0
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            looked += 1
            if looked > MOST_FILES:
                return
            path = Path(folder, name)
            if (
                name.endswith(".gguf") and name.isprintable() and path.is_file()
            ):  # a link to nothing is an unfinished download
                yield HubFile(path=path.relative_to(root).as_posix(), size=path.stat().st_size)


# llama.cpp: OWNER_REPO_FILE, and manifest=OWNER=REPO=TAG.json which says what belongs together


def llama_cpp_models(cache: Path) -> Iterator[LocalModel]:
    """Return the GGUF models of llama.cpp's flat cache; without a manifest a model is named by its file."""
    names = sorted(path.name for path in _entries(cache))
    told: set[str] = set()
    for name in names:
        if name.startswith("manifest=") and name.endswith(".json"):
            model = _of_manifest(cache, name)
            if model is not None and not told & {path.name for path in model.files}:
                told |= {path.name for path in model.files}
                yield model
    rest = [HubFile(path=name, size=0) for name in names if name.endswith(".gguf") and name not in told]
    for shards in groups([file for file in rest if (cache / file.path).is_file()]):
        yield local_model("", shards[0].path, [cache / file.path for file in shards], None, LLAMA_CPP)


def _of_manifest(cache: Path, name: str) -> LocalModel | None:
    owner, repo = [*name.split("="), "", ""][1:3]
    try:
        manifest = msgspec.json.decode((cache / name).read_bytes(), type=_Manifest)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return None
    prefix = f"{owner}_{repo}_"
    first = prefix + manifest.gguf.rfilename.replace("/", "_")
    there = [HubFile(path=path.name, size=0) for path in _entries(cache) if path.name.startswith(prefix)]
    shards = next((shards for shards in groups(there) if shards[0].path == first), None)
    if not owner or not repo or shards is None:
        return None
    projector = cache / (prefix + manifest.mmproj.rfilename.replace("/", "_")) if manifest.mmproj.rfilename else None
    mmproj = projector if projector is not None and projector.is_file() and is_projector(projector.name) else None
    return local_model(
        f"{owner}/{repo}", quant_of(shards[0]), [cache / file.path for file in shards], mmproj, LLAMA_CPP
    )


def remove_shared(model: LocalModel) -> int:
    """Delete the files of a model in another program's cache, with what its links point to. Returns the bytes.

    What another link of the same repository points to stays. Raises ConfigError.
    """
    freed = 0
    try:
        for path in model.files:
            repo = _repo_folder(path)
            if not path.parent.resolve().is_relative_to(repo.resolve()):
                raise ConfigError(f"{model.name} cannot be removed: {path.parent} is a link to a folder elsewhere.")
            blob, bytes_here = path.resolve(), path.stat().st_size
            alone = not path.is_symlink()
            path.unlink()
            if not alone and not _is_linked(blob, repo):
                blob.unlink()
                alone = True
            freed += bytes_here if alone else 0
            for beside in (path.with_name(path.name + ".etag"), path.with_name(path.name + ".json")):
                beside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{model.name} cannot be removed: {error.strerror or error}.") from None
    return freed


def _repo_folder(path: Path) -> Path:
    """Return the folder of the repository that a file belongs to; of llama.cpp's cache, which is flat, all of it."""
    snapshots = next((folder for folder in path.parents if folder.name == "snapshots"), None)
    return snapshots.parent if snapshots is not None else path.parent


def _is_linked(blob: Path, repo: Path) -> bool:
    """Tell whether a snapshot of a repository still has a link to a blob; one that lies elsewhere counts as linked."""
    if blob.parent != (repo / "blobs").resolve():
        return True
    links = (Path(folder, name) for folder, _, names in os.walk(repo / "snapshots") for name in names)
    return any(link.resolve() == blob for link in links)


def local_model(repo: str, tag: str, shards: Sequence[Path], mmproj: Path | None, cache: str) -> LocalModel:
    """Return what is known of a model's files; without a `repo` the tag is its whole name."""
    files = [*shards, *([mmproj] if mmproj else [])]
    target = shards[0].resolve().name
    return LocalModel(
        name=f"{repo}:{tag}" if repo and tag else repo or tag,
        path=shards[0],
        mmproj=mmproj,
        files=files,
        size=sum(path.stat().st_size for path in files),
        modified=max(_modified(path) for path in files),
        cache=cache,
        digest=target if len(target) == SHA256_DIGITS else "",
    )


def _entries(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name for entry, _ in zip(entries, range(MOST_FILES), strict=False) if entry.name.isprintable()
            ]
    except OSError:
        return
    for name in sorted(names):
        yield folder / name


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
